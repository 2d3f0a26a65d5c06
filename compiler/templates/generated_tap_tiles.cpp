// Tiles of convolutions that share elements under taps: machine code, or, where it is not there yet, the
// portable tiles of products, a tap after the other.

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/kernel_slot.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace lazuli::templates {

namespace {

/// All forms, those of taps that share nothing included.
constexpr size_t vector_choices = most_tap_vectors - fewest_tap_vectors + 1;
constexpr size_t form_count = most_shared_taps * most_tap_steps * vector_choices;
constexpr size_t index_of(const TapForm& form) {
  return static_cast<size_t>(((form.taps - 1) * most_tap_steps + form.step - 1) * int64_t{vector_choices} +
                             form.vectors - fewest_tap_vectors);
}
constexpr TapForm form_at(size_t index) {
  const auto at = static_cast<int64_t>(index);
  return {at / (most_tap_steps * int64_t{vector_choices}) + 1,
          at / int64_t{vector_choices} % most_tap_steps + 1,
          at % int64_t{vector_choices} + fewest_tap_vectors};
}

template <typename T>
constexpr Dtype operands_of = std::is_same_v<T, float> ? float32 : float64;

template <typename T>
void portable_taps(const TapTile<T>& whole, const TapForm& form, int64_t width) {
  const GemmKernel<T>* kernel = nullptr;
  if constexpr (std::is_same_v<T, float>) {
    kernel = &portable_kernels().gemm_float;
  } else {
    kernel = &portable_kernels().gemm_double;
  }
  if (whole.accumulate == 0) {
    for (int64_t i = 0; i < whole.rows; ++i)
      std::fill_n(whole.c + i * whole.c_row_stride, whole.columns, T{0});
  }
  GemmTile<T> tile;
  tile.k = whole.k;
  tile.a_row_stride = whole.a_row_stride * form.step;
  tile.a_k_stride = 1;
  tile.runs = whole.runs;
  tile.a_run_stride = whole.a_run_stride;
  tile.b_k_stride = form.taps * width;
  tile.b_run_stride = whole.k * tile.b_k_stride;
  tile.c_row_stride = whole.c_row_stride;
  tile.accumulate = 1;
  const int64_t elements = (whole.rows - 1) * form.step + form.taps;
  for (int64_t tap = 0; tap < form.taps; ++tap) {
    const int64_t begin = ceil_div(std::max<int64_t>(whole.missing_before - tap, 0), form.step);
    const int64_t end = std::min(whole.rows, ceil_div(elements - whole.missing_after - tap, form.step));
    for (int64_t row = begin; row < end; row += kernel->rows) {
      tile.a = whole.a + (row * form.step + tap) * whole.a_row_stride;
      tile.rows = std::min(kernel->rows, end - row);
      for (int64_t column = 0; column < whole.columns; column += kernel->columns) {
        tile.b = whole.b + tap * width + column;
        tile.c = whole.c + row * whole.c_row_stride + column;
        tile.columns = std::min(kernel->columns, whole.columns - column);
        kernel->run(tile);
      }
    }
  }
}

template <typename T, size_t index>
void tap_tile(const TapTile<T>& tile) {
  static Slot<TapTile<T>>& slot = *new Slot<TapTile<T>>;
  const TapShape shape{operands_of<T>, form_at(index)};
  const auto code =
      slot.find([&] { return tap_tile_key(shape); },
                [shape](llvm::Module& module) { build_tap_tile(module, host_target(), shape); });
  if (code != nullptr) return code(tile);
  portable_taps(tile, shape.form, tap_tile_size(host_target(), shape).columns());
}

template <typename T, size_t... indices>
std::array<TapKernel<T>, form_count> make_kernels(std::index_sequence<indices...>) {
  const auto make = [](size_t index, void (*run)(const TapTile<T>&)) {
    const TileSize size = tap_tile_size(host_target(), {operands_of<T>, form_at(index)});
    return TapKernel<T>{size.rows, size.columns(), run};
  };
  return {make(indices, tap_tile<T, indices>)...};
}

}  // namespace

template <typename T>
const TapKernel<T>* tap_kernel(const TapForm& form) {
  if (jit_mode() == JitMode::off || !generates_tap_tile(host_target(), form)) return nullptr;
  static const std::array<TapKernel<T>, form_count> kernels =
      make_kernels<T>(std::make_index_sequence<form_count>());
  return &kernels[index_of(form)];
}

template const TapKernel<float>* tap_kernel<float>(const TapForm&);
template const TapKernel<double>* tap_kernel<double>(const TapForm&);

}  // namespace lazuli::templates
