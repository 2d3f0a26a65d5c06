#include <lazuli/ops/cumulative_operations.h>

#include <limits>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

using templates::ScanKind;

namespace {

/// A shape as what is before an axis, along it, and behind it. `axis` counts from the end.
struct Extents {
  Extents(const Shape& shape, int axis) {
    const size_t along = shape.size() - static_cast<size_t>(-axis);
    for (size_t d = 0; d < shape.size(); ++d) {
      (d < along ? outer : d == along ? length : inner) *= shape[d].hint();
    }
  }
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
};

/// What stands before each element along an axis (behind it, in reverse); the first has `outside`.
array neighbours(const array& a, int axis, bool reverse, double outside = 0) {
  const auto along = a.ndim() - static_cast<size_t>(-axis);
  if (a.shape()[along] == 0) return a;
  Shape start(a.ndim(), Dim(0));
  Shape stop = a.shape();
  (reverse ? start[along] : stop[along]) += reverse ? 1 : -1;
  Shape edge = a.shape();
  edge[along] = 1;
  const array zero = full(edge, array(outside, a.dtype()));
  const array others = slice(a, start, stop);
  return reverse ? concatenate({others, zero}, axis) : concatenate({zero, others}, axis);
}

array recurrence(const array& a, const array& b, int axis, bool reverse) {
  return lazuli::apply(make_ref<LinearRecurrence>(axis, reverse), {a, b});
}

/// 0, 1, 2, ... along an axis, int32.
array places_along(const Shape& shape, int axis) {
  return lazuli::apply(make_ref<ScanOperation>(ScanKind::sum, axis, false, false), {ones(shape, int32)});
}

}  // namespace

std::string_view ScanOperation::name() const {
  static constexpr std::string_view names[] = {"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"};
  return names[static_cast<size_t>(kind_)];
}

void ScanOperation::attributes(AttributeWriter& writer) const {
  writer.write("axis", axis_);
  writer.write("reverse", reverse_);
  writer.write("inclusive", inclusive_);
}

void ScanOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const Extents extents(inputs[0].shape, axis_);
  templates::scan({.kind = kind_,
                   .dtype = inputs[0].dtype,
                   .reverse = reverse_,
                   .inclusive = inclusive_,
                   .outer = extents.outer,
                   .length = extents.length,
                   .inner = extents.inner,
                   .in = inputs[0].data,
                   .out = outputs[0].data});
}

Differentials ScanOperation::vjp(const Application& at, const Differentials& cotangents,
                                 const std::vector<bool>&) const {
  const array& x = at.inputs[0];
  const array& g = *cotangents[0];
  if (kind_ == ScanKind::sum) {
    return {lazuli::apply(make_ref<ScanOperation>(kind_, axis_, !reverse_, inclusive_), {g})};
  }
  // Element i without itself is what element i - 1 is with itself, whose cotangent is therefore that of i.
  const array own = inclusive_ ? g : neighbours(g, axis_, !reverse_);
  if (kind_ == ScanKind::prod) return {cotangent_of_products(x, own)};
  if (kind_ == ScanKind::log_sum_exp) return {cotangent_of_logarithms(x, own)};
  const array y =
      inclusive_ ? at.outputs[0] : lazuli::apply(make_ref<ScanOperation>(kind_, axis_, reverse_, true), {x});
  return {cotangent_of_extremes(x, y, own)};
}

/// x[j] is in every product from j on, with those before it (e[j]) and those up to i behind it: the cotangent
/// is e[j] * r[j], where r[j] = g[j] + x[j + 1] * r[j + 1]. Nothing is divided, so that zeros are right.
array ScanOperation::cotangent_of_products(const array& x, const array& g) const {
  const array before = lazuli::apply(make_ref<ScanOperation>(ScanKind::prod, axis_, reverse_, false), {x});
  const array behind = recurrence(conjugate(neighbours(x, axis_, !reverse_)), g, axis_, !reverse_);
  return multiply(conjugate(before), behind);
}

/// With y, the results with themselves: x[j] has the weight exp(x[j] - y[i]) in every y[i] from j on. The
/// cotangent is exp(x[j] - y[j]) * r[j], where r[j] = g[j] + exp(y[j] - y[j + 1]) * r[j + 1], of complex
/// numbers with the conjugates of both. No real number's exponent is positive. Halves are computed in
/// float32, as rounding y would change the weights.
array ScanOperation::cotangent_of_logarithms(const array& x, const array& g) const {
  const Dtype dtype = x.dtype() == float64 || x.dtype() == complex64 ? x.dtype() : float32;
  const array exact = astype(x, dtype);
  const array y = lazuli::apply(make_ref<ScanOperation>(kind_, axis_, reverse_, true), {exact});
  // Equal infinities have no distance; what is behind the last is as far away as can be, so that gradients of
  // this gradient are finite, too. An element of minus infinity adds nothing.
  const array zero(0, dtype);
  const array behind = neighbours(y, axis_, !reverse_, std::numeric_limits<double>::infinity());
  const array level = real(y);
  const array none(-std::numeric_limits<double>::infinity(), level.dtype());
  array alike = equal(y, behind);
  if (dtype == complex64) {
    alike = logical_or(alike, logical_and(equal(level, real(behind)), isinf(level)));
  }
  const array falls = exp(conjugate(where(alike, zero, subtract(y, behind))));
  const array weights = where(equal(real(exact), none), zero, exp(conjugate(subtract(exact, y))));
  const array sums = recurrence(falls, astype(g, dtype), axis_, !reverse_);
  return astype(multiply(weights, sums), x.dtype());
}

/// All cotangents go to the element that was the extreme at that time: the last one met that equals it.
array ScanOperation::cotangent_of_extremes(const array& x, const array& y, const array& g) const {
  const array nowhere(reverse_ ? std::numeric_limits<int32_t>::max() : 0);
  array places = where(equal(x, y), places_along(x.shape(), axis_), nowhere);
  const ScanKind latest = reverse_ ? ScanKind::min : ScanKind::max;
  places = lazuli::apply(make_ref<ScanOperation>(latest, axis_, reverse_, true), {places});
  return scatter_add_axis(zeros(x.shape(), x.dtype()), places, g, axis_);
}

std::vector<array> ScanOperation::vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const {
  return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
}

void LinearRecurrence::attributes(AttributeWriter& writer) const {
  writer.write("axis", axis_);
  writer.write("reverse", reverse_);
}

void LinearRecurrence::execute(std::span<const TensorView> inputs,
                               std::span<const TensorView> outputs) const {
  const Extents extents(inputs[1].shape, axis_);
  templates::linear_recurrence(inputs[1].dtype, reverse_, extents.outer, extents.length, extents.inner,
                               inputs[0].data, inputs[1].data, outputs[0].data);
}

/// The same recurrence from the other end: z[i] = g[i] + a[i + 1] * z[i + 1].
Differentials LinearRecurrence::vjp(const Application& at, const Differentials& cotangents,
                                    const std::vector<bool>& wanted) const {
  const array factors = conjugate(neighbours(at.inputs[0], axis_, !reverse_));
  const array z = recurrence(factors, *cotangents[0], axis_, !reverse_);
  Differentials result(2);
  if (wanted[0]) result[0] = multiply(z, conjugate(neighbours(at.outputs[0], axis_, reverse_)));
  if (wanted[1]) result[1] = z;
  return result;
}

std::vector<array> LinearRecurrence::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                          Dim batch) const {
  return {lazuli::apply(Ref<const Operation>(this), {as_batched(inputs[0], batched[0], batch),
                                                     as_batched(inputs[1], batched[1], batch)})};
}

}  // namespace lazuli
