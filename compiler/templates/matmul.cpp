#include <lazuli/compiler/templates/matmul.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/gemv.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/made_rows.h>
#include <lazuli/compiler/templates/matmul_result.h>
#include <lazuli/compiler/templates/packing.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Multiplications below which a product is done in the calling thread, without packing a.
constexpr int64_t small_work = 80 * 80 * 80;
constexpr int64_t small_depth = 256;
/// No kernel's tile has more columns.
constexpr int64_t most_width = 64;
/// Multiplications below which that is so even if an operand has few rows.
constexpr int64_t tiny_work = 16 * 16 * 16;

/// One matrix of the batch.
struct Product {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  MatrixView a;
  MatrixView b;
  MatmulResult result;
  RowSource source;  ///< where it makes rows, they are a's, which has a dtype only

  bool makes_a() const { return source.make != nullptr; }
};

template <typename T>
bool is_native(Dtype dtype) {
  return dtype == (sizeof(T) == sizeof(float) ? float32 : float64);
}

/// A small product: a is read where it lies, b too where its rows are contiguous.
template <typename T>
void small_product(const Product& product) {
  const GemmKernel<T>& kernel = gemm_kernel<T>();
  const int64_t width = kernel.columns;
  constexpr int64_t most_rows = 16;
  alignas(64) T panel[small_depth * most_width];
  alignas(64) T block[most_rows * most_width];
  T* in_place = product.result.in_place<T>();
  GemmTile<T> tile;
  tile.k = product.k;
  tile.a_row_stride = product.a.row_stride;
  tile.a_k_stride = product.a.column_stride;
  const bool read_b = is_native<T>(product.b.dtype) && product.b.column_stride == 1;
  for (int64_t j = 0; j < product.n; j += width) {
    tile.columns = std::min(width, product.n - j);
    if (read_b) {
      tile.b = reinterpret_cast<const T*>(product.b.data) + j;
      tile.b_k_stride = product.b.row_stride;
      tile.b_columns = tile.columns;
    } else {
      pack_panels<T>(right_lanes(product.b), j, tile.columns, 0, product.k, width, panel);
      tile.b = panel;
      tile.b_k_stride = width;
      tile.b_columns = width;
    }
    for (int64_t i = 0; i < product.m; i += kernel.rows) {
      tile.rows = std::min(kernel.rows, product.m - i);
      tile.a = reinterpret_cast<const T*>(product.a.data) + i * product.a.row_stride;
      if (in_place != nullptr) {
        tile.c_row_stride = product.result.in_place_row_stride();
        tile.c = in_place + i * tile.c_row_stride + j;
        kernel.run(tile);
      } else {
        tile.c = block;
        tile.c_row_stride = width;
        kernel.run(tile);
        product.result.store(block, width, i, tile.rows, j, tile.columns);
      }
    }
  }
}

/// The operands and the result of the product after the one that is computed, fetched a part with each of its
/// tiles.
class NextProduct {
 public:
  /// Nothing is fetched where all operands are in a cache anyway.
  NextProduct(const MatmulProblem& problem, int64_t tiles) {
    const int64_t size = problem.a.dtype.size();
    const auto lines = [size](int64_t rows, int64_t row_stride, int64_t columns, int64_t column_stride) {
      return ceil_div(((rows - 1) * row_stride + (columns - 1) * column_stride + 1) * size, line_bytes);
    };
    a_lines_ = lines(problem.m, problem.a.row_stride, problem.k, problem.a.column_stride);
    b_lines_ = lines(problem.k, problem.b.row_stride, problem.n, problem.b.column_stride);
    // Shallow products are done before their result could be there.
    constexpr int64_t deep = 64;
    out_lines_ = problem.k >= deep ? lines(problem.m, problem.out_row_stride, problem.n, 1) : 0;
    const int64_t all = a_lines_ + b_lines_ + out_lines_;
    if (problem.batch * all * line_bytes <= cache_sizes().l2) a_lines_ = b_lines_ = out_lines_ = 0;
    lines_a_tile_ = ceil_div(all, tiles);
  }

  void begin(const void* a, const void* b, void* out) {
    a_ = static_cast<const std::byte*>(a);
    b_ = static_cast<const std::byte*>(b);
    out_ = static_cast<std::byte*>(out);
    next_ = 0;
  }
  void fetch_some() {
    const int64_t operands = a_lines_ + b_lines_;
    const int64_t end = std::min(next_ + lines_a_tile_, operands + out_lines_);
    for (; next_ < end; ++next_) {
      if (next_ < a_lines_) {
        __builtin_prefetch(a_ + next_ * line_bytes, 0, 2);
      } else if (next_ < operands) {
        __builtin_prefetch(b_ + (next_ - a_lines_) * line_bytes, 0, 2);
      } else {
        __builtin_prefetch(out_ + (next_ - operands) * line_bytes, 1, 2);
      }
    }
  }

