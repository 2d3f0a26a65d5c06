#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

class Concatenate final : public ConcatenateOperation {
 public:
  using ConcatenateOperation::ConcatenateOperation;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override {
    Differentials result(at.inputs.size());
    const Shape& whole = at.outputs[0].shape();
    Shape start(whole.size(), Dim(0));
    Shape stop = whole;
    const auto along = static_cast<size_t>(axis());
    for (size_t i = 0; i < at.inputs.size(); ++i) {
      stop[along] = start[along] + at.inputs[i].shape()[along];
      if (wanted[i]) result[i] = slice(*cotangents[0], start, stop);
      start[along] = stop[along];
    }
    return result;
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override {
    std::vector<array> parts;
    for (size_t i = 0; i < inputs.size(); ++i) parts.push_back(as_batched(inputs[i], batched[i], batch));
    return {lazuli::apply(make_ref<Concatenate>(axis() + 1), std::move(parts))};
  }
};

const OperationRegistration<Concatenate> concatenate_registration(
    "concatenate", 1, any_number, [](AttributeReader& r) -> Ref<const Operation> {
      const int rank = static_cast<int>(r.inputs()[0].shape.size());
      return make_ref<Concatenate>(r.integer("axis", 0, rank - 1));
    });

}  // namespace

array concatenate(std::vector<array> arrays, int axis, StreamOrDevice s) {
  const StreamContext on(s);
  if (arrays.empty()) throw std::invalid_argument("[concatenate] there is no array");
  axis = normalize_axis(axis, arrays[0].ndim(), "concatenate");
  if (arrays.size() == 1) return arrays[0];
  Dtype dtype = arrays[0].dtype();
  const Shape& first = arrays[0].shape();
  for (const array& a : arrays) {
    dtype = promote_types(dtype, a.dtype());
    bool fits = a.ndim() == first.size();
    for (size_t i = 0; fits && i < first.size(); ++i) {
      fits = static_cast<int>(i) == axis || a.shape()[i] == first[i];
    }
    if (!fits) {
      throw std::invalid_argument("[concatenate] shapes " + shape_to_string(first) + " and " +
                                  shape_to_string(a.shape()) + " differ in another axis than " +
                                  std::to_string(axis));
    }
  }
  for (array& a : arrays) a = astype(a, dtype, s);
  return lazuli::apply(make_ref<Concatenate>(axis), std::move(arrays));
}

array concatenate(std::vector<array> arrays, StreamOrDevice s) {
  if (!arrays.empty() && arrays[0].ndim() == 0) {
    throw std::invalid_argument("[concatenate] scalars have no axis to be concatenated along");
  }
  return concatenate(std::move(arrays), 0, s);
}

array stack(const std::vector<array>& arrays, int axis, StreamOrDevice s) {
  if (arrays.empty()) throw std::invalid_argument("[stack] there is no array");
  axis = normalize_axis(axis, arrays[0].ndim() + 1, "stack");
  std::vector<array> layers;
  for (const array& a : arrays) {
    if (a.ndim() != arrays[0].ndim() ||
        !std::equal(a.shape().begin(), a.shape().end(), arrays[0].shape().begin())) {
      throw std::invalid_argument("[stack] shapes " + shape_to_string(arrays[0].shape()) + " and " +
                                  shape_to_string(a.shape()) + " differ");
    }
    layers.push_back(expand_dims(a, axis, s));
  }
  return concatenate(std::move(layers), axis, s);
}

array stack(const std::vector<array>& arrays, StreamOrDevice s) {
  return stack(arrays, 0, s);
}

array repeat(const array& arr, int repeats, int axis, StreamOrDevice s) {
  axis = normalize_axis(axis, arr.ndim(), "repeat");
  if (repeats < 0) throw std::invalid_argument("[repeat] the number of repetitions is negative");
  if (repeats == 1) return arr;
  const array column = expand_dims(arr, axis + 1, s);
  Shape shape = column.shape();
  shape[axis + 1] = repeats;
  Shape result = arr.shape();
  result[axis] *= repeats;
  return reshape(broadcast_to(column, shape, s), std::move(result), s);
}

