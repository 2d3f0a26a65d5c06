#pragma once

#include <lazuli/ops/attention_operation.h>

namespace lazuli {

/// Attention whose keys and values are codes, scales and biases of the affine mode (ops/quantized.h), in
/// groups along their last axis. The kernels read the codes; in `composed` forms, of gradients for instance,
/// they are dequantized first.
class QuantizedAttentionOperation final : public AttentionOperation {
 public:
  QuantizedAttentionOperation(const Settings& settings, int group_size, int bits)
      : AttentionOperation(settings), group_size_(group_size), bits_(bits) {}
  std::string_view name() const override { return "quantized_scaled_dot_product_attention"; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  bool accepts(int operand, Dtype dtype) const override;

 protected:
  size_t parts() const override { return 3; }
  void describe(std::span<const TensorView> tensors, templates::AttentionProblem& problem) const override;
  std::vector<array> whole(const std::vector<array>& inputs) const override;

 private:
  int group_size_;
  int bits_;
};

}  // namespace lazuli
