// Tiles of convolutions that share elements under taps: machine code, or, where it is not there yet, the
// portable tiles of products, a tap after the other.

#include <algorithm>
#include <array>
#include <type_traits>

#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/kernel_slot.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace lazuli::templates {

namespace {

constexpr int tap_counts = most_shared_taps - fewest_shared_taps + 1;

template <typename T>
constexpr Dtype operands_of = std::is_same_v<T, float> ? float32 : float64;

template <typename T>
void portable_taps(const TapTile<T>& whole, int64_t taps, int64_t width) {
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
  tile.a_row_stride = whole.a_row_stride;
  tile.a_k_stride = 1;
  tile.runs = whole.runs;
  tile.a_run_stride = whole.a_run_stride;
  tile.b_k_stride = taps * width;
  tile.b_run_stride = whole.k * tile.b_k_stride;
  tile.c_row_stride = whole.c_row_stride;
  tile.accumulate = 1;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t end = std::min(whole.rows, whole.rows + taps - 1 - whole.missing_after - tap);
    for (int64_t row = std::max<int64_t>(whole.missing_before - tap, 0); row < end; row += kernel->rows) {
      tile.a = whole.a + (row + tap) * whole.a_row_stride;
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

template <typename T, int taps>
void tap_tile(const TapTile<T>& tile) {
  static Slot<TapTile<T>>& slot = *new Slot<TapTile<T>>;
  const TapShape shape{operands_of<T>, taps};
  const auto code =
      slot.find([&] { return tap_tile_key(shape); },
                [shape](llvm::Module& module) { build_tap_tile(module, host_target(), shape); });
  if (code != nullptr) return code(tile);
  portable_taps(tile, taps, tap_tile_size(host_target(), shape).columns());
}

template <typename T, int taps>
TapKernel<T> make_kernel() {
  const TileSize size = tap_tile_size(host_target(), {operands_of<T>, taps});
  return {size.rows, size.columns(), tap_tile<T, taps>};
}

template <typename T>
std::array<TapKernel<T>, tap_counts> make_kernels() {
  static_assert(tap_counts == 5);
  return {make_kernel<T, 3>(), make_kernel<T, 4>(), make_kernel<T, 5>(), make_kernel<T, 6>(),
          make_kernel<T, 7>()};
}

}  // namespace

template <typename T>
const TapKernel<T>* tap_kernel(int64_t taps) {
  if (taps < fewest_shared_taps || taps > most_shared_taps || jit_mode() == JitMode::off) return nullptr;
  if (!generates_tap_tiles(host_target())) return nullptr;
  static const std::array<TapKernel<T>, tap_counts> kernels = make_kernels<T>();
  return &kernels[static_cast<size_t>(taps - fewest_shared_taps)];
}

template const TapKernel<float>* tap_kernel<float>(int64_t);
template const TapKernel<double>* tap_kernel<double>(int64_t);

}  // namespace lazuli::templates
