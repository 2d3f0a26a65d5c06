#include <algorithm>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/scatter_operation.h>
#include <lazuli/ops/shape.h>

/// Gradients and batches of views and updates, from their index maps.
namespace lazuli {

namespace {

bool mentions(const IndexMap& map, int dim) {
  return std::any_of(map.begin(), map.end(), [&](const IndexTerm& term) { return term.dim == dim; });
}

bool mentions(const std::vector<DynamicIndex>& indices, int dim) {
  return std::any_of(indices.begin(), indices.end(),
                     [&](const DynamicIndex& index) { return mentions(index.map, dim); });
}

std::vector<array> index_operands(std::span<const array> inputs, size_t first) {
  return {inputs.begin() + static_cast<std::ptrdiff_t>(first), inputs.end()};
}

/// Moves operands of dynamic indices behind another number of operands.
std::vector<DynamicIndex> renumbered(std::vector<DynamicIndex> indices, int shift) {
  for (DynamicIndex& index : indices) index.operand += shift;
  return indices;
}

std::vector<array> joined(std::vector<array> operands, const std::vector<array>& more) {
  operands.insert(operands.end(), more.begin(), more.end());
  return operands;
}

/// The map that leads back, where it is one between all elements of both: a permutation of dimensions, with
/// dimensions of extent 1 left out or put in, and flips.
std::optional<IndexMap> inverse(const IndexMap& map, const Shape& input, const Shape& output) {
  IndexMap back(output.size());
  for (size_t d = 0; d < map.size(); ++d) {
    const IndexTerm& term = map[d];
    if (term.dim < 0) {
      if (!input[d].same_as(Dim(1))) return std::nullopt;
      continue;
    }
    const auto from = static_cast<size_t>(term.dim);
    const bool is_flip = term.scale.same_as(Dim(-1)) && term.offset.same_as(input[d] - 1);
    const bool is_plain = term.scale.same_as(Dim(1)) && term.offset.same_as(Dim(0));
    if (!(is_flip || is_plain) || !is_same(input[d], output[from]) || back[from].dim >= 0)
      return std::nullopt;
    back[from] = {.dim = static_cast<int>(d), .scale = term.scale, .offset = term.offset};
  }
  for (size_t d = 0; d < output.size(); ++d) {
    if (back[d].dim < 0 && !output[d].same_as(Dim(1))) return std::nullopt;
  }
  return back;
}

/// The gradient of reading one element along an axis for each place in the others, as a comparison of
/// positions, which fuses with what is around it; nothing where the view is another one. `g` and the index
/// have the shape that the view gives, `output`.
std::optional<array> one_of_each(const IndexMap& map, const DynamicIndex& index, const array& index_operand,
                                 const array& g, const Shape& input, const Shape& output) {
  IndexMap back(output.size());
  int axis = -1;
  for (size_t d = 0; d < map.size(); ++d) {
    const IndexTerm& term = map[d];
    if (term.dynamic >= 0) {
      if (term.dim >= 0 || !term.offset.same_as(Dim(0))) return std::nullopt;
      axis = static_cast<int>(d);
      continue;
    }
    if (term.dim < 0) {
      if (!input[d].same_as(Dim(1))) return std::nullopt;
      continue;
    }
    const auto from = static_cast<size_t>(term.dim);
    if (!term.scale.same_as(Dim(1)) || !term.offset.same_as(Dim(0)) || !is_same(input[d], output[from]) ||
        back[from].dim >= 0) {
      return std::nullopt;
    }
    back[from].dim = static_cast<int>(d);
  }
  for (size_t d = 0; d < output.size(); ++d) {
    if (back[d].dim < 0 && !output[d].same_as(Dim(1))) return std::nullopt;
  }
  Shape shape = input;
  shape[static_cast<size_t>(axis)] = 1;
  const array own = view_of(g, "transpose", shape, back, {});
  array place = astype(view_of(index_operand, "transpose", shape, compose(index.map, back), {}), int64);
  if (!issubdtype(index_operand.dtype(), unsignedinteger)) {
    const array zero(int64_t{0});
    place = maximum(where(less(place, zero), add(place, extent_array(index.extent, int64)), place), zero);
  }
  place = astype(minimum(place, extent_array(index.limit, int64)), int32);
  std::vector<int> added;
  for (int d = axis + 1; d < static_cast<int>(input.size()); ++d) added.push_back(d - axis);
  const array positions = expand_dims(arange(input[static_cast<size_t>(axis)], int32), added);
  return where(equal(positions, place), own, array(0, g.dtype()));
}

}  // namespace

IndexMap batched_map(const IndexMap& map, bool map_is_batched) {
  IndexMap result;
  if (map_is_batched) result.emplace_back().dim = 0;
  for (IndexTerm term : map) {
    if (term.dim >= 0) ++term.dim;
    result.push_back(term);
  }
  return result;
}

std::vector<DynamicIndex> batched_indices(const std::vector<DynamicIndex>& indices,
                                          const std::vector<bool>& batched) {
  std::vector<DynamicIndex> result = indices;
  for (DynamicIndex& index : result) {
    index.map = batched_map(index.map, batched[static_cast<size_t>(index.operand)]);
  }
  return result;
}

Differentials IndexedView::vjp(const Application& at, const Differentials& cotangents,
                               const std::vector<bool>& wanted) const {
  Differentials result(at.inputs.size());
  if (!wanted[0]) return result;
  const Shape& input = at.inputs[0].shape();
  Shape output = shape_;
  array g = *cotangents[0];

  // Elements that are read many times, along dimensions that nothing depends on, get a sum.
  std::vector<int> summed;
  for (int d = 0; d < static_cast<int>(shape_.size()); ++d) {
    if (!mentions(map_, d) && !mentions(dynamic_, d) && !shape_[static_cast<size_t>(d)].same_as(Dim(1))) {
      summed.push_back(d);
    }
  }
  if (!summed.empty()) g = sum(g, summed, true);
  for (int d : summed) output[static_cast<size_t>(d)] = 1;
  if (dynamic_.empty()) {
    if (auto back = inverse(map_, input, output)) {
      bool is_identity = g.ndim() == input.size();
      for (size_t d = 0; is_identity && d < map_.size(); ++d) {
        is_identity =
            (map_[d].dim == static_cast<int>(d) || map_[d].dim < 0) && map_[d].scale.same_as(Dim(1));
      }
      result[0] = is_identity ? g : view_of(g, "transpose", input, std::move(*back), {});
      return result;
    }
  }
  if (dynamic_.size() == 1) {
    const array& index = at.inputs[static_cast<size_t>(dynamic_[0].operand)];
    result[0] = one_of_each(map_, dynamic_[0], index, g, input, output);
    if (result[0]) return result;
  }
  // Where each index is the same for all elements, no place is written twice.
  const bool is_injective = std::all_of(dynamic_.begin(), dynamic_.end(), [&](const DynamicIndex& index) {
    return std::all_of(index.map.begin(), index.map.end(),
                       [](const IndexTerm& term) { return term.dim < 0; });
  });
  // One zero that is repeated, where sums are made: they need not be in memory before.
  const array base = is_injective ? zeros(input, g.dtype()) : broadcast_to(zeros({}, g.dtype()), input);
  const std::vector<array> operands = joined({base, g}, index_operands(at.inputs, 1));
  std::vector<DynamicIndex> indices = renumbered(dynamic_, 1);
  result[0] =
      is_injective
          ? lazuli::apply(make_ref<IndexedUpdate>("slice_update", map_, std::move(indices)), operands)
          : lazuli::apply(make_ref<ScatterOperation>(ScatterMode::add, map_, std::move(indices)), operands);
  return result;
}

Differentials IndexedView::jvp(const Application& at, const Differentials& tangents) const {
  if (!tangents[0]) return {std::nullopt};
  return {lazuli::apply(Ref<const Operation>(this), joined({*tangents[0]}, index_operands(at.inputs, 1)))};
}

std::vector<array> IndexedView::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                     Dim batch) const {
  return {lazuli::apply(make_ref<IndexedView>(name_, with_batch(shape_, batch), batched_map(map_, batched[0]),
                                              batched_indices(dynamic_, batched)),
                        {inputs.begin(), inputs.end()})};
}