 private:
  static constexpr int64_t line_bytes = 64;
  int64_t a_lines_ = 0;
  int64_t b_lines_ = 0;
  int64_t out_lines_ = 0;
  int64_t lines_a_tile_ = 0;
  const std::byte* a_ = nullptr;
  const std::byte* b_ = nullptr;
  std::byte* out_ = nullptr;
  int64_t next_ = 0;
};

/// Products [begin, end) of a batch, where `reads_in_place` holds: nothing but tiles, with as little as can
/// be between them, since a tiny product takes no longer than what prepares it.
template <typename T>
void batch_in_place(const MatmulProblem& problem, int64_t begin, int64_t end) {
  const GemmKernel<T>& kernel = gemm_kernel_for<T>(problem.n);
  GemmTile<T> tile;
  tile.k = problem.k;
  tile.a_row_stride = problem.a.row_stride;
  tile.a_k_stride = problem.a.column_stride;
  tile.b_k_stride = problem.b.column_stride == 1 ? problem.b.row_stride : kernel.columns;
  tile.c_row_stride = problem.out_row_stride;
  alignas(64) T panel[small_depth * most_width];
  const auto a_of = [&](int64_t i) {
    return reinterpret_cast<const T*>(problem.a.data) + problem.a_batch[i];
  };
  const auto b_of = [&](int64_t i) {
    return reinterpret_cast<const T*>(problem.b.data) + problem.b_batch[i];
  };
  const auto out_of = [&](int64_t i) { return reinterpret_cast<T*>(problem.out) + problem.out_batch[i]; };
  NextProduct ahead(problem, ceil_div(problem.n, kernel.columns) * ceil_div(problem.m, kernel.rows));
  for (int64_t i = begin; i < end; ++i) {
    const T* a = a_of(i);
    const T* b = b_of(i);
    T* out = out_of(i);
    const int64_t next = std::min(i + 1, end - 1);
    ahead.begin(a_of(next), b_of(next), out_of(next));
    for (int64_t j = 0; j < problem.n; j += kernel.columns) {
      tile.columns = std::min(kernel.columns, problem.n - j);
      tile.b_columns = tile.columns;
      if (problem.b.column_stride == 1) {
        tile.b = b + j;
      } else if constexpr (std::is_same_v<T, float>) {
        kernels().transpose(b + j * problem.b.column_stride, problem.b.column_stride, tile.columns, problem.k,
                            panel, kernel.columns);
        tile.b = panel;
      }
      for (int64_t row = 0; row < problem.m; row += kernel.rows) {
        tile.rows = std::min(kernel.rows, problem.m - row);
        tile.a = a + row * problem.a.row_stride;
        tile.c = out + row * problem.out_row_stride + j;
        ahead.fetch_some();
        kernel.run(tile);
      }
    }
  }
}

/// Whether operands and results of a batch of small products are of the computing type and lie as tiles want
/// them.
template <typename T>
bool reads_in_place(const MatmulProblem& problem) {
  const bool b_fits = problem.b.column_stride == 1 || (std::is_same_v<T, float> && problem.b.row_stride == 1);
  return is_native<T>(problem.a.dtype) && is_native<T>(problem.b.dtype) && is_native<T>(problem.out_dtype) &&
         b_fits && problem.holes.make == nullptr && problem.holes.take == nullptr && problem.alpha == 1 &&
         problem.beta == 0 && problem.k > 0 && problem.k <= small_depth &&
         problem.m * problem.n * problem.k <= small_work;
}