array repeat(const array& arr, int repeats, StreamOrDevice s) {
  return repeat(flatten(arr, s), repeats, 0, s);
}

array tile(const array& arr, std::vector<int> reps, StreamOrDevice s) {
  if (std::any_of(reps.begin(), reps.end(), [](int n) { return n < 0; })) {
    throw std::invalid_argument("[tile] a number of repetitions is negative");
  }
  const size_t rank = std::max(arr.ndim(), reps.size());
  reps.insert(reps.begin(), rank - reps.size(), 1);
  Shape shape(rank - arr.ndim(), Dim(1));
  shape.insert(shape.end(), arr.shape().begin(), arr.shape().end());

  // Each axis that repeats gets one before it, along which the array is broadcast.
  std::vector<int> added;
  Shape broadcast;
  Shape result;
  for (size_t i = 0; i < rank; ++i) {
    if (i < rank - arr.ndim()) {
      added.push_back(static_cast<int>(broadcast.size()));
      broadcast.push_back(reps[i]);
    } else {
      if (reps[i] != 1) {
        added.push_back(static_cast<int>(broadcast.size()));
        broadcast.push_back(reps[i]);
      }
      broadcast.push_back(shape[i]);
    }
    result.push_back(shape[i] * reps[i]);
  }
  return reshape(broadcast_to(expand_dims(arr, added, s), broadcast, s), std::move(result), s);
}

namespace {

array pad_edge(array a, const std::vector<int>& axes, const Shape& low, const Shape& high, StreamOrDevice s) {
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = axes[i];
    const Dim extent = a.shape()[axis];
    if (extent == 0) throw std::invalid_argument("[pad] an axis without elements has no edge");
    const auto edge = [&](Dim position, Dim width) {
      Shape start(a.ndim(), Dim(0));
      Shape stop = a.shape();
      start[axis] = position;
      stop[axis] = position + 1;
      const array line = slice(a, start, stop, s);
      Shape shape = a.shape();
      shape[axis] = width;
      return broadcast_to(line, shape, s);
    };
    std::vector<array> parts;
    if (low[i] > 0) parts.push_back(edge(0, low[i]));
    parts.push_back(a);
    if (high[i] > 0) parts.push_back(edge(extent - 1, high[i]));
    a = concatenate(std::move(parts), axis, s);
  }
  return a;
}

}  // namespace

array pad(const array& a, const std::vector<int>& axes, const Shape& low_pad_size, const Shape& high_pad_size,
          const array& pad_value, const std::string& mode, StreamOrDevice s) {
  if (axes.size() != low_pad_size.size() || axes.size() != high_pad_size.size()) {
    throw std::invalid_argument("[pad] each axis needs a width before and one behind");
  }
  const std::vector<int> where = normalize_axes(axes, a.ndim(), "pad");
  Shape shape = a.shape();
  Shape start(a.ndim(), Dim(0));
  for (size_t i = 0; i < where.size(); ++i) {
    if (low_pad_size[i] < 0 || high_pad_size[i] < 0) {
      throw std::invalid_argument("[pad] a width is negative");
    }
    start[where[i]] = low_pad_size[i];
    shape[where[i]] += low_pad_size[i] + high_pad_size[i];
  }
  if (mode == "edge") return pad_edge(a, where, low_pad_size, high_pad_size, s);
  if (mode != "constant") {
    throw std::invalid_argument("[pad] the mode must be \"constant\" or \"edge\", not \"" + mode + "\"");
  }
  if (pad_value.ndim() != 0) throw std::invalid_argument("[pad] the value to pad with must be a scalar");
  Shape stop;
  for (size_t i = 0; i < a.ndim(); ++i) stop.push_back(start[i] + a.shape()[i]);
  return slice_update(full(shape, pad_value, a.dtype(), s), a, std::move(start), std::move(stop), s);
}

