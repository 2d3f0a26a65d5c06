#pragma once

#include <cstdint>

#include <lazuli/compiler/holes.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/packing.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

/// A left operand that is made when it is needed: `rows` of them, `columns` deep, which `make` counts from
/// `first`.
struct RowSource {
  const MakeRows* make = nullptr;
  Dtype dtype = float32;
  int64_t first = 0;
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Some rows of such an operand, made into memory that goes when this does.
class MadeRows {
 public:
  /// Rows [first, first + count), in the calling thread.
  MadeRows(const RowSource& source, int64_t first, int64_t count);
  /// All rows, by all threads that they keep busy.
  explicit MadeRows(const RowSource& source);

  const std::byte* data() const { return memory_.data(); }
  /// In elements. Rows are not a power of two apart, so that they do not share places in the caches.
  int64_t row_stride() const { return stride_; }
  MatrixView matrix() const { return {data(), dtype_, stride_, 1}; }

 private:
  Dtype dtype_;
  int64_t stride_;
  Scratch memory_;
};

/// Such an operand as one of a product: `pack` packs what is made, as it would pack a matrix in memory; it is
/// called with the matrix and the arguments of `PackPanels`.
template <typename T, typename Pack>
auto make_lanes(const RowSource& source, Pack pack) {
  return [source, pack](int64_t first, int64_t count, UseLanes<T> use) {
    const MadeRows made(source, first, count);
    const LanesView view = left_lanes(made.matrix());
    GemmRows<T> rows;
    if (source.dtype == (sizeof(T) == sizeof(float) ? float32 : float64)) {
      rows = {reinterpret_cast<const T*>(made.data()), made.row_stride(), 1};
    }
    use([&](int64_t lane, int64_t lanes, int64_t k_first, int64_t k_count, int64_t width,
            T* panels) { pack(view, lane, lanes, k_first, k_count, width, panels); },
        rows);
  };
}

/// Calls `use` with the lanes of a float product: those of `x`, or, if `source` makes some, these.
template <typename Use>
void with_float_lanes(const LanesView& x, const RowSource& source, Use&& use) {
  if (source.make != nullptr) {
    const auto make = make_lanes<float>(source, pack_panels<float>);
    return use(GemmLanes<float>::made_by(make));
  }
  const auto pack = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                        float* panels) { pack_panels(x, first, count, k_first, k_count, width, panels); };
  use(GemmLanes<float>::in_memory(pack));
}

}  // namespace lazuli::templates
