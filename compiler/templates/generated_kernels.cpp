// The table of generated kernels. An entry is a function that looks for the machine code of what it is
// asked for; where that is not there yet, the portable kernels do the work meanwhile.

#include <algorithm>
#include <array>
#include <chrono>

#include <lazuli/array/half.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/kernel_slot.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

/// The slots, never destroyed: code runs and is made until the process is gone.
struct Slots {
  static constexpr size_t formats = 6 * 3 * storage_count;
  template <typename Arguments, size_t count>
  using Array = std::array<Slot<Arguments>, count>;

  /// The second are wide.
  std::array<Array<GemmTile<float>, gemm_forms>, 2> gemm_float;
  std::array<Array<GemmTile<double>, gemm_forms>, 2> gemm_double;
  Slot<GemmTile<float>> gemm_bfloat16;
  /// The second is for calls that fetch ahead.
  std::array<std::array<Array<DotRows<float>, max_vector_rows>, storage_count>, 2> dot_rows;
  Array<DotRows<double>, max_vector_rows> dot_rows_double;
  std::array<std::array<Array<AxpyRows<float>, max_vector_rows>, storage_count>, 2> axpy_rows;
  Array<AxpyRows<double>, max_vector_rows> axpy_rows_double;
  std::array<Array<DotRows<float>, max_vector_rows>, 2> dot_pairs;
  std::array<Array<AxpyRows<float>, max_vector_rows>, 2> axpy_pairs;
  std::array<std::array<Array<PanelDot, max_vector_rows>, formats>, 2> panels;
  Array<PanelDot, formats> panels_few_lines;  ///< int8, one row

  static Slots& instance() {
    static Slots* const slots = new Slots;
    return *slots;
  }
};

/// A tile of the generated size, by portable tiles.
template <typename T>
void portable_tile(const GemmKernel<T>& kernel, const GemmTile<T>& whole) {
  for (int64_t row = 0; row < whole.rows; row += kernel.rows) {
    for (int64_t column = 0; column < whole.columns; column += kernel.columns) {
      GemmTile<T> tile = whole;
      tile.a += row * whole.a_row_stride;
      tile.b += column;
      tile.c += row * whole.c_row_stride + column;
      if (whole.b_columns != 0) tile.b_columns = whole.b_columns - column;
      tile.rows = std::min(kernel.rows, whole.rows - row);
      tile.columns = std::min(kernel.columns, whole.columns - column);
      kernel.run(tile);
    }
  }
}

template <typename T>
GemmForm form_of(const GemmTile<T>& tile, const TileSize& size) {
  if (tile.a_row_stride == 1) {
    const bool packed = tile.a_k_stride == size.rows && tile.b_k_stride == size.columns() &&
                        tile.b_columns == 0 && tile.runs == 1;
    return packed ? GemmForm::panels : GemmForm::rows;
  }
  if (tile.a_k_stride != 1) return GemmForm::strided;
  return tile.ahead != nullptr ? GemmForm::depths_ahead : GemmForm::depths;
}

template <typename T, bool wide>
void gemm_tile(const GemmTile<T>& tile) {
  constexpr bool is_double = sizeof(T) == sizeof(double);
  constexpr Dtype operands = is_double ? float64 : float32;
  static const TileSize size = tile_size(host_target(), operands, wide);
  const GemmShape shape{operands, form_of(tile, size), wide};
  const auto form = static_cast<size_t>(shape.form);
  Slots& slots = Slots::instance();
  Slot<GemmTile<T>>* slot = nullptr;
  if constexpr (is_double) {
    slot = &slots.gemm_double[wide][form];
  } else {
    slot = &slots.gemm_float[wide][form];
  }
  const auto code = slot->find([&] { return gemm_key(shape); },
                               [shape](llvm::Module& module) { build_gemm(module, host_target(), shape); });
  if (code != nullptr) return code(tile);
  if constexpr (is_double) {
    portable_tile(portable_kernels().gemm_double, tile);
  } else {
    portable_tile(portable_kernels().gemm_float, tile);
  }
}

