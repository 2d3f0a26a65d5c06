#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include <lazuli/graph/transforms/primitives.h>
#include <lazuli/graph/transforms/tracing.h>
#include <lazuli/graph/transforms/transforms.h>

namespace lazuli {

namespace {

using transforms::Record;

constexpr int not_mapped = -1;

/// An axis counted from the front; -1 stays.
int checked_axis(int axis, size_t ndim, const char* of) {
  const int rank = static_cast<int>(ndim);
  if (axis < -rank || axis >= rank) {
    throw std::invalid_argument("[vmap] axis " + std::to_string(axis) + " is out of range for " + of +
                                " with " + std::to_string(rank) + " dimensions");
  }
  return axis < not_mapped ? axis + rank : axis;
}

std::vector<int> one_for_each(const std::vector<int>& axes, size_t count, const char* what) {
  if (axes.empty()) return std::vector<int>(count, 0);
  if (axes.size() != count) {
    throw std::invalid_argument("[vmap] " + std::to_string(axes.size()) + " " + what + " axes do not fit " +
                                std::to_string(count) + " arrays");
  }
  return axes;
}

/// Runs the record on batches: of `from`, whose batches come first.
class Batching {
 public:
  Batching(const Record& record, const std::vector<array>& from, const std::vector<array>& batches, Dim batch)
      : batch_(batch) {
    for (size_t i = 0; i < from.size(); ++i) batched_.emplace(from[i].id(), batches[i]);
    for (const Ref<Node>& node : record.nodes()) run(node);
  }
  /// The batch of an array, or null where it is the same for all members.
  const array* find(const array& a) const {
    const auto found = batched_.find(a.id());
    return found == batched_.end() ? nullptr : &found->second;
  }

 private:
  void run(const Ref<Node>& node) {
    std::vector<array> inputs;
    std::vector<bool> is_batched;
    for (const array& input : node->inputs) {
      const array* batch = find(input);
      inputs.push_back(batch != nullptr ? *batch : input);
      is_batched.push_back(batch != nullptr);
    }
    const StreamContext on(transforms::stream_of(*node));
    const std::vector<array> results = transforms::operation_of(*node).vmap(inputs, is_batched, batch_);
    for (size_t i = 0; i < results.size(); ++i) {
      batched_.emplace(array(node, static_cast<uint32_t>(i)).id(), results[i]);
    }
  }

  Dim batch_;
  std::unordered_map<uintptr_t, array> batched_;
};

std::vector<array> mapped(const ArrayFunction& fun, const std::vector<int>& in_axes,
                          const std::vector<int>& out_axes, const std::vector<array>& inputs) {
  const std::vector<int> axes = one_for_each(in_axes, inputs.size(), "input");
  std::vector<array> arguments = inputs;
  std::vector<array> from;
  std::vector<array> batches;
  std::optional<Dim> batch;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const array& input = inputs[i];
    if (axes[i] == not_mapped) continue;
    const int axis = checked_axis(axes[i], input.ndim(), "an argument");
    const Dim extent = input.shape(axis);
    if (batch && *batch != extent) {
      throw std::invalid_argument("[vmap] arguments have " + std::to_string(batch->hint()) + " and " +
                                  std::to_string(extent.hint()) + " members");
    }
    if (!batch) batch = extent;
    Shape shape = input.shape();
    shape.erase(shape.begin() + axis);
    arguments[i] = array(Node::placeholder_of({std::move(shape), input.dtype()}));
    from.push_back(arguments[i]);
    batches.push_back(transforms::with_axis_moved(input, axis, 0));
  }
  if (!batch) throw std::invalid_argument("[vmap] no argument is mapped");

  const std::vector<array> results = [&] {
    const transforms::TracingScope tracing;
    return fun(arguments);
  }();
  const std::vector<int> to = one_for_each(out_axes, results.size(), "output");
  const Batching batching(Record(results, from), from, batches, *batch);
  std::vector<array> outputs;
  for (size_t i = 0; i < results.size(); ++i) {
    const array* found = batching.find(results[i]);
    if (to[i] == not_mapped) {
      if (found != nullptr) {
        throw std::invalid_argument("[vmap] result " + std::to_string(i) +
                                    " differs between members, so that it needs an output axis");
      }
      outputs.push_back(results[i]);
      continue;
    }
    const int axis = checked_axis(to[i], results[i].ndim() + 1, "a result");
    const array members = found != nullptr ? *found : transforms::repeated(results[i], *batch);
    outputs.push_back(transforms::with_axis_moved(members, 0, axis));
  }
  return outputs;
}

}  // namespace

ArrayFunction vmap(const ArrayFunction& fun, const std::vector<int>& in_axes,
                   const std::vector<int>& out_axes) {
  return [=](const std::vector<array>& inputs) { return mapped(fun, in_axes, out_axes, inputs); };
}

std::function<array(const array&)> vmap(const std::function<array(const array&)>& fun, int in_axis,
                                        int out_axis) {
  const ArrayFunction whole = vmap(
      ArrayFunction([fun](const std::vector<array>& inputs) { return std::vector<array>{fun(inputs[0])}; }),
      {in_axis}, {out_axis});
  return [whole](const array& input) { return whole({input})[0]; };
}

std::function<array(const array&, const array&)> vmap(
    const std::function<array(const array&, const array&)>& fun, int in_axis_a, int in_axis_b, int out_axis) {
  const ArrayFunction whole = vmap(ArrayFunction([fun](const std::vector<array>& inputs) {
                                     return std::vector<array>{fun(inputs[0], inputs[1])};
                                   }),
                                   {in_axis_a, in_axis_b}, {out_axis});
  return [whole](const array& a, const array& b) { return whole({a, b})[0]; };
}

}  // namespace lazuli
