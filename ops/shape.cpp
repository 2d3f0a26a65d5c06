#include <lazuli/ops/shape.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

bool same_shape(const Shape& a, const Shape& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](Dim x, Dim y) { return x.same_as(y); });
}

bool is_symbolic(const Shape& shape) {
  return std::any_of(shape.begin(), shape.end(), [](Dim d) { return d.is_symbolic(); });
}

Dim product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), Dim(1), [](Dim a, Dim b) { return a * b; });
}

/// Replaces an extent of -1 by what is left of `from`.
Shape complete_shape(const Shape& from, Shape shape, const char* name) {
  const auto fail = [&] {
    throw std::invalid_argument("[" + std::string(name) + "] cannot make " + shape_to_string(shape) +
                                " of the elements of " + shape_to_string(from));
  };
  int open = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i].is_symbolic() || shape[i].hint() >= 0) continue;
    if (shape[i].hint() != -1 || open >= 0) {
      throw std::invalid_argument("[" + std::string(name) +
                                  "] one extent may be -1, none may be less: " + shape_to_string(shape));
    }
    open = static_cast<int>(i);
  }
  if (!is_symbolic(from) && !is_symbolic(shape)) {
    // As 64-bit numbers: the product of extents may be more than an extent can be.
    const int64_t count = element_count(from);
    if (open >= 0) {
      shape[open] = 1;
      const int64_t rest = element_count(shape);
      shape[open] = -1;
      if (rest == 0 || count % rest != 0) fail();
      shape[open] = count / rest;
    } else if (element_count(shape) != count) {
      fail();
    }
    return shape;
  }
  // Extents on both sides cancel, which keeps what is left simple.
  Shape left = from;
  Dim rest = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (static_cast<int>(i) == open) continue;
    const auto same =
        std::find_if(left.begin(), left.end(), [&](Dim d) { return d.is_symbolic() && d.same_as(shape[i]); });
    if (same != left.end()) {
      left.erase(same);
    } else {
      rest *= shape[i];
    }
  }
  const Dim count = product(left);
  if (open < 0) {
    if (count != rest) fail();
    return shape;
  }
  if (rest == 0 || count % rest != 0) fail();
  shape[open] = count / rest;
  return shape;
}

class Reshape final : public ReshapeOperation {
 public:
  using ReshapeOperation::ReshapeOperation;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    return {lazuli::apply(make_ref<Reshape>(at.inputs[0].shape()), {*cotangents[0]})};
  }
  Differentials jvp(const Application&, const Differentials& tangents) const override {
    return {lazuli::apply(Ref<const Operation>(this), {*tangents[0]})};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim batch) const override {
    return {lazuli::apply(make_ref<Reshape>(with_batch(shape(), batch)), {inputs[0]})};
  }
};

const OperationRegistration<Reshape> reshape_registration(
    "reshape", 1, [](AttributeReader& r) -> Ref<const Operation> {
      Shape shape = r.shape("shape");
      r.require(element_count(shape) == element_count(r.inputs()[0].shape), "shapes");
      return make_ref<Reshape>(std::move(shape));
    });

}  // namespace

array reshape(const array& a, Shape shape, StreamOrDevice s) {
  const StreamContext on(s);
  shape = complete_shape(a.shape(), std::move(shape), "reshape");
  if (same_shape(shape, a.shape())) return a;
  return lazuli::apply(make_ref<Reshape>(std::move(shape)), {a});
}

array flatten(const array& a, int start_axis, int end_axis, StreamOrDevice s) {
  const int rank = static_cast<int>(a.ndim());
  if (rank == 0) return reshape(a, {1}, s);
  const int first = start_axis < 0 ? std::max(start_axis + rank, 0) : start_axis;
  const int last = end_axis < 0 ? end_axis + rank : std::min(end_axis, rank - 1);
  if (first >= rank || last < 0 || last < first) {
    throw std::invalid_argument("[flatten] axes " + std::to_string(start_axis) + " to " +
                                std::to_string(end_axis) + " do not fit an array with " +
                                std::to_string(rank) + " dimensions");
  }
  if (first == last) return a;
  const Shape& from = a.shape();
  Shape shape(from.begin(), from.begin() + first);
  shape.push_back(product(Shape(from.begin() + first, from.begin() + last + 1)));
  shape.insert(shape.end(), from.begin() + last + 1, from.end());
  return reshape(a, std::move(shape), s);
}

array flatten(const array& a, StreamOrDevice s) {
  return flatten(a, 0, -1, s);
}

array unflatten(const array& a, int axis, Shape shape, StreamOrDevice s) {
  if (shape.empty()) throw std::invalid_argument("[unflatten] the new shape must have a dimension");
  axis = normalize_axis(axis, a.ndim(), "unflatten");
  const Shape& from = a.shape();
  shape = complete_shape({from[axis]}, std::move(shape), "unflatten");
  Shape result(from.begin(), from.begin() + axis);
  result.insert(result.end(), shape.begin(), shape.end());
  result.insert(result.end(), from.begin() + axis + 1, from.end());
  return reshape(a, std::move(result), s);
}

