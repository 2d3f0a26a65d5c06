#include <lazuli/compiler/templates/attention_block.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <lazuli/array/half.h>
#include <lazuli/compiler/templates/attention_codes.h>
#include <lazuli/compiler/templates/attention_pairs.h>
#include <lazuli/compiler/templates/packing.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

constexpr int64_t key_tile = attention_key_tile;
/// What few rows read of keys, and then of values, before they go over to the other, in bytes: as much as is
/// on its way from memory at a time.
constexpr int64_t ahead_bytes = 16 << 10;

float read_real(const std::byte* data, Dtype dtype) {
  if (dtype == float16) return *reinterpret_cast<const float16_t*>(data);
  if (dtype == bfloat16) return *reinterpret_cast<const bfloat16_t*>(data);
  return *reinterpret_cast<const float*>(data);
}

/// Rows of a tile of keys or values.
struct TileRows {
  const std::byte* data;
  Dtype dtype;
  int64_t stride;
};

class BlockWorker {
 public:
  BlockWorker(const AttentionProblem& problem, const AttentionBlock& block, const AttentionState& state,
              AttentionPanels* panels)
      : problem_(problem),
        block_(block),
        state_(state),
        table_(kernels()),
        rows_(block.rows()),
        rows_at_once_(rows_ <= attention_vector_rows ? rows_ : table_.gemm_float.rows),
        keys_(problem.keys, block.batch, block.kv_head),
        values_(problem.values, block.batch, block.kv_head),
        few_rows_(rows_ <= attention_vector_rows),
        read_values_(problem.bits == 0 && problem.values.dtype == float32 &&
                     problem.value_dim % table_.gemm_float.columns == 0),
        pairs_(attention_takes_pairs(problem, few_rows_)),
        scales_late_(problem.scale > 0 && problem.soft_cap <= 0 &&
                     (problem.mask.data == nullptr || problem.mask.dtype == bool_)),
        memory_(static_cast<size_t>(queries_size() + scores_size() + keys_size() + values_size() +
                                    widened_keys_size()) *
                sizeof(float)),
        queries_(memory_.as<float>()),
        scores_(queries_ + queries_size()),
        packed_keys_(scores_ + scores_size()),
        packed_values_(packed_keys_ + keys_size()),
        widened_keys_(packed_values_ + values_size()) {
    if (problem.bits > 0) codes_.emplace(problem, block);
    if (!pairs_) return;
    pair_products_.emplace(problem, block, state, few_rows_, panels);
    rows_at_once_ = pair_products_->rows_at_once();
  }

  void run(bool with_sinks) {
    start(with_sinks);
    if (!pairs_) load_queries();
    multiplies_codes_ = codes_ && few_rows_ && codes_->take_queries(queries_);
    const int64_t tile = few_rows_ ? few_rows_tile() : key_tile;
    for (int64_t key = block_.key_begin; key < block_.key_end; key += tile) {
      const int64_t count = std::min(tile, block_.key_end - key);
      if (pairs_) {
        attend_pairs(key, count);
        continue;
      }
      if (!few_rows_) {
        attend_tiles(key, count);
        continue;
      }
      score_few_rows(key, count);
      for (int64_t row = 0; row < rows_; ++row) soften(row, key, count);
      sum_few_rows(key, count);
    }
  }

 private:
  int64_t queries_size() const { return pairs_ ? 0 : round_up(rows_ * problem_.head_dim, 16); }
  int64_t scores_size() const { return std::max(rows_, rows_at_once_) * key_tile; }
  int64_t keys_size() const {
    return few_rows_ || pairs_ ? 0 : round_up(key_tile, table_.gemm_float.columns) * problem_.head_dim;
  }
  int64_t values_size() const {
    const bool reads = few_rows_ && problem_.bits == 0;
    return reads || read_values_ || pairs_ ? 0 : key_tile * state_.values_stride;
  }
  int64_t widened_keys_size() const { return problem_.bits > 0 ? key_tile * problem_.head_dim : 0; }

  int64_t few_rows_tile() const {
    const int64_t bytes =
        problem_.bits > 0 ? problem_.head_dim * problem_.bits / 8 : problem_.head_dim * keys_.dtype.size();
    const int64_t row_bytes = std::max<int64_t>(bytes, 1);
    return std::clamp<int64_t>(ahead_bytes / row_bytes, 32, key_tile);
  }

  void attend_pairs(int64_t key, int64_t count) {
    pair_products_->take(key, count);
    for (int64_t first = 0; first < rows_; first += rows_at_once_) {
      pair_products_->score(first, scores_);
      for (int64_t row = first; row < std::min(first + rows_at_once_, rows_); ++row) soften(row, key, count);
      pair_products_->sum(first);
    }
  }

