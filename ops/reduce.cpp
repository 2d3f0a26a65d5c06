#include <lazuli/ops/reduce.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/cumulative.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

using kir::Opcode;
using Axes = std::vector<int>;

Axes every_axis(const array& a) {
  Axes axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

void require_elements(const array& a, const Axes& axes, const char* name) {
  for (int axis : axes) {
    if (a.shape()[axis] == 0) {
      throw std::invalid_argument("[" + std::string(name) + "] there is no element along axis " +
                                  std::to_string(axis) + " of " + shape_to_string(a.shape()));
    }
  }
}

/// Half precision is widened where intermediate results would not fit it.
Dtype wide(Dtype dtype) {
  return dtype == float16 || dtype == bfloat16 ? float32 : dtype;
}

/// A reduction with its rules.
class Reduction final : public ReductionOperation {
 public:
  using ReductionOperation::ReductionOperation;

  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    const array& x = at.inputs[0];
    const array& g = *cotangents[0];
    switch (op()) {
      case Opcode::reduce_sum:
        return {broadcast_to(g, x.shape())};
      case Opcode::reduce_prod:
        return {multiply(g, other_factors(x))};
      case Opcode::reduce_max:
      case Opcode::reduce_min: {
        // Equal extremes share the cotangent.
        const array is_extreme = astype(equal(x, at.outputs[0]), x.dtype());
        return {multiply(is_extreme, divide(g, sum(is_extreme, axes(), true)))};
      }
      default:
        return Operation::vjp(at, cotangents, {});
    }
  }

  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    Axes shifted = axes();
    for (int& axis : shifted) ++axis;
    return {lazuli::apply(make_ref<Reduction>(op(), std::move(shifted), output_dtype()), {inputs[0]})};
  }

 private:
  /// For each element the product of the others: of those before it and of those behind it. Nothing is
  /// divided, so that it is right, and has derivatives, where elements are 0.
  array other_factors(const array& x) const {
    std::vector<int> order;
    for (int d = 0; d < static_cast<int>(x.ndim()); ++d) {
      if (std::find(axes().begin(), axes().end(), d) == axes().end()) order.push_back(d);
    }
    const int kept = static_cast<int>(order.size());
    order.insert(order.end(), axes().begin(), axes().end());
    Shape extents;
    for (const int axis : axes()) extents.push_back(x.shape()[static_cast<size_t>(axis)]);
    const array rows = flatten(transpose(astype(x, wide(x.dtype())), order), kept, -1);
    const array others = multiply(cumprod(rows, -1, false, false), cumprod(rows, -1, true, false));
    std::vector<int> back(order.size());
    for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int>(i);
    return transpose(astype(unflatten(others, kept, std::move(extents)), x.dtype()), back);
  }
};

const OperationRegistration<Reduction> reduction_registration(
    "reduction", 1, [](AttributeReader& r) -> Ref<const Operation> {
      Axes axes = r.integers("axes");
      const Dtype dtype = r.dtype("dtype");
      const ArraySpec& input = r.inputs()[0];
      for (size_t i = 0; i < axes.size(); ++i) {
        r.require(axes[i] >= 0 && axes[i] < static_cast<int>(input.shape.size()), "axes");
        r.require(i == 0 || axes[i - 1] < axes[i], "axes");
      }
      for (const Opcode op :
           {Opcode::reduce_sum, Opcode::reduce_prod, Opcode::reduce_min, Opcode::reduce_max,
            Opcode::reduce_and, Opcode::reduce_or, Opcode::reduce_argmin, Opcode::reduce_argmax}) {
        Ref<const Operation> made = make_ref<Reduction>(op, axes, dtype);
        if (made->name() != r.name()) continue;
        const bool is_position = op == Opcode::reduce_argmin || op == Opcode::reduce_argmax;
        const bool is_logic = op == Opcode::reduce_and || op == Opcode::reduce_or;
        r.require(dtype == (is_position ? int64 : input.dtype), "dtypes");
        r.require(input.dtype != complex64 || op == Opcode::reduce_sum, "dtypes");
        r.require(!is_logic || dtype == bool_, "dtypes");
        r.require(!is_position || axes.size() == 1, "axes");
        return made;
      }
      throw std::runtime_error("there is no such reduction");
    });

