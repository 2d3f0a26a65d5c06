#include <lazuli/ops/extent_source.h>

#include <algorithm>

namespace lazuli {

void ExtentSource::attributes(AttributeWriter& writer) const {
  writer.write("factors", Shape(factors_));
  writer.write("inverted", inverted_);
  writer.write("dtype", dtype_);
}

kir::Value ExtentSource::expression(ExpressionContext& context, std::span<const kir::Value>) const {
  kir::Builder& b = context.builder();
  kir::Value count = b.constant(int64, 1);
  for (Dim factor : factors_) count = b.mul(count, context.extent(factor));
  if (!inverted_) return b.cast(count, dtype_);
  return b.cast(b.div(b.constant(float64, 1), b.cast(count, float64)), dtype_);
}

array extent_array(std::vector<Dim> factors, Dtype dtype, bool inverted) {
  if (std::any_of(factors.begin(), factors.end(), [](Dim d) { return d.is_symbolic(); })) {
    return lazuli::apply(make_ref<ExtentSource>(std::move(factors), inverted, dtype), {});
  }
  int64_t count = 1;
  for (Dim factor : factors) count *= factor.hint();
  return inverted ? array(1.0 / static_cast<double>(count), dtype) : array(count, dtype);
}

array extent_array(Dim extent, Dtype dtype) {
  return extent_array(std::vector<Dim>{extent}, dtype);
}

}  // namespace lazuli