  /// A few rows go from scores to sums at a time, so that what lies between stays in the first-level cache.
  void attend_tiles(int64_t key, int64_t count) {
    pack_keys(key, count);
    const float* values = ready_values(key, count);
    for (int64_t first = 0; first < rows_; first += rows_at_once_) {
      const int64_t end = std::min(first + rows_at_once_, rows_);
      score_tiles(first, end - first, count);
      for (int64_t row = first; row < end; ++row) soften(row, key, count);
      sum_tiles(first, end - first, values, count);
    }
  }

  float* scores(int64_t row) const { return scores_ + row % rows_at_once_ * key_tile; }
  float* sums(int64_t row) const { return state_.values + row * state_.values_stride; }

  void start(bool with_sinks) {
    for (int64_t row = 0; row < rows_; ++row) {
      float sink = minus_infinity;
      if (with_sinks) {
        sink =
            read_real(problem_.sinks + block_.head(row) * problem_.sinks_dtype.size(), problem_.sinks_dtype);
      }
      state_.largest[row] = sink;
      state_.sum[row] = sink == minus_infinity ? 0.0f : 1.0f;
      std::fill_n(sums(row), state_.values_stride, 0.0f);
    }
  }

  /// Queries as floats, with the scale.
  void load_queries() {
    const auto widen = table_.widen[static_cast<size_t>(storage_of(problem_.queries.dtype))];
    for (int64_t row = 0; row < rows_; ++row) {
      float* query = queries_ + row * problem_.head_dim;
      widen(HeadRows(problem_.queries, block_.batch, block_.head(row)).at(block_.query(row)), query,
            problem_.head_dim);
      table_.scale(query, problem_.head_dim, problem_.scale);
    }
  }

  // Memory has something to do at all times: while keys are scored their values are fetched, and while these
  // are summed the next keys.

  void score_few_rows(int64_t key, int64_t count) {
    if (multiplies_codes_) return codes_->score(key, count, scores_);
    const TileRows keys = ready_keys(key, count);
    for (int64_t row = 0; row < rows_; row += max_vector_rows) {
      DotRows<float> dot;
      dot.k = problem_.head_dim;
      dot.x = queries_ + row * problem_.head_dim;
      dot.x_row_stride = problem_.head_dim;
      dot.x_rows = std::min(max_vector_rows, rows_ - row);
      dot.w = keys.data;
      dot.w_row_stride = keys.stride;
      dot.w_rows = count;
      dot.out = scores(row);
      dot.out_x_stride = key_tile;
      dot.out_w_stride = 1;
      if (row == 0 && !codes_ && values_.stride == problem_.value_dim) dot.ahead = values_.at(key);
      table_.dot_rows[static_cast<size_t>(storage_of(keys.dtype))](dot);
    }
  }

  void sum_few_rows(int64_t key, int64_t count) {
    TileRows values{values_.at(key), values_.dtype, values_.stride};
    if (codes_) {
      const bool are_finite =
          std::all_of(state_.sum, state_.sum + rows_, [](float sum) { return std::isfinite(sum); });
      if (multiplies_codes_ && are_finite &&
          codes_->sum(key, count, scores_, state_.values, state_.values_stride)) {
        return;
      }
      codes_->widen_values(key, count, packed_values_, state_.values_stride);
      values = {reinterpret_cast<const std::byte*>(packed_values_), float32, state_.values_stride};
    }
    for (int64_t row = 0; row < rows_; row += max_vector_rows) {
      AxpyRows<float> axpy;
      axpy.k = count;
      axpy.x = scores(row);
      axpy.x_row_stride = key_tile;
      axpy.x_k_stride = 1;
      axpy.x_rows = std::min(max_vector_rows, rows_ - row);
      axpy.w = values.data;
      axpy.w_row_stride = values.stride;
      axpy.columns = problem_.value_dim;
      axpy.y = sums(row);
      axpy.y_row_stride = state_.values_stride;
      if (row == 0 && !codes_ && keys_.stride == problem_.head_dim) axpy.ahead = keys_after(key + count);
      table_.axpy_rows[static_cast<size_t>(storage_of(values.dtype))](axpy);
    }
  }

  /// The keys that are met after those before `key`: null where there are none.
  const std::byte* keys_after(int64_t key) const {
    if (key < block_.key_end) return keys_.at(key);
    if (block_.next_batch < 0) return nullptr;
    return HeadRows(problem_.keys, block_.next_batch, block_.next_kv_head).at(block_.key_begin);
  }