/// x (few rows) times weights: `swapped` where x is the right operand, so that results are columns.
template <typename T>
void few_rows_product(const Product& product, bool swapped) {
  const LanesView x = swapped ? right_lanes(product.b) : left_lanes(product.a);
  GemvProblem<T> gemv_problem;
  gemv_problem.k = product.k;
  gemv_problem.x_rows = swapped ? product.n : product.m;
  gemv_problem.w = swapped ? left_lanes(product.a) : right_lanes(product.b);
  gemv_problem.w_lanes = swapped ? product.m : product.n;
  T* in_place = product.result.in_place<T>();
  const bool read_x = is_native<T>(x.dtype) && x.k_stride == 1;
  const int64_t x_elements = read_x ? 0 : gemv_problem.x_rows * product.k;
  const int64_t out_elements = in_place != nullptr ? 0 : product.m * product.n;
  const Scratch memory(static_cast<size_t>(round_up(x_elements, 16) + out_elements) * sizeof(T));
  if (read_x) {
    gemv_problem.x = reinterpret_cast<const T*>(x.data);
    gemv_problem.x_row_stride = x.lane_stride;
  } else {
    for (int64_t r = 0; r < gemv_problem.x_rows; ++r) {
      pack_panels<T>(x, r, 1, 0, product.k, 1, memory.as<T>() + r * product.k);
    }
    gemv_problem.x = memory.as<T>();
    gemv_problem.x_row_stride = product.k;
  }
  T* out = in_place != nullptr ? in_place : memory.as<T>() + round_up(x_elements, 16);
  const int64_t row_stride = in_place != nullptr ? product.result.in_place_row_stride() : product.n;
  gemv_problem.out = out;
  gemv_problem.out_x_stride = swapped ? 1 : row_stride;
  gemv_problem.out_w_stride = swapped ? row_stride : 1;
  gemv(gemv_problem);
  if (in_place == nullptr) product.result.store(out, product.n, 0, product.m, 0, product.n);
}

template <typename T>
void multiply_panels(const Product& product, const GemmKernel<T>& kernel, int64_t n, int64_t k,
                     const GemmLanes<T>& a, PackPanels<T> pack_b) {
  const auto store = [&](const T* block, int64_t stride, int64_t row, int64_t rows, int64_t column,
                         int64_t columns) {
    product.result.store(block, stride, row, rows, column, columns);
  };
  const StoreBlock<T> store_block(store);
  GemmOutput<T> out;
  out.c = product.result.in_place<T>();
  out.c_row_stride = product.result.in_place_row_stride();
  out.store = &store_block;
  gemm<T>(kernel, product.m, n, k, a, pack_b, out);
}

/// A product of panels that `pack` packs, of both operands, of `k` depths as it counts them.
template <typename T, typename Pack>
void product_of_panels(const Product& product, const GemmKernel<T>& kernel, int64_t k, Pack pack) {
  const auto panels_of = [pack](const LanesView& view) {
    return [pack, view](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                        T* panels) { pack(view, first, count, k_first, k_count, width, panels); };
  };
  const auto pack_b = panels_of(right_lanes(product.b));
  if (product.makes_a()) {
    const auto make_a = make_lanes<T>(product.source, pack);
    return multiply_panels<T>(product, kernel, product.n, k, GemmLanes<T>::made_by(make_a), pack_b);
  }
  const auto pack_a = panels_of(left_lanes(product.a));
  GemmRows<T> rows_of_a;
  if (is_native<T>(product.a.dtype) && (product.a.column_stride == 1 || product.a.row_stride == 1)) {
    rows_of_a = {reinterpret_cast<const T*>(product.a.data), product.a.row_stride, product.a.column_stride};
  }
  multiply_panels<T>(product, kernel, product.n, k, GemmLanes<T>::in_memory(pack_a, rows_of_a), pack_b);
}

template <typename T>
void packed_product(const Product& product) {
  product_of_panels<T>(product, gemm_kernel_for<T>(product.n), product.k, pack_panels<T>);
}

template <typename T>
void complex_product(const Product& product) {
  const LanesView a = left_lanes(product.a);
  const LanesView b = right_lanes(product.b);
  const auto pack_a = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                          T* panels) {
    for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, T* panel) {
      pack_complex_left(a, lane, lanes, k_first, k_count, width, panel);
    });
  };
  const auto pack_b = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                          T* panels) {
    for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, T* panel) {
      pack_complex_right(b, lane, lanes, k_first, k_count, width, panel);
    });
  };
  multiply_panels<T>(product, gemm_kernel_for<T>(product.n * 2), product.n * 2, product.k * 2,
                     GemmLanes<T>::in_memory(pack_a), pack_b);
}

/// Two bfloat16 operands by dot products of pairs.
void bfloat16_product(const Product& product, const GemmKernel<float>& kernel) {
  const auto pack = [k = product.k](const LanesView& view, int64_t first, int64_t count, int64_t k_first,
                                    int64_t k_count, int64_t width, float* panels) {
    pack_bfloat16_pairs(view, k, first, count, k_first, k_count, width, panels);
  };
  product_of_panels<float>(product, kernel, ceil_div(product.k, 2), pack);
}