/// Seconds that a kernel takes for a tile of 256 depths, its operands and results in the L1 cache.
double tile_seconds(void (*run)(const GemmTile<float>&), const TileSize& size, int64_t k) {
  const Scratch memory(static_cast<size_t>((k + size.rows) * size.columns() + k * size.rows) * sizeof(float));
  float* panels = memory.as<float>();
  std::fill_n(panels, k * (size.columns() + size.rows), 0.0f);
  GemmTile<float> tile;
  tile.k = k;
  tile.a = panels + k * size.columns();
  tile.a_row_stride = 1;
  tile.a_k_stride = size.rows;
  tile.b = panels;
  tile.b_k_stride = size.columns();
  tile.c = panels + k * (size.columns() + size.rows);
  tile.c_row_stride = size.columns();
  tile.rows = size.rows;
  tile.columns = size.columns();
  double least = 1;
  for (int trial = 0; trial < 20; ++trial) {
    const auto start = std::chrono::steady_clock::now();
    run(tile);
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

/// The kernel of pairs, if it is the faster one. Machines differ: on some, its instruction takes as long as
/// four multiply-adds.
const GemmKernel<float>* faster_bfloat16_kernel() {
  const Target& target = host_target();
  if (!generates_for(target) || !target.bf16) return nullptr;
  const auto code = [&](Slot<GemmTile<float>>& slot, Dtype operands) {
    const GemmShape shape{operands, GemmForm::panels};
    return slot.wait_for([&] { return gemm_key(shape); },
                         [shape](llvm::Module& module) { build_gemm(module, host_target(), shape); });
  };
  const auto pairs = code(Slots::instance().gemm_bfloat16, bfloat16);
  const auto floats = code(Slots::instance().gemm_float[0][static_cast<size_t>(GemmForm::panels)], float32);
  if (pairs == nullptr || floats == nullptr) return nullptr;
  const TileSize size = tile_size(target, bfloat16);
  if (tile_seconds(pairs, size, 128) >= tile_seconds(floats, size, 256)) return nullptr;
  static const GemmKernel<float> kernel{size.rows, size.columns(), pairs};
  return &kernel;
}

constexpr Dtype storage_dtype(Storage storage) {
  return storage == Storage::float16 ? float16 : storage == Storage::bfloat16 ? bfloat16 : float32;
}

template <typename T, Storage storage>
void dot_rows(const DotRows<T>& dot) {
  constexpr bool is_double = sizeof(T) == sizeof(double);
  const bool ahead = !is_double && dot.ahead != nullptr;
  const RowsShape shape{is_double ? float64 : storage_dtype(storage), static_cast<int>(dot.x_rows), ahead};
  const auto find = [&](auto& slot) {
    return slot.find([&] { return dot_rows_key(shape); },
                     [shape](llvm::Module& module) { build_dot_rows(module, host_target(), shape); });
  };
  const size_t rows = static_cast<size_t>(dot.x_rows - 1);
  if constexpr (is_double) {
    if (const auto code = find(Slots::instance().dot_rows_double[rows])) return code(dot);
    portable_kernels().dot_rows_double(dot);
  } else {
    constexpr size_t which = static_cast<size_t>(storage);
    if (const auto code = find(Slots::instance().dot_rows[ahead][which][rows])) return code(dot);
    portable_kernels().dot_rows[which](dot);
  }
}

template <typename T, Storage storage>
void axpy_rows(const AxpyRows<T>& axpy) {
  constexpr bool is_double = sizeof(T) == sizeof(double);
  const bool ahead = !is_double && axpy.ahead != nullptr;
  const RowsShape shape{is_double ? float64 : storage_dtype(storage), static_cast<int>(axpy.x_rows), ahead};
  const auto find = [&](auto& slot) {
    return slot.find([&] { return axpy_rows_key(shape); },
                     [shape](llvm::Module& module) { build_axpy_rows(module, host_target(), shape); });
  };
  const size_t rows = static_cast<size_t>(axpy.x_rows - 1);
  if constexpr (is_double) {
    if (const auto code = find(Slots::instance().axpy_rows_double[rows])) return code(axpy);
    portable_kernels().axpy_rows_double(axpy);
  } else {
    constexpr size_t which = static_cast<size_t>(storage);
    if (const auto code = find(Slots::instance().axpy_rows[ahead][which][rows])) return code(axpy);
    portable_kernels().axpy_rows[which](axpy);
  }
}

float bfloat16_half(uint32_t pair, int half) {
  return half_detail::bfloat16_bits_to_float(static_cast<uint16_t>(pair >> (16 * half)));
}

// Nothing portable stands behind kernels of pairs: they are waited for, and these do what could not be made.

void dot_pairs(const DotRows<float>& dot) {
  const RowsShape shape{float32, static_cast<int>(dot.x_rows), dot.ahead != nullptr, true};
  auto& slot = Slots::instance().dot_pairs[shape.ahead][static_cast<size_t>(dot.x_rows - 1)];
  const auto build = [shape](llvm::Module& module) { build_dot_rows(module, host_target(), shape); };
  if (const auto code = slot.wait_for([&] { return dot_rows_key(shape); }, build)) return code(dot);
  const auto* w = static_cast<const uint32_t*>(dot.w);
  const auto* x = reinterpret_cast<const uint32_t*>(dot.x);
  for (int64_t r = 0; r < dot.x_rows; ++r) {
    for (int64_t j = 0; j < dot.w_rows; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < dot.k; ++p) {
        for (int half = 0; half < 2; ++half) {
          sum += bfloat16_half(x[r * dot.x_row_stride + p], half) *
                 bfloat16_half(w[j * dot.w_row_stride + p], half);
        }
      }
      dot.out[r * dot.out_x_stride + j * dot.out_w_stride] = sum;
    }
  }
}

void axpy_pairs(const AxpyRows<float>& axpy) {
  const RowsShape shape{bfloat16, static_cast<int>(axpy.x_rows), axpy.ahead != nullptr, true};
  auto& slot = Slots::instance().axpy_pairs[shape.ahead][static_cast<size_t>(axpy.x_rows - 1)];
  const auto build = [shape](llvm::Module& module) { build_axpy_rows(module, host_target(), shape); };
  if (const auto code = slot.wait_for([&] { return axpy_rows_key(shape); }, build)) return code(axpy);
  const auto* w = static_cast<const uint16_t*>(axpy.w);
  const auto* x = reinterpret_cast<const uint32_t*>(axpy.x);
  for (int64_t r = 0; r < axpy.x_rows; ++r) {
    for (int64_t p = 0; p < 2 * axpy.k; ++p) {
      const float factor =
          bfloat16_half(x[r * axpy.x_row_stride + p / 2 * axpy.x_k_stride], static_cast<int>(p % 2));
      for (int64_t j = 0; j < axpy.columns; ++j) {
        axpy.y[r * axpy.y_row_stride + j] += factor * bfloat16_half(w[p * axpy.w_row_stride + j], 0);
      }
    }
  }
}

size_t format_index(const PanelFormat& format) {
  constexpr std::array<int, 9> bits_index = {0, 0, 0, 1, 2, 3, 4, 0, 5};
  const size_t bits = static_cast<size_t>(bits_index[static_cast<size_t>(format.bits)]);
  const size_t group = format.group_size == 32 ? 0 : format.group_size == 64 ? 1 : 2;
  return (bits * 3 + group) * storage_count + static_cast<size_t>(storage_of(format.scale_dtype));
}

template <bool int8>
void panel_dot(const PanelDot& dot) {
  const bool few_lines = int8 && dot.few_lines && dot.rows == 1;
  const PanelShape shape{dot.format, int8, static_cast<int>(dot.rows), few_lines};
  const size_t format = format_index(dot.format);
  Slots& slots = Slots::instance();
  Slot<PanelDot>& slot = few_lines ? slots.panels_few_lines[format]
                                   : slots.panels[int8][format][static_cast<size_t>(dot.rows - 1)];
  const auto code =
      slot.find([&] { return panel_dot_key(shape); },
                [shape](llvm::Module& module) { build_panel_dot(module, host_target(), shape); });
  if (code != nullptr) return code(dot);
  const Kernels& portable = portable_kernels();
  const PanelDotFunction run =
      int8 ? portable.panel_dot_int8(dot.format) : portable.panel_dot_float(dot.format);
  const int64_t x_bytes = int8 ? 1 : sizeof(float);
  for (int64_t row = 0; row < dot.rows; row += portable.panel_rows) {
    PanelDot part = dot;
    part.rows = std::min(portable.panel_rows, dot.rows - row);
    part.x = static_cast<const std::byte*>(dot.x) + row * dot.x_row_stride * x_bytes;
    if (dot.steps != nullptr) part.steps = dot.steps + row * dot.groups_stride;
    part.sums = dot.sums + row * dot.groups_stride;
    part.out = dot.out + row * dot.out_row_stride;
    run(part);
  }
}

Kernels make_table() {
  Kernels table = portable_kernels();
  const Target& target = host_target();
  if (!generates_for(target)) return table;
  table.name = "generated";
  const TileSize floats = tile_size(target, float32);
  const TileSize doubles = tile_size(target, float64);
  table.gemm_float = {floats.rows, floats.columns(), gemm_tile<float, false>};
  table.gemm_double = {doubles.rows, doubles.columns(), gemm_tile<double, false>};
  const TileSize wide_floats = tile_size(target, float32, true);
  const TileSize wide_doubles = tile_size(target, float64, true);
  table.wide_gemm_float = {wide_floats.rows, wide_floats.columns(), gemm_tile<float, true>};
  table.wide_gemm_double = {wide_doubles.rows, wide_doubles.columns(), gemm_tile<double, true>};
  table.dot_rows = {dot_rows<float, Storage::float32>, dot_rows<float, Storage::float16>,
                    dot_rows<float, Storage::bfloat16>};
  table.dot_rows_double = dot_rows<double, Storage::float32>;
  table.axpy_rows = {axpy_rows<float, Storage::float32>, axpy_rows<float, Storage::float16>,
                     axpy_rows<float, Storage::bfloat16>};
  table.axpy_rows_double = axpy_rows<double, Storage::float32>;
  if (target.bf16) {
    table.dot_pairs = dot_pairs;
    table.axpy_pairs = axpy_pairs;
  }
  table.panel_dot_float = [](const PanelFormat&) -> PanelDotFunction { return panel_dot<false>; };
  table.panel_dot_int8 = [](const PanelFormat&) -> PanelDotFunction { return panel_dot<true>; };
  table.panel_rows = panel_shape_rows(target);
  return table;
}

}  // namespace

const Kernels& generated_kernels() {
  static const Kernels table = make_table();
  return table;
}

const GemmKernel<float>* bfloat16_gemm_kernel() {
  if (jit_mode() == JitMode::off) return nullptr;
  static const GemmKernel<float>* const kernel = faster_bfloat16_kernel();
  return kernel;
}

const Kernels& kernels() {
  return jit_mode() == JitMode::off ? portable_kernels() : generated_kernels();
}

}  // namespace lazuli::templates