  void pack_keys(int64_t key, int64_t count) {
    const int64_t columns = table_.gemm_float.columns;
    const TileRows keys = ready_keys(key, count);
    const LanesView lanes{keys.data, keys.dtype, keys.stride, 1};
    for (int64_t j = 0; j < count; j += columns) {
      pack_panels(lanes, j, std::min(columns, count - j), 0, problem_.head_dim, columns,
                  packed_keys_ + j * problem_.head_dim);
    }
  }

  /// The tile's keys where they lie, or dequantized.
  TileRows ready_keys(int64_t key, int64_t count) {
    if (!codes_) return {keys_.at(key), keys_.dtype, keys_.stride};
    codes_->widen_keys(key, count, widened_keys_);
    return {reinterpret_cast<const std::byte*>(widened_keys_), float32, problem_.head_dim};
  }

  /// The tile's values as floats, `values_row_stride()` apart: where they lie, or widened.
  const float* ready_values(int64_t key, int64_t count) {
    if (read_values_) return reinterpret_cast<const float*>(values_.at(key));
    if (codes_) codes_->widen_values(key, count, packed_values_, state_.values_stride);
    const auto widen = table_.widen[static_cast<size_t>(storage_of(values_.dtype))];
    for (int64_t p = 0; p < count; ++p) {
      float* row = packed_values_ + p * state_.values_stride;
      if (!codes_) widen(values_.at(key + p), row, problem_.value_dim);
      std::fill(row + problem_.value_dim, row + state_.values_stride, 0.0f);
    }
    return packed_values_;
  }
  int64_t values_row_stride() const { return read_values_ ? values_.stride : state_.values_stride; }

  /// Scores of rows [row, row + rows), at most a tile of the kernel.
  void score_tiles(int64_t row, int64_t rows, int64_t count) {
    const GemmKernel<float>& kernel = table_.gemm_float;
    GemmTile<float> tile;
    tile.k = problem_.head_dim;
    tile.rows = rows;
    tile.a = queries_ + row * problem_.head_dim;
    tile.a_row_stride = problem_.head_dim;
    tile.a_k_stride = 1;
    tile.b_k_stride = kernel.columns;
    tile.c_row_stride = key_tile;
    for (int64_t j = 0; j < count; j += kernel.columns) {
      tile.columns = std::min(kernel.columns, count - j);
      tile.b = packed_keys_ + j * problem_.head_dim;
      tile.c = scores(row) + j;
      kernel.run(tile);
    }
  }

  void sum_tiles(int64_t row, int64_t rows, const float* values, int64_t count) {
    const GemmKernel<float>& kernel = table_.gemm_float;
    GemmTile<float> tile;
    tile.k = count;
    tile.rows = rows;
    tile.a = scores(row);
    tile.a_row_stride = key_tile;
    tile.a_k_stride = 1;
    tile.b_k_stride = values_row_stride();
    tile.c_row_stride = state_.values_stride;
    tile.columns = kernel.columns;
    tile.accumulate = 1;
    for (int64_t j = 0; j < problem_.value_dim; j += kernel.columns) {
      tile.b = values + j;
      tile.c = sums(row) + j;
      kernel.run(tile);
    }
  }

  /// Turns a row of raw scores into exp(score - largest), and the row's state with it.
  void soften(int64_t row, int64_t key, int64_t count) {
    float* s = scores(row);
    // Scores of pairs come without the scale, which waits for the exponentials if nothing before needs it.
    if (pairs_ && !scales_late_) table_.scale(s, count, problem_.scale);
    const float scale = pairs_ && scales_late_ ? problem_.scale : 1.0f;
    if (problem_.soft_cap > 0) table_.soft_cap(s, count, problem_.soft_cap);
    mask_row(row, key, count, s);
    const float before = state_.largest[row];
    const float largest = std::max(before, scale * table_.max_of(s, count));
    if (largest == minus_infinity) {
      // No key is seen yet, unless a score is NaN, which the maximum passes over.
      if (std::isnan(table_.sum_of(s, count))) state_.sum[row] = std::numeric_limits<float>::quiet_NaN();
      std::fill_n(s, count, 0.0f);
      if (pairs_) pair_products_->clear_weights(row, count);
      return;
    }
    const float shrink = before == largest ? 1.0f : std::exp(before - largest);
    if (shrink != 1.0f) table_.scale(sums(row), problem_.value_dim, shrink);
    const float sum = pairs_ ? pair_products_->set_weights(row, s, count, scale, largest)
                             : table_.exp_sum(s, count, largest);
    state_.sum[row] = state_.sum[row] * shrink + sum;
    state_.largest[row] = largest;
  }

