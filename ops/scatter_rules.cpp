#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/scatter_operation.h>

/// Gradients and batches of accumulating scatters.
namespace lazuli {

array ScatterOperation::scattered(ScatterMode mode, const array& base, const array& updates,
                                  std::span<const array> inputs) const {
  std::vector<array> operands{base, updates};
  operands.insert(operands.end(), inputs.begin() + 2, inputs.end());
  return lazuli::apply(make_ref<ScatterOperation>(mode, map_, dynamic_), std::move(operands));
}

array ScatterOperation::gathered(const array& a, const Shape& updates, std::span<const array> inputs) const {
  std::vector<array> operands{a};
  operands.insert(operands.end(), inputs.begin() + 2, inputs.end());
  std::vector<DynamicIndex> dynamic = dynamic_;
  for (DynamicIndex& index : dynamic) --index.operand;
  return lazuli::apply(make_ref<IndexedView>("gather", updates, map_, std::move(dynamic)),
                       std::move(operands));
}

Differentials ScatterOperation::vjp(const Application& at, const Differentials& cotangents,
                                    const std::vector<bool>& wanted) const {
  Differentials result(at.inputs.size());
  const array& base = at.inputs[0];
  const array& updates = at.inputs[1];
  const array& out = at.outputs[0];
  const array& g = *cotangents[0];
  const auto at_updates = [&](const array& a) { return gathered(a, updates.shape(), at.inputs); };
  // A share of the base is found at places, one of the updates at the place of each.
  const auto distribute = [&](const auto& share_of) {
    if (wanted[0]) result[0] = share_of(base, [](const array& a) { return a; });
    if (wanted[1]) result[1] = share_of(updates, at_updates);
  };
  switch (mode_) {
    case ScatterMode::add:
      distribute([&](const array&, const auto& place) { return place(g); });
      break;
    case ScatterMode::max:
    case ScatterMode::min: {
      // Equal extremes share the cotangent.
      const array of_base = astype(equal(base, out), g.dtype());
      const array of_updates = astype(equal(updates, at_updates(out)), g.dtype());
      const array share = divide(g, scattered(ScatterMode::add, of_base, of_updates, at.inputs));
      if (wanted[0]) result[0] = multiply(share, of_base);
      if (wanted[1]) result[1] = multiply(at_updates(share), of_updates);
      break;
    }
    case ScatterMode::prod: {
      // For each factor the product of the others, without dividing by zero. Where just one of these is zero
      // the product is, too, but not its derivative with respect to that one.
      const array zero(0, g.dtype());
      const auto safe = [&](const array& a) { return where(equal(a, zero), array(1, g.dtype()), a); };
      const auto is_zero = [&](const array& a) { return astype(equal(a, zero), int32); };
      const auto if_zero = [&](const array& a) { return where(equal(a, zero), a, zero); };
      const array factors = scattered(ScatterMode::prod, safe(base), safe(updates), at.inputs);
      const array zeros = scattered(ScatterMode::add, is_zero(base), is_zero(updates), at.inputs);
      const array sum_of_zeros = scattered(ScatterMode::add, if_zero(base), if_zero(updates), at.inputs);
      distribute([&](const array& own, const auto& place) {
        const array others = divide(place(multiply(g, conjugate(factors))), conjugate(safe(own)));
        const array the_zero = conjugate(subtract(place(sum_of_zeros), if_zero(own)));
        const array other_zeros = subtract(place(zeros), is_zero(own));
        return where(equal(other_zeros, array(0)), others,
                     where(equal(other_zeros, array(1)), multiply(others, the_zero), zero));
      });
      break;
    }
  }
  return result;
}

std::vector<array> ScatterOperation::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                          Dim batch) const {
  std::vector<array> operands(inputs.begin(), inputs.end());
  operands[0] = as_batched(inputs[0], batched[0], batch);
  operands[1] = as_batched(inputs[1], batched[1], batch);
  return {lazuli::apply(
      make_ref<ScatterOperation>(mode_, batched_map(map_, true), batched_indices(dynamic_, batched)),
      std::move(operands))};
}

}  // namespace lazuli