/// `a` reduced along axes, as `dtype`, in which it is computed.
array reduce(Opcode op, const array& a, const Axes& axes, bool keepdims, Dtype dtype, const char* name,
             StreamOrDevice s) {
  const StreamContext on(s);
  Axes sorted = normalize_axes(axes, a.ndim(), name);
  if (sorted.empty()) return a;
  std::sort(sorted.begin(), sorted.end());
  const array result = lazuli::apply(make_ref<Reduction>(op, sorted, dtype), {a});
  return keepdims ? result : squeeze(result, sorted, s);
}

/// The dtype in which elements are added and multiplied.
Dtype sum_dtype(Dtype dtype) {
  if (issubdtype(dtype, inexact)) return dtype;
  const bool is_wide = dtype.size() == 8;
  if (issubdtype(dtype, unsignedinteger)) return is_wide ? uint64 : uint32;
  return is_wide ? int64 : int32;
}

array element_count_of(const array& a, const Axes& axes, Dtype dtype, bool inverted, const char* name) {
  std::vector<Dim> factors;
  for (int axis : normalize_axes(axes, a.ndim(), name)) factors.push_back(a.shape()[axis]);
  return extent_array(std::move(factors), dtype, inverted);
}

}  // namespace

// Logic.

array all(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  return reduce(Opcode::reduce_and, astype(a, bool_, s), axes, keepdims, bool_, "all", s);
}
array all(const array& a, bool keepdims, StreamOrDevice s) {
  return all(a, every_axis(a), keepdims, s);
}
array all(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return all(a, Axes{axis}, keepdims, s);
}

array any(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  return reduce(Opcode::reduce_or, astype(a, bool_, s), axes, keepdims, bool_, "any", s);
}
array any(const array& a, bool keepdims, StreamOrDevice s) {
  return any(a, every_axis(a), keepdims, s);
}
array any(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return any(a, Axes{axis}, keepdims, s);
}

array array_equal(const array& a, const array& b, bool equal_nan, StreamOrDevice s) {
  if (!(a.shape() == b.shape())) return array(false);
  array same = equal(a, b, s);
  if (equal_nan) same = logical_or(same, logical_and(isnan(a, s), isnan(b, s), s), s);
  return all(same, false, s);
}

array allclose(const array& a, const array& b, double rtol, double atol, bool equal_nan, StreamOrDevice s) {
  return all(isclose(a, b, rtol, atol, equal_nan, s), false, s);
}

// Sums and products.

array sum(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  const Dtype dtype = sum_dtype(a.dtype());
  return reduce(Opcode::reduce_sum, astype(a, dtype, s), axes, keepdims, dtype, "sum", s);
}
array sum(const array& a, bool keepdims, StreamOrDevice s) {
  return sum(a, every_axis(a), keepdims, s);
}
array sum(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return sum(a, Axes{axis}, keepdims, s);
}

namespace {

/// The array with `axes` moved behind all others and made one.
array with_reduced_last(const array& a, Axes& axes) {
  std::sort(axes.begin(), axes.end());
  Axes order;
  for (int d = 0; d < static_cast<int>(a.ndim()); ++d) {
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) order.push_back(d);
  }
  const int kept = static_cast<int>(order.size());
  order.insert(order.end(), axes.begin(), axes.end());
  return flatten(transpose(a, order), kept, -1);
}

/// Products of complex numbers, as the last of cumulative ones.
array complex_prod(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  const StreamContext on(s);
  Axes reduced = normalize_axes(axes, a.ndim(), "prod");
  if (reduced.empty()) return a;
  const array rows = with_reduced_last(a, reduced);
  Shape shape = rows.shape();
  shape.pop_back();
  array result = ones(shape, complex64);
  if (rows.shape().back() != 0) {
    // From the end to the first: that one's place is known for any length.
    const array products = cumprod(rows, -1, true);
    Shape stop = products.shape();
    stop.back() = 1;
    result = squeeze(slice(products, Shape(products.ndim(), Dim(0)), stop), -1);
  }
  return keepdims ? expand_dims(result, reduced) : result;
}

}  // namespace