  void mask_row(int64_t row, int64_t key, int64_t count, float* s) const {
    const int64_t position = block_.query(row) + problem_.key_length - problem_.query_length;
    if (problem_.mask.data != nullptr) apply_mask(row, key, count, s);
    if (problem_.causal && position + 1 < key + count) {
      std::fill(s + std::clamp<int64_t>(position + 1 - key, 0, count), s + count, minus_infinity);
    }
    if (problem_.window > 0) {
      const int64_t first = position - problem_.window + 1;
      if (first > key) std::fill(s, s + std::min(first - key, count), minus_infinity);
    }
  }

  void apply_mask(int64_t row, int64_t key, int64_t count, float* s) const {
    const MaskView& mask = problem_.mask;
    const int64_t size = mask.dtype.size();
    const std::byte* data =
        mask.data + (block_.batch * mask.batch_stride + block_.head(row) * mask.head_stride +
                     block_.query(row) * mask.row_stride + key * mask.column_stride) *
                        size;
    if (mask.dtype == bool_) {
      for (int64_t j = 0; j < count; ++j) {
        if (data[j * mask.column_stride] == std::byte{0}) s[j] = minus_infinity;
      }
      return;
    }
    float addend[key_tile];
    const auto widen = table_.widen[static_cast<size_t>(storage_of(mask.dtype))];
    if (mask.column_stride == 1) {
      widen(data, addend, count);
    } else {
      for (int64_t j = 0; j < count; ++j)
        addend[j] = read_real(data + j * mask.column_stride * size, mask.dtype);
    }
    for (int64_t j = 0; j < count; ++j) s[j] += addend[j];
  }

  const AttentionProblem& problem_;
  const AttentionBlock& block_;
  const AttentionState& state_;
  const Kernels& table_;
  int64_t rows_;
  int64_t rows_at_once_;  ///< whose scores are in memory
  HeadRows keys_;
  HeadRows values_;
  bool few_rows_;
  bool read_values_;  ///< values can be multiplied where they lie
  bool pairs_;        ///< products are those of `AttentionPairs`
  bool scales_late_;
  std::optional<AttentionPairs> pair_products_;
  std::optional<AttentionCodes> codes_;
  bool multiplies_codes_ = false;  ///< see AttentionCodes
  Scratch memory_;
  float* queries_;
  float* scores_;
  float* packed_keys_;
  float* packed_values_;
  float* widened_keys_;
};

}  // namespace

int64_t attention_values_stride(const AttentionProblem& problem) {
  return round_up(problem.value_dim, kernels().gemm_float.columns);
}

void attend(const AttentionProblem& problem, const AttentionBlock& block, bool with_sinks,
            const AttentionState& state, AttentionPanels* panels) {
  BlockWorker(problem, block, state, panels).run(with_sinks);
}

void store_attention(const AttentionProblem& problem, const AttentionBlock& block,
                     const AttentionState& state) {
  const Kernels& table = kernels();
  const auto narrow = table.narrow[static_cast<size_t>(storage_of(problem.out_dtype))];
  for (int64_t row = 0; row < block.rows(); ++row) {
    float* values = state.values + row * state.values_stride;
    const float sum = state.sum[row];
    if (sum == 0) {
      std::fill_n(values, problem.value_dim, 0.0f);
    } else {
      table.scale(values, problem.value_dim, 1.0f / sum);
    }
    const int64_t offset = block.batch * problem.out_batch_stride +
                           block.head(row) * problem.out_head_stride +
                           block.query(row) * problem.out_row_stride;
    narrow(values, problem.out + offset * problem.out_dtype.size(), problem.value_dim);
  }
}

void merge_attention(int64_t rows, int64_t value_dim, const AttentionState& into,
                     const AttentionState& from) {
  for (int64_t row = 0; row < rows; ++row) {
    const float largest = std::max(into.largest[row], from.largest[row]);
    if (largest == minus_infinity) {
      into.sum[row] += from.sum[row];  // zero, or NaN
      continue;
    }
    const float keep = std::exp(into.largest[row] - largest);
    const float take = std::exp(from.largest[row] - largest);
    float* a = into.values + row * into.values_stride;
    const float* b = from.values + row * from.values_stride;
    for (int64_t i = 0; i < value_dim; ++i) a[i] = a[i] * keep + b[i] * take;
    into.sum[row] = into.sum[row] * keep + from.sum[row] * take;
    into.largest[row] = largest;
  }
}

}  // namespace lazuli::templates
