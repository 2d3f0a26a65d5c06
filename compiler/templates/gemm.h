#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/matmul.h>
#include <lazuli/compiler/thread_pool.h>

/// The blocked matrix product over packed panels, which knows neither where the operands come from nor where
/// the result goes: both are holes, filled with functions.
namespace lazuli::templates {

/// The tile by which products of T are computed.
template <typename T>
const GemmKernel<T>& gemm_kernel() {
  if constexpr (std::is_same_v<T, float>) {
    return kernels().gemm_float;
  } else {
    return kernels().gemm_double;
  }
}

/// Columns that `kernel` computes where so many are wanted: the last ones in half its width or a quarter of
/// it, but not less than a vector's.
template <typename T>
int64_t computed_columns(const GemmKernel<T>& kernel, int64_t columns) {
  constexpr int64_t vector = 64 / sizeof(T);
  const int64_t rest = columns % kernel.columns;
  int64_t last = rest == 0 ? 0 : kernel.columns;
  while (last > vector && rest <= last / 2) last /= 2;
  return columns - rest + last;
}

/// The tile by which so many columns are computed: a wide one, unless much of what that computes would be
/// columns that are not there.
template <typename T>
const GemmKernel<T>& gemm_kernel_for(int64_t columns) {
  const GemmKernel<T>* wide = nullptr;
  if constexpr (std::is_same_v<T, float>) {
    wide = &kernels().wide_gemm_float;
  } else {
    wide = &kernels().wide_gemm_double;
  }
  const GemmKernel<T>& narrow = gemm_kernel<T>();
  if (columns <= narrow.columns) return narrow;
  const int64_t more = computed_columns(*wide, columns) - computed_columns(narrow, columns);
  return 16 * more <= columns ? *wide : narrow;
}

/// Writes the panels of lanes [first, first + count) and depths [k_first, k_first + k_count), one panel for
/// each `width` lanes, k_count * width elements after the one before. In a panel that begins at lane l,
/// element p * width + i is that of lane l + i at depth k_first + p, or zero behind the last lane.
/// A lane is a row of the left operand, or a column of the right one.
template <typename T>
using PackPanels = FunctionRef<void(int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                                    int64_t width, T* panels)>;

/// The most panels that are asked for at a time.
inline constexpr int64_t gemm_panels_at_once = 4;

/// Calls `pack(first, count, panel)` for each of the panels that a `PackPanels` is asked for.
template <typename T, typename Pack>
void for_each_panel(int64_t first, int64_t count, int64_t k_count, int64_t width, T* panels, Pack&& pack) {
  for (int64_t i = 0; i < count; i += width) {
    pack(first + i, std::min(width, count - i), panels + i * k_count);
  }
}

/// Every `k_first` is a multiple of this, and so is every `k_count` but the last.
inline constexpr int64_t gemm_depth_unit = 32;

/// Takes the finished block of rows [row, row + rows) × columns [column, column + columns).
template <typename T>
using StoreBlock = FunctionRef<void(const T* block, int64_t block_row_stride, int64_t row, int64_t rows,
                                    int64_t column, int64_t columns)>;

/// Where the result goes: straight into memory of the computing type, or through `store`.
template <typename T>
struct GemmOutput {
  T* c = nullptr;
  int64_t c_row_stride = 0;
  const StoreBlock<T>* store = nullptr;  ///< used where `c` is null
};

/// The left operand where it lies in memory, in rows or columns of the computing type; null where it doesn't.
template <typename T>
struct GemmRows {
  const T* data = nullptr;
  int64_t row_stride = 0;
  int64_t depth_stride = 1;
};

/// Uses lanes that are there: `pack` packs them, and `rows` are where they lie, if they do. Both count lanes
/// from the first of them.
template <typename T>
using UseLanes = FunctionRef<void(PackPanels<T> pack, GemmRows<T> rows)>;

/// Makes lanes [first, first + count), and has them used, once for all depths.
template <typename T>
using MakeLanes = FunctionRef<void(int64_t first, int64_t count, UseLanes<T> use)>;

/// An operand of a product. Either all of its lanes are there from the start, or they are made when they are
/// needed: each of them once.
template <typename T>
class GemmLanes {
 public:
  /// Where packing would not pay, `rows` are read where they are; they are what `pack` packs.
  static GemmLanes in_memory(PackPanels<T> pack, GemmRows<T> rows = {}) {
    GemmLanes lanes;
    lanes.pack_ = pack;
    lanes.rows_ = rows;
    return lanes;
  }
  static GemmLanes made_by(MakeLanes<T> make) {
    GemmLanes lanes;
    lanes.make_ = make;
    return lanes;
  }

  bool are_there() const { return pack_.has_value(); }
  const PackPanels<T>& pack() const { return *pack_; }
  const GemmRows<T>& rows() const { return rows_; }

  /// Calls `use` with lanes [first, first + count); see `UseLanes`.
  template <typename Use>
  void with(int64_t first, int64_t count, Use&& use) const {
    if (!are_there()) return (*make_)(first, count, use);
    const auto pack = [&](int64_t lane, int64_t lanes, int64_t k_first, int64_t k_count, int64_t width,
                          T* panels) { (*pack_)(first + lane, lanes, k_first, k_count, width, panels); };
    GemmRows<T> rows = rows_;
    if (rows.data != nullptr) rows.data += first * rows.row_stride;
    use(pack, rows);
  }

 private:
  GemmLanes() = default;

  std::optional<PackPanels<T>> pack_;
  std::optional<MakeLanes<T>> make_;
  GemmRows<T> rows_;
};

/// Whether the depths of such a product are shared out to the threads, which then need all lanes at a time:
/// those of `a` had better be there.
template <typename T>
bool gemm_cuts_depths(const GemmKernel<T>& kernel, int64_t m, int64_t n, int64_t k);

/// out = a · b for an m × k and a k × n operand (T is float or double), by `kernel`. k may be zero.
template <typename T>
void gemm(const GemmKernel<T>& kernel, int64_t m, int64_t n, int64_t k, const GemmLanes<T>& a,
          PackPanels<T> pack_b, const GemmOutput<T>& out);

extern template void gemm<float>(const GemmKernel<float>&, int64_t, int64_t, int64_t, const GemmLanes<float>&,
                                 PackPanels<float>, const GemmOutput<float>&);
extern template void gemm<double>(const GemmKernel<double>&, int64_t, int64_t, int64_t,
                                  const GemmLanes<double>&, PackPanels<double>, const GemmOutput<double>&);

}  // namespace lazuli::templates
