#include <algorithm>
#include <limits>

#include <lazuli/graph/transforms/differentiation.h>
#include <lazuli/graph/transforms/transforms.h>
#include <lazuli/ops/attention_operation.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

/// Gradients and batches of attention.
namespace lazuli {

namespace {

/// How many queries make their scores a burden; they are then cut into so many blocks.
constexpr int many_queries = 512;
constexpr int query_blocks = 8;

/// Rows [first, first + count) of an array [batch, heads, rows, columns].
array rows_of(const array& a, Dim first, Dim count) {
  if (first.same_as(0) && count.same_as(a.shape(2))) return a;
  Shape stop = a.shape();
  stop[2] = first + count;
  return slice(a, Shape{0, 0, first, 0}, stop);
}

}  // namespace

array AttentionOperation::composed(const std::vector<array>& inputs) const {
  return composed(whole(inputs), 0, inputs[0].shape(2));
}

array AttentionOperation::composed(const std::vector<array>& inputs, Dim first, Dim queries) const {
  const Dim batch = inputs[0].shape(0);
  const Dim kv_heads = inputs[1].shape(1);
  const Dim group = inputs[0].shape(1) / kv_heads;
  const Dim keys = inputs[1].shape(2);
  const Shape score_shape{batch, kv_heads, group, queries, keys};
  if (!keys.is_symbolic() && keys.hint() == 0) {
    return zeros({batch, inputs[0].shape(1), queries, inputs[2].shape(3)}, settings_.dtype);
  }
  const array zero(0.0f);
  const array never(-std::numeric_limits<float>::infinity());

  // Heads in groups that share keys and values, which get an axis to be broadcast along.
  const auto wide = [&](const array& a) { return astype(a, float32); };
  const array q = reshape(multiply(wide(rows_of(inputs[0], first, queries)), array(settings_.scale)),
                          {batch, kv_heads, group, queries, inputs[0].shape(3)});
  array scores = matmul(q, swapaxes(expand_dims(wide(inputs[1]), 2), -1, -2));
  if (settings_.soft_cap > 0) {
    const array cap(settings_.soft_cap);
    scores = multiply(cap, tanh(divide(scores, cap)));
  }

  // The rows of keys that count, and the positions of queries and keys.
  size_t next = 3 + static_cast<size_t>(settings_.has_mask) + static_cast<size_t>(settings_.has_sinks);
  const array capacity = extent_array(keys, int32);
  const array length = settings_.has_length ? clip(inputs[next], array(0), capacity) : capacity;
  const array key = arange(keys, int32);
  const array last = subtract(length, extent_array(inputs[0].shape(2) - first, int32));
  const array query = expand_dims(add(arange(queries, int32), last), 1);
  std::optional<array> seen;
  const auto require = [&](const array& condition) {
    seen = seen ? logical_and(*seen, condition) : condition;
  };
  if (settings_.has_length) require(less(key, length));
  if (settings_.causal) require(less_equal(key, query));
  if (settings_.window > 0) require(greater(key, subtract(query, array(settings_.window))));
  next = 3;
  if (settings_.has_mask) {
    const array mask = reshape(rows_of(inputs[next++], first, queries), score_shape);
    if (mask.dtype() == bool_) {
      require(mask);
    } else {
      scores = add(scores, wide(mask));
    }
  }
  if (seen) scores = where(*seen, scores, never);

  // Softmax, by hand: rows without keys give zeros, and a sink is one more score.
  array highest = max(scores, -1, true);
  std::optional<array> sinks;
  if (settings_.has_sinks) {
    sinks = reshape(wide(inputs[next]), {kv_heads, group, 1, 1});
    highest = maximum(highest, *sinks);
  }
  highest = stop_gradient(where(isfinite(highest), highest, zero));
  const array powers = exp(subtract(scores, highest));
  array total = sum(powers, -1, true);
  if (sinks) total = add(total, exp(subtract(*sinks, highest)));
  const array weights = divide(powers, where(equal(total, zero), array(1.0f), total));
  const array out = matmul(weights, expand_dims(wide(inputs[2]), 2));
  return astype(reshape(out, {batch, inputs[0].shape(1), queries, inputs[2].shape(3)}), settings_.dtype);
}

Differentials AttentionOperation::vjp(const Application& at, const Differentials& cotangents,
                                      const std::vector<bool>& wanted) const {
  // A block of queries at a time, so that there need not be the scores of all at once.
  const auto function = [this](const std::vector<array>& operands) {
    const std::vector<array> inputs = whole(operands);
    const Dim queries = inputs[0].shape(2);
    if (queries.hint() < many_queries || queries < many_queries)
      return std::vector{composed(inputs, 0, queries)};
    const Dim size = (queries + (query_blocks - 1)) / query_blocks;
    std::vector<array> blocks;
    for (int i = 0; i < query_blocks; ++i) {
      const Dim count = i + 1 < query_blocks ? size : queries - size * (query_blocks - 1);
      blocks.push_back(composed(inputs, size * i, count));
    }
    return std::vector{concatenate(blocks, 2)};
  };
  return transforms::vjp_of(function, at.inputs, cotangents, wanted);
}

std::vector<array> AttentionOperation::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                            Dim batch) const {
  const size_t tensors = 1 + 2 * parts() + static_cast<size_t>(settings_.has_mask);
  if (std::find(batched.begin() + static_cast<std::ptrdiff_t>(tensors), batched.end(), true) !=
      batched.end()) {
    // Sinks or lengths that differ between members: the kernel takes one for all.
    std::vector<int> axes;
    for (bool is_batched : batched) axes.push_back(is_batched ? 0 : -1);
    const ArrayFunction function = [this](const std::vector<array>& in) { return std::vector{composed(in)}; };
    return lazuli::vmap(function, axes)({inputs.begin(), inputs.end()});
  }
  // Members become rows of the batch that attention has anyway.
  std::vector<array> operands(inputs.begin(), inputs.end());
  for (size_t i = 0; i < tensors; ++i) operands[i] = flatten(as_batched(inputs[i], batched[i], batch), 0, 1);
  const array out = lazuli::apply(Ref<const Operation>(this), std::move(operands));
  const Dim members = inputs[0].shape(batched[0] ? 1 : 0);
  return {unflatten(out, 0, {batch, members})};
}

}  // namespace lazuli