template <typename T>
void solve(const Product& product);

/// Rows of a that are there now.
template <typename T>
void solve_made(Product product, const MadeRows& rows) {
  product.a = rows.matrix();
  product.source = {};
  solve<T>(product);
}

/// Few columns, by which each row of a is multiplied while it is in the second-level cache.
template <typename T>
void made_rows_by_few_columns(const Product& product) {
  const int64_t row_bytes = std::max<int64_t>(product.k * product.a.dtype.size(), 1);
  const int64_t fitting = std::max<int64_t>(cache_sizes().l2 / 4 / row_bytes, 1);
  const int64_t each = std::clamp<int64_t>(product.m / (4 * num_threads()), 1, fitting);
  share_out(ceil_div(product.m, each), [&](int64_t part) {
    const int64_t first = part * each;
    Product own = product;
    own.m = std::min(each, product.m - first);
    own.result = product.result.from_row(first);
    solve_made<T>(own, MadeRows(product.source, first, own.m));
  });
}

/// Whether rows are made before all else: there are few, or threads need them all.
template <typename T>
bool makes_rows_first(const Product& product) {
  return product.m <= max_vector_rows || product.m * product.n * product.k <= small_work ||
         gemm_cuts_depths(gemm_kernel_for<T>(product.n), product.m, product.n, product.k);
}

template <typename T>
void solve(const Product& product) {
  if (product.makes_a()) {
    if (makes_rows_first<T>(product)) return solve_made<T>(product, MadeRows(product.source));
    if (product.n <= max_vector_rows && gemv_takes<T>({nullptr, product.a.dtype, product.k, 1})) {
      return made_rows_by_few_columns<T>(product);
    }
  } else if (!product.result.complex_product && product.k > 0) {
    const int64_t work = product.m * product.n * product.k;
    const bool small = is_native<T>(product.a.dtype) && product.k <= small_depth;
    if (small && work <= tiny_work) return small_product<T>(product);
    const LanesView right = right_lanes(product.b), left = left_lanes(product.a);
    if (gemv_takes<T>(right) && product.m <= most_gemv_rows<T>(right, product.n, product.k)) {
      return few_rows_product<T>(product, false);
    }
    if (gemv_takes<T>(left) && product.n <= most_gemv_rows<T>(left, product.m, product.k)) {
      return few_rows_product<T>(product, true);
    }
    if (small && work <= small_work) return small_product<T>(product);
  }
  if (product.result.complex_product) return complex_product<T>(product);
  if constexpr (std::is_same_v<T, float>) {
    if (product.a.dtype == bfloat16 && product.b.dtype == bfloat16) {
      if (const GemmKernel<float>* kernel = bfloat16_gemm_kernel()) return bfloat16_product(product, *kernel);
    }
  }
  packed_product<T>(product);
}

bool is_inexact(Dtype dtype) {
  return dtype == float32 || dtype == float16 || dtype == bfloat16 || dtype == float64 || dtype == complex64;
}

void check(Dtype dtype, const char* operand) {
  if (is_inexact(dtype)) return;
  throw std::invalid_argument("[matmul] " + std::string(operand) + " has dtype " +
                              std::string(dtype_name(dtype)) +
                              "; expected float16, bfloat16, float32, float64 or complex64.");
}

/// All matrices of the batch as one, where they share b and the rows of a, c and out follow on: the rows
/// of a batch are then simply more rows.
bool fold_batch(MatmulProblem& problem) {
  if (problem.batch == 1) return true;
  for (int64_t i = 1; i < problem.batch; ++i) {
    if (problem.b_batch[i] != problem.b_batch[0]) return false;
    if (problem.a_batch[i] - problem.a_batch[0] != i * problem.m * problem.a.row_stride) return false;
    if (problem.out_batch[i] - problem.out_batch[0] != i * problem.m * problem.out_row_stride) return false;
    if (problem.beta != 0 &&
        problem.c_batch[i] - problem.c_batch[0] != i * problem.m * problem.c.row_stride) {
      return false;
    }
  }
  problem.m *= problem.batch;
  problem.batch = 1;
  return true;
}

/// Results up to which products are computed as a whole before they are handed on: these stay in the caches,
/// and whoever takes them has enough to do.
constexpr int64_t most_taken_together = 32 << 10;