array squeeze(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  if (axes.empty()) return a;
  const std::vector<int> dropped = normalize_axes(axes, a.ndim(), "squeeze");
  Shape shape;
  IndexMap map(a.ndim());
  for (int i = 0; i < static_cast<int>(a.ndim()); ++i) {
    if (std::find(dropped.begin(), dropped.end(), i) == dropped.end()) {
      map[i].dim = static_cast<int>(shape.size());
      shape.push_back(a.shape()[i]);
    } else if (a.shape()[i] != 1) {
      throw std::invalid_argument("[squeeze] axis " + std::to_string(i) + " of " +
                                  shape_to_string(a.shape()) + " has an extent other than 1");
    }
  }
  return view_of(a, "squeeze", std::move(shape), std::move(map), s);
}

array squeeze(const array& a, int axis, StreamOrDevice s) {
  return squeeze(a, std::vector<int>{axis}, s);
}

array squeeze(const array& a, StreamOrDevice s) {
  std::vector<int> axes;
  for (size_t i = 0; i < a.ndim(); ++i) {
    if (a.shape()[i] == 1) axes.push_back(static_cast<int>(i));
  }
  return squeeze(a, axes, s);
}

array expand_dims(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  if (axes.empty()) return a;
  const size_t rank = a.ndim() + axes.size();
  const std::vector<int> added = normalize_axes(axes, rank, "expand_dims");
  Shape shape(rank, Dim(1));
  IndexMap map;
  for (int i = 0; i < static_cast<int>(rank); ++i) {
    if (std::find(added.begin(), added.end(), i) != added.end()) continue;
    shape[i] = a.shape()[map.size()];
    map.emplace_back().dim = i;
  }
  return view_of(a, "expand_dims", std::move(shape), std::move(map), s);
}

array expand_dims(const array& a, int axis, StreamOrDevice s) {
  return expand_dims(a, std::vector<int>{axis}, s);
}

namespace {

std::vector<array> for_each(const std::vector<array>& arrays, array (*f)(const array&, StreamOrDevice),
                            StreamOrDevice s) {
  std::vector<array> result;
  for (const array& a : arrays) result.push_back(f(a, s));
  return result;
}

}  // namespace

array atleast_1d(const array& a, StreamOrDevice s) {
  return a.ndim() == 0 ? expand_dims(a, 0, s) : a;
}

array atleast_2d(const array& a, StreamOrDevice s) {
  if (a.ndim() == 0) return expand_dims(a, {0, 1}, s);
  return a.ndim() == 1 ? expand_dims(a, 0, s) : a;
}

array atleast_3d(const array& a, StreamOrDevice s) {
  if (a.ndim() == 0) return expand_dims(a, {0, 1, 2}, s);
  if (a.ndim() == 1) return expand_dims(a, {0, 2}, s);
  return a.ndim() == 2 ? expand_dims(a, 2, s) : a;
}

std::vector<array> atleast_1d(const std::vector<array>& a, StreamOrDevice s) {
  return for_each(a, atleast_1d, s);
}
std::vector<array> atleast_2d(const std::vector<array>& a, StreamOrDevice s) {
  return for_each(a, atleast_2d, s);
}
std::vector<array> atleast_3d(const std::vector<array>& a, StreamOrDevice s) {
  return for_each(a, atleast_3d, s);
}

array transpose(const array& a, std::vector<int> axes, StreamOrDevice s) {
  axes = normalize_axes(axes, a.ndim(), "transpose");
  if (axes.size() != a.ndim()) {
    throw std::invalid_argument("[transpose] " + std::to_string(axes.size()) + " axes were given for " +
                                std::to_string(a.ndim()) + " dimensions");
  }
  if (std::is_sorted(axes.begin(), axes.end())) return a;
  Shape shape;
  IndexMap map(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    shape.push_back(a.shape()[axes[i]]);
    map[axes[i]].dim = static_cast<int>(i);
  }
  return view_of(a, "transpose", std::move(shape), std::move(map), s);
}

array transpose(const array& a, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.rbegin(), axes.rend(), 0);
  return transpose(a, std::move(axes), s);
}

array swapaxes(const array& a, int axis1, int axis2, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  axis1 = normalize_axis(axis1, a.ndim(), "swapaxes");
  axis2 = normalize_axis(axis2, a.ndim(), "swapaxes");
  std::swap(axes[axis1], axes[axis2]);
  return transpose(a, std::move(axes), s);
}

array moveaxis(const array& a, int source, int destination, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  source = normalize_axis(source, a.ndim(), "moveaxis");
  destination = normalize_axis(destination, a.ndim(), "moveaxis");
  axes.erase(axes.begin() + source);
  axes.insert(axes.begin() + destination, source);
  return transpose(a, std::move(axes), s);
}

array broadcast_to(const array& a, const Shape& shape, StreamOrDevice s) {
  if (same_shape(a.shape(), shape)) return a;
  if (!broadcasts_to(a.shape(), shape)) {
    throw std::invalid_argument("[broadcast_to] an array of shape " + shape_to_string(a.shape()) +
                                " cannot be broadcast to " + shape_to_string(shape));
  }
  return view_of(a, "broadcast_to", shape, broadcast_map(a.shape(), shape), s);
}

std::vector<array> broadcast_arrays(const std::vector<array>& inputs, StreamOrDevice s) {
  if (inputs.empty()) return {};
  Shape shape = inputs[0].shape();
  for (const array& input : inputs) shape = broadcast_shapes(shape, input.shape());
  std::vector<array> result;
  for (const array& input : inputs) result.push_back(broadcast_to(input, shape, s));
  return result;
}

}  // namespace lazuli