Differentials IndexedUpdate::vjp(const Application& at, const Differentials& cotangents,
                                 const std::vector<bool>& wanted) const {
  Differentials result(at.inputs.size());
  const array& g = *cotangents[0];
  const Shape& update = at.inputs[1].shape();
  const std::vector<array> indices = index_operands(at.inputs, 2);
  if (wanted[0]) {
    result[0] = lazuli::apply(Ref<const Operation>(this), joined({g, zeros(update, g.dtype())}, indices));
  }
  if (wanted[1]) {
    result[1] = lazuli::apply(make_ref<IndexedView>("slice", update, map_, renumbered(dynamic_, -1)),
                              joined({g}, indices));
  }
  return result;
}

Differentials IndexedUpdate::jvp(const Application& at, const Differentials& tangents) const {
  const auto tangent = [&](size_t i) { return tangents[i] ? *tangents[i] : zeros_like(at.inputs[i]); };
  return {lazuli::apply(Ref<const Operation>(this),
                        joined({tangent(0), tangent(1)}, index_operands(at.inputs, 2)))};
}

std::vector<array> IndexedUpdate::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                       Dim batch) const {
  std::vector<array> operands(inputs.begin(), inputs.end());
  operands[0] = as_batched(inputs[0], batched[0], batch);
  operands[1] = as_batched(inputs[1], batched[1], batch);
  return {lazuli::apply(
      make_ref<IndexedUpdate>(name_, batched_map(map_, true), batched_indices(dynamic_, batched)),
      std::move(operands))};
}

}  // namespace lazuli