array pad(const array& a, const std::vector<std::pair<int, int>>& pad_width, const array& pad_value,
          const std::string& mode, StreamOrDevice s) {
  if (pad_width.size() != 1 && pad_width.size() != a.ndim()) {
    throw std::invalid_argument("[pad] " + std::to_string(pad_width.size()) + " widths do not fit " +
                                std::to_string(a.ndim()) + " dimensions");
  }
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  Shape low;
  Shape high;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto& width = pad_width[pad_width.size() == 1 ? 0 : i];
    low.push_back(width.first);
    high.push_back(width.second);
  }
  return pad(a, axes, low, high, pad_value, mode, s);
}

array pad(const array& a, const std::pair<int, int>& pad_width, const array& pad_value,
          const std::string& mode, StreamOrDevice s) {
  return pad(a, std::vector<std::pair<int, int>>{pad_width}, pad_value, mode, s);
}

array pad(const array& a, int pad_width, const array& pad_value, const std::string& mode, StreamOrDevice s) {
  return pad(a, std::pair<int, int>{pad_width, pad_width}, pad_value, mode, s);
}

array roll(const array& a, const Shape& shift, const std::vector<int>& axes, StreamOrDevice s) {
  if (shift.size() < axes.size()) throw std::invalid_argument("[roll] each axis needs a shift");
  array result = a;
  const std::vector<int> where = [&] {
    std::vector<int> all;
    for (int axis : axes) all.push_back(normalize_axis(axis, a.ndim(), "roll"));  // one may occur twice
    return all;
  }();
  for (size_t i = 0; i < where.size(); ++i) {
    const Dim extent = a.shape()[where[i]];
    if (extent == 0) continue;
    const Dim distance = shift[i] % extent;
    if (distance == 0) continue;
    Shape start(a.ndim(), Dim(0));
    Shape stop = a.shape();
    start[where[i]] = stop[where[i]] = extent - distance;
    const array tail = slice(result, start, a.shape(), s);
    const array head = slice(result, Shape(a.ndim(), Dim(0)), stop, s);
    result = concatenate({tail, head}, where[i], s);
  }
  return result;
}

array roll(const array& a, int shift, const std::vector<int>& axes, StreamOrDevice s) {
  return roll(a, Shape(axes.size(), Dim(shift)), axes, s);
}

array roll(const array& a, const Shape& shift, int axis, StreamOrDevice s) {
  const Dim total = std::accumulate(shift.begin(), shift.end(), Dim(0));
  return roll(a, Shape{total}, std::vector<int>{axis}, s);
}

array roll(const array& a, int shift, int axis, StreamOrDevice s) {
  return roll(a, Shape{shift}, std::vector<int>{axis}, s);
}

array roll(const array& a, const Shape& shift, StreamOrDevice s) {
  return reshape(roll(flatten(a, s), shift, 0, s), a.shape(), s);
}

array roll(const array& a, int shift, StreamOrDevice s) {
  return roll(a, Shape{shift}, s);
}

std::vector<array> meshgrid(const std::vector<array>& arrays, bool sparse, const std::string& indexing,
                            StreamOrDevice s) {
  if (indexing != "xy" && indexing != "ij") {
    throw std::invalid_argument("[meshgrid] the indexing must be \"xy\" or \"ij\", not \"" + indexing + "\"");
  }
  const size_t rank = arrays.size();
  const bool swaps = indexing == "xy" && rank >= 2;
  std::vector<array> grids;
  for (size_t i = 0; i < rank; ++i) {
    Shape shape(rank, Dim(1));
    shape[swaps && i < 2 ? 1 - i : i] = -1;
    grids.push_back(reshape(arrays[i], std::move(shape), s));
  }
  return sparse ? grids : broadcast_arrays(grids, s);
}

}  // namespace lazuli
