#pragma once

#include <vector>

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// How a kernel goes over its input: an entry for each spatial axis. See `templates::ConvolutionProblem`.
struct ConvolutionForm {
  std::vector<int> stride;
  std::vector<int> padding;  ///< in front; what is behind follows from the extents
  std::vector<int> kernel_dilation;
  std::vector<int> input_dilation;
  int groups = 1;
  bool flip = false;
};

/// A convolution with one to three spatial axes, whose result has the extents `spatial` along them. Operands:
/// input [n, spatial axes, channels] and weight [features, kernel axes, channels / groups], float32 or
/// float64.
class ConvolutionOperation final : public HostOperation {
 public:
  ConvolutionOperation(ConvolutionForm form, Shape spatial)
      : form_(std::move(form)), spatial_(std::move(spatial)) {}
  std::string_view name() const override { return "convolution"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int operand) const override { return operand == 0; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  Differentials jvp(const Application& at, const Differentials& tangents) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  ConvolutionForm form_;
  Shape spatial_;
};

/// The cotangent of a convolution's weight, given its input and the cotangent of its result; `kernel` are the
/// weight's spatial extents. Linear in both.
class ConvolutionWeightOperation final : public HostOperation {
 public:
  ConvolutionWeightOperation(ConvolutionForm form, Shape kernel)
      : form_(std::move(form)), kernel_(std::move(kernel)) {}
  std::string_view name() const override { return "convolution_weight"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  Differentials jvp(const Application& at, const Differentials& tangents) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  ConvolutionForm form_;
  Shape kernel_;
};

}  // namespace lazuli