array prod(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  if (a.dtype() == complex64) return complex_prod(a, axes, keepdims, s);
  const Dtype dtype = sum_dtype(a.dtype());
  return reduce(Opcode::reduce_prod, astype(a, dtype, s), axes, keepdims, dtype, "prod", s);
}
array prod(const array& a, bool keepdims, StreamOrDevice s) {
  return prod(a, every_axis(a), keepdims, s);
}
array prod(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return prod(a, Axes{axis}, keepdims, s);
}

array count_nonzero(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  return sum(astype(astype(a, bool_, s), int32, s), axes, keepdims, s);
}
array count_nonzero(const array& a, bool keepdims, StreamOrDevice s) {
  return count_nonzero(a, every_axis(a), keepdims, s);
}
array count_nonzero(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return count_nonzero(a, Axes{axis}, keepdims, s);
}

// Extremes.

namespace {

/// The first place of the greatest or least complex number: they are ordered by their real parts, then by
/// their imaginary ones. What is no number comes before all others.
array complex_position(bool greatest, const array& a, int axis, bool keepdims) {
  const auto best_of = [&](const array& x) { return greatest ? max(x, axis, true) : min(x, axis, true); };
  const float worst =
      greatest ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  const array re = real(a), im = imag(a);
  const array first = equal(re, best_of(re));
  const array second = equal(im, best_of(where(first, im, array(worst))));
  const array rank = where(isnan(a), array(2), where(logical_and(first, second), array(1), array(0)));
  return argmax(rank, axis, keepdims);
}

array complex_extreme(bool greatest, const array& a, Axes axes, bool keepdims) {
  if (axes.empty()) return a;
  const array rows = with_reduced_last(a, axes);
  const array result = squeeze(take_along_axis(rows, complex_position(greatest, rows, -1, true), -1), -1);
  return keepdims ? expand_dims(result, axes) : result;
}

array extreme(Opcode op, const array& a, const Axes& axes, bool keepdims, const char* name,
              StreamOrDevice s) {
  const Axes reduced = normalize_axes(axes, a.ndim(), name);
  require_elements(a, reduced, name);
  if (a.dtype() == complex64) {
    const StreamContext on(s);
    return complex_extreme(op == Opcode::reduce_max, a, reduced, keepdims);
  }
  return reduce(op, a, reduced, keepdims, a.dtype(), name, s);
}

array position(Opcode op, const array& a, int axis, bool keepdims, const char* name, StreamOrDevice s) {
  axis = normalize_axis(axis, a.ndim(), name);
  require_elements(a, {axis}, name);
  if (a.dtype() == complex64) {
    const StreamContext on(s);
    return complex_position(op == Opcode::reduce_argmax, a, axis, keepdims);
  }
  return astype(reduce(op, a, {axis}, keepdims, int64, name, s), uint32, s);
}

array position(Opcode op, const array& a, bool keepdims, const char* name, StreamOrDevice s) {
  const array result = position(op, flatten(a, s), 0, false, name, s);
  return keepdims && a.ndim() > 0 ? reshape(result, Shape(a.ndim(), Dim(1)), s) : result;
}

}  // namespace

array max(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  return extreme(Opcode::reduce_max, a, axes, keepdims, "max", s);
}
array max(const array& a, bool keepdims, StreamOrDevice s) {
  return max(a, every_axis(a), keepdims, s);
}
array max(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return max(a, Axes{axis}, keepdims, s);
}

array min(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  return extreme(Opcode::reduce_min, a, axes, keepdims, "min", s);
}
array min(const array& a, bool keepdims, StreamOrDevice s) {
  return min(a, every_axis(a), keepdims, s);
}
array min(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return min(a, Axes{axis}, keepdims, s);
}

array argmin(const array& a, bool keepdims, StreamOrDevice s) {
  return position(Opcode::reduce_argmin, a, keepdims, "argmin", s);
}
array argmin(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return position(Opcode::reduce_argmin, a, axis, keepdims, "argmin", s);
}
array argmax(const array& a, bool keepdims, StreamOrDevice s) {
  return position(Opcode::reduce_argmax, a, keepdims, "argmax", s);
}
array argmax(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return position(Opcode::reduce_argmax, a, axis, keepdims, "argmax", s);
}

// Moments.

array number_of_elements(const array& a, std::vector<int> axes, bool inverted, Dtype dtype,
                         StreamOrDevice s) {
  const StreamContext on(s);
  return element_count_of(a, axes, dtype, inverted, "number_of_elements");
}

