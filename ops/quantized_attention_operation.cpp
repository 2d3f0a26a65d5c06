#include <lazuli/ops/quantized_attention_operation.h>

#include <lazuli/compiler/templates/attention.h>
#include <lazuli/ops/quantized.h>

namespace lazuli {

namespace {

/// Places among the operands.
enum : size_t { key_codes = 1, value_codes = 4, others = 7 };

templates::HeadsView heads_of(const TensorView& tensor) {
  return {tensor.data, tensor.dtype, tensor.strides[0], tensor.strides[1], tensor.strides[2]};
}

}  // namespace

void QuantizedAttentionOperation::attributes(AttributeWriter& writer) const {
  AttentionOperation::attributes(writer);
  writer.write("group_size", group_size_);
  writer.write("bits", bits_);
}

std::vector<ArraySpec> QuantizedAttentionOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape = inputs[0].shape;
  shape[3] = inputs[value_codes + 1].shape[3] * group_size_;
  return {{std::move(shape), settings().dtype}};
}

bool QuantizedAttentionOperation::accepts(int operand, Dtype dtype) const {
  return operand == 0 && AttentionOperation::accepts(operand, dtype);
}

void QuantizedAttentionOperation::describe(std::span<const TensorView> tensors,
                                           templates::AttentionProblem& problem) const {
  problem.bits = bits_;
  problem.group_size = group_size_;
  problem.key_scales = heads_of(tensors[key_codes + 1]);
  problem.key_biases = heads_of(tensors[key_codes + 2]);
  problem.value_scales = heads_of(tensors[value_codes + 1]);
  problem.value_biases = heads_of(tensors[value_codes + 2]);
}

std::vector<array> QuantizedAttentionOperation::whole(const std::vector<array>& inputs) const {
  std::vector<array> result{inputs[0]};
  for (const size_t first : {key_codes, value_codes}) {
    result.push_back(dequantize(inputs[first], inputs[first + 1], inputs[first + 2], group_size_, bits_,
                                "affine", std::nullopt, float32));
  }
  result.insert(result.end(), inputs.begin() + others, inputs.end());
  return result;
}

}  // namespace lazuli