bool takes_together(const MatmulProblem& problem) {
  if (problem.holes.take == nullptr || problem.m * problem.n > most_taken_together) return false;
  return problem.batch > 1 || (problem.k <= small_depth && problem.m * problem.n * problem.k <= small_work);
}

/// Products [begin, end) of a batch, handed on together.
void take_together(const MatmulProblem& problem, int64_t begin, int64_t end) {
  const auto from = [begin](MatrixView& matrix, BatchOffsets& batch) {
    if (batch.offsets != nullptr) {
      batch.offsets += begin;
    } else {
      matrix.data += begin * batch.stride * matrix.dtype.size();
    }
  };
  MatmulProblem part = problem;
  part.holes.take = nullptr;
  part.first_made_row += begin * problem.m;
  part.batch = end - begin;
  if (problem.holes.make == nullptr) from(part.a, part.a_batch);
  from(part.b, part.b_batch);
  part.out_dtype = problem.out_dtype == float64 ? float64 : float32;
  part.out_row_stride = problem.n;
  part.out_batch = {problem.m * problem.n, nullptr};
  const int64_t rows = part.batch * problem.m;
  const Scratch memory(static_cast<size_t>(rows * problem.n * part.out_dtype.size()));
  part.out = memory.data();
  matmul(part);
  (*problem.holes.take)({memory.data(), problem.n, begin * problem.m, rows, 0, problem.n});
}

}  // namespace

void matmul(const MatmulProblem& given) {
  MatmulProblem problem = given;
  check(problem.a.dtype, "a");
  check(problem.b.dtype, "b");
  check(problem.out_dtype, "out");
  if (problem.beta != 0) check(problem.c.dtype, "c");
  if (problem.batch <= 0 || problem.m == 0 || problem.n == 0) return;
  fold_batch(problem);
  if (takes_together(problem)) {
    const int64_t each = most_taken_together / (problem.m * problem.n);
    const int64_t parts = ceil_div(problem.batch, each);
    if (parts == 1) return take_together(problem, 0, problem.batch);
    return parallel_for(parts, [&](int64_t part) {
      take_together(problem, part * each, std::min((part + 1) * each, problem.batch));
    });
  }
  const bool complex_product = problem.a.dtype == complex64 || problem.b.dtype == complex64;
  const bool wide = problem.a.dtype == float64 || problem.b.dtype == float64 || problem.out_dtype == float64;

  const auto solve_one = [&](int64_t i) {
    Product product{problem.m, problem.n, problem.k, problem.a, problem.b, {}, {}};
    if (problem.holes.make != nullptr) {
      product.source = {problem.holes.make, problem.a.dtype, problem.first_made_row + i * problem.m,
                        problem.m, problem.k};
    } else {
      product.a.data += problem.a_batch[i] * problem.a.dtype.size();
    }
    product.b.data += problem.b_batch[i] * problem.b.dtype.size();
    const int64_t out_offset = problem.out_batch[i] * problem.out_dtype.size();
    product.result = {problem.out != nullptr ? problem.out + out_offset : nullptr,
                      problem.out_dtype,
                      problem.out_row_stride,
                      problem.alpha,
                      problem.beta,
                      problem.c,
                      complex_product,
                      problem.holes.take,
                      i * problem.m};
    if (problem.beta != 0) product.result.c.data += problem.c_batch[i] * problem.c.dtype.size();
    if (wide) {
      solve<double>(product);
    } else {
      solve<float>(product);
    }
  };
  if (problem.batch == 1) return solve_one(0);
  // Many matrices, or small ones: each in one thread. (Within a part, nothing else goes parallel.)
  const int64_t work = problem.m * problem.n * std::max<int64_t>(problem.k, 1);
  const int64_t threads = num_threads();
  if (problem.batch >= 4 * threads || work <= small_work * 8) {
    constexpr int64_t work_for_a_part = 1 << 16;
    const int64_t each = std::max(ceil_div(problem.batch, 8 * threads), ceil_div(work_for_a_part, work));
    const int64_t parts = ceil_div(problem.batch, each);
    return parallel_for(parts, [&](int64_t part) {
      const int64_t end = std::min((part + 1) * each, problem.batch);
      if (reads_in_place<float>(problem)) return batch_in_place<float>(problem, part * each, end);
      if (reads_in_place<double>(problem)) return batch_in_place<double>(problem, part * each, end);
      for (int64_t i = part * each; i < end; ++i) solve_one(i);
    });
  }
  for (int64_t i = 0; i < problem.batch; ++i) solve_one(i);
}

}  // namespace lazuli::templates
