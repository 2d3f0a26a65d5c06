#pragma once

#include <vector>

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// A scalar without operands: the product of extents (or its inverse), as they are when it runs.
class ExtentSource final : public ElementwiseOperation {
 public:
  ExtentSource(std::vector<Dim> factors, bool inverted, Dtype dtype)
      : factors_(std::move(factors)), inverted_(inverted), dtype_(dtype) {}
  std::string_view name() const override { return "number_of_elements"; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec>) const override { return {{{}, dtype_}}; }
  kir::Value expression(ExpressionContext& context, std::span<const kir::Value> inputs) const override;

 private:
  std::vector<Dim> factors_;
  bool inverted_;
  Dtype dtype_;
};

/// An extent as a scalar array: a constant, where the extent is one.
array extent_array(Dim extent, Dtype dtype);
/// The same for a product.
array extent_array(std::vector<Dim> factors, Dtype dtype, bool inverted = false);

}  // namespace lazuli
