#include <lazuli/ops/attention_operation.h>

#include <algorithm>
#include <cstring>

#include <lazuli/compiler/templates/attention.h>
#include <lazuli/ops/strided_copy.h>

namespace lazuli {

namespace {

templates::HeadsView heads_of(const TensorView& tensor) {
  return {tensor.data, tensor.dtype, tensor.strides[0], tensor.strides[1], tensor.strides[2]};
}

}  // namespace

void AttentionOperation::attributes(AttributeWriter& writer) const {
  writer.write("scale", static_cast<double>(settings_.scale));
  writer.write("soft_cap", static_cast<double>(settings_.soft_cap));
  writer.write("window", settings_.window);
  writer.write("causal", settings_.causal);
  writer.write("mask", settings_.has_mask);
  writer.write("sinks", settings_.has_sinks);
  writer.write("length", settings_.has_length);
  writer.write("dtype", settings_.dtype);
}

std::vector<ArraySpec> AttentionOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape = inputs[0].shape;
  shape[3] = inputs[2].shape[3];
  return {{std::move(shape), settings_.dtype}};
}

bool AttentionOperation::accepts(int operand, Dtype dtype) const {
  // Only what loses nothing: a conversion to float32 may be left out, one to half precision rounds.
  return operand < 3 && settings_.dtype == float32 && (dtype == float16 || dtype == bfloat16);
}

void AttentionOperation::execute(std::span<const TensorView> inputs,
                                 std::span<const TensorView> outputs) const {
  const size_t tensor_count = 1 + 2 * parts();
  std::vector<std::vector<std::byte>> storage(tensor_count);
  std::vector<TensorView> tensors;
  for (size_t i = 0; i < tensor_count; ++i) tensors.push_back(with_unit_stride(inputs[i], storage[i]));
  const TensorView& queries = tensors[0];
  const TensorView& keys = tensors[1];
  const TensorView& values = tensors[1 + parts()];
  const TensorView& out = outputs[0];

  templates::AttentionProblem problem;
  problem.batch = queries.shape[0].hint();
  problem.heads = queries.shape[1].hint();
  problem.kv_heads = keys.shape[1].hint();
  problem.query_length = queries.shape[2].hint();
  problem.key_length = keys.shape[2].hint();
  problem.head_dim = queries.shape[3].hint();
  problem.value_dim = out.shape[3].hint();
  problem.queries = heads_of(queries);
  problem.keys = heads_of(keys);
  problem.values = heads_of(values);
  describe(tensors, problem);
  problem.out = out.data;
  problem.out_dtype = out.dtype;
  problem.out_batch_stride = out.strides[0];
  problem.out_head_stride = out.strides[1];
  problem.out_row_stride = out.strides[2];
  problem.scale = settings_.scale;
  problem.soft_cap = settings_.soft_cap;
  problem.causal = settings_.causal;
  problem.window = settings_.window;

  size_t next = tensor_count;
  if (settings_.has_mask) {
    const TensorView& mask = inputs[next++];
    problem.mask = {mask.data,       mask.dtype,      mask.strides[0],
                    mask.strides[1], mask.strides[2], mask.strides[3]};
  }
  std::vector<std::byte> sinks_storage;
  if (settings_.has_sinks) {
    const TensorView sinks = with_unit_stride(inputs[next++], sinks_storage);
    problem.sinks = sinks.data;
    problem.sinks_dtype = sinks.dtype;
  }
  if (settings_.has_length) {
    int32_t length;
    std::memcpy(&length, inputs[next].data, sizeof(length));
    problem.key_length = std::clamp<int64_t>(length, 0, problem.key_length);
  }
  if (element_count(out.shape) > 0) templates::attention(problem);
}

double AttentionOperation::operation_count(std::span<const TensorView> inputs,
                                           std::span<const TensorView> outputs) const {
  const double queries = static_cast<double>(inputs[0].shape[2].hint());
  double keys = static_cast<double>(inputs[1].shape[2].hint());
  // Where queries are the last positions, they see all keys but, on average, half as many as there are
  // queries.
  if (settings_.causal) keys = std::max(keys - queries / 2, keys / 2);
  if (settings_.window > 0) keys = std::min(keys, static_cast<double>(settings_.window));
  const double heads =
      static_cast<double>(inputs[0].shape[0].hint()) * static_cast<double>(inputs[0].shape[1].hint());
  const double dims =
      static_cast<double>(inputs[0].shape[3].hint()) + static_cast<double>(outputs[0].shape[3].hint());
  return 2.0 * heads * queries * keys * dims;
}

}  // namespace lazuli