array mean(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  const Dtype dtype = at_least_float(a.dtype());
  const array total = sum(astype(a, wide(dtype), s), axes, keepdims, s);
  const array count = element_count_of(a, axes, dtype == complex64 ? float32 : wide(dtype), false, "mean");
  return astype(divide(total, count, s), dtype, s);
}
array mean(const array& a, bool keepdims, StreamOrDevice s) {
  return mean(a, every_axis(a), keepdims, s);
}
array mean(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return mean(a, Axes{axis}, keepdims, s);
}

array var(const array& a, const Axes& axes, bool keepdims, int ddof, StreamOrDevice s) {
  const Dtype dtype = at_least_float(a.dtype());
  const Dtype counted = dtype == complex64 ? float32 : wide(dtype);
  const array x = astype(a, wide(dtype), s);
  const array distance = subtract(x, mean(x, axes, true, s), s);
  const array total = sum(square(distance, s), axes, keepdims, s);
  array count = element_count_of(a, axes, counted, false, "var");
  if (ddof != 0) {
    count = maximum(subtract(count, array(ddof, counted), s), array(0, counted), s);
  }
  return astype(divide(total, count, s), dtype, s);
}
array var(const array& a, bool keepdims, int ddof, StreamOrDevice s) {
  return var(a, every_axis(a), keepdims, ddof, s);
}
array var(const array& a, int axis, bool keepdims, int ddof, StreamOrDevice s) {
  return var(a, Axes{axis}, keepdims, ddof, s);
}

array std(const array& a, const Axes& axes, bool keepdims, int ddof, StreamOrDevice s) {
  return sqrt(var(a, axes, keepdims, ddof, s), s);
}
array std(const array& a, bool keepdims, int ddof, StreamOrDevice s) {
  return std(a, every_axis(a), keepdims, ddof, s);
}
array std(const array& a, int axis, bool keepdims, int ddof, StreamOrDevice s) {
  return std(a, Axes{axis}, keepdims, ddof, s);
}

// Exponentials.

array logsumexp(const array& a, const Axes& axes, bool keepdims, StreamOrDevice s) {
  const Axes where = normalize_axes(axes, a.ndim(), "logsumexp");
  require_elements(a, where, "logsumexp");
  const Dtype dtype = at_least_float(a.dtype());
  const array x = astype(a, wide(dtype), s);
  // What is subtracted cancels out, in derivatives too.
  const array highest = stop_gradient(max(x, where, true, s), s);
  // An infinite maximum is not subtracted: the exponentials say what comes of it.
  const array shift = lazuli::where(isfinite(highest, s), highest, array(0, x.dtype()), s);
  array result = add(log(sum(exp(subtract(x, shift, s), s), where, true, s), s), shift, s);
  // Exponentials of infinite complex numbers say nothing of the sum.
  if (dtype == complex64) result = lazuli::where(isfinite(highest, s), result, highest, s);
  return astype(keepdims ? result : squeeze(result, where, s), dtype, s);
}
array logsumexp(const array& a, bool keepdims, StreamOrDevice s) {
  return logsumexp(a, every_axis(a), keepdims, s);
}
array logsumexp(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return logsumexp(a, Axes{axis}, keepdims, s);
}

array softmax(const array& a, const Axes& axes, bool, StreamOrDevice s) {
  const Axes where = normalize_axes(axes, a.ndim(), "softmax");
  const Dtype dtype = at_least_float(a.dtype());
  const array x = astype(a, wide(dtype), s);
  if (std::any_of(where.begin(), where.end(), [&](int axis) { return a.shape()[axis] == 0; })) {
    return astype(x, dtype, s);
  }
  // What is subtracted cancels out, in derivatives too.
  const array highest = stop_gradient(max(x, where, true, s), s);
  const array powers = exp(subtract(x, highest, s), s);
  // One division a row: the sum is at least 1, so that its reciprocal is a normal number.
  return astype(multiply(powers, reciprocal(sum(powers, where, true, s), s), s), dtype, s);
}
array softmax(const array& a, bool precise, StreamOrDevice s) {
  return softmax(a, every_axis(a), precise, s);
}

}  // namespace lazuli
