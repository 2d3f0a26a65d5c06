#include <lazuli/ops/cumulative.h>

#include <stdexcept>
#include <string>

#include <lazuli/ops/cumulative_operations.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

using templates::ScanKind;

array scan(ScanKind kind, const array& a, int axis, bool reverse, bool inclusive, const char* name,
           StreamOrDevice s) {
  const StreamContext on(s);
  const int from_end = normalize_axis(axis, a.ndim(), name) - static_cast<int>(a.ndim());
  return lazuli::apply(make_ref<ScanOperation>(kind, from_end, reverse, inclusive), {a});
}

Dtype accumulated(const array& a, const std::optional<Dtype>& dtype) {
  return dtype ? *dtype : a.dtype() == bool_ ? int32 : a.dtype();
}

}  // namespace

array cumsum(const array& a, int axis, bool reverse, bool inclusive, std::optional<Dtype> dtype,
             StreamOrDevice s) {
  return scan(ScanKind::sum, astype(a, accumulated(a, dtype), s), axis, reverse, inclusive, "cumsum", s);
}
array cumsum(const array& a, bool reverse, bool inclusive, std::optional<Dtype> dtype, StreamOrDevice s) {
  return cumsum(flatten(a, s), 0, reverse, inclusive, dtype, s);
}

array cumprod(const array& a, int axis, bool reverse, bool inclusive, std::optional<Dtype> dtype,
              StreamOrDevice s) {
  return scan(ScanKind::prod, astype(a, accumulated(a, dtype), s), axis, reverse, inclusive, "cumprod", s);
}
array cumprod(const array& a, bool reverse, bool inclusive, std::optional<Dtype> dtype, StreamOrDevice s) {
  return cumprod(flatten(a, s), 0, reverse, inclusive, dtype, s);
}

array cummax(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s) {
  return scan(ScanKind::max, a, axis, reverse, inclusive, "cummax", s);
}
array cummax(const array& a, bool reverse, bool inclusive, StreamOrDevice s) {
  return cummax(flatten(a, s), 0, reverse, inclusive, s);
}

array cummin(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s) {
  return scan(ScanKind::min, a, axis, reverse, inclusive, "cummin", s);
}
array cummin(const array& a, bool reverse, bool inclusive, StreamOrDevice s) {
  return cummin(flatten(a, s), 0, reverse, inclusive, s);
}

array logcumsumexp(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s) {
  const Dtype dtype = at_least_float(a.dtype());
  return scan(ScanKind::log_sum_exp, astype(a, dtype, s), axis, reverse, inclusive, "logcumsumexp", s);
}
array logcumsumexp(const array& a, bool reverse, bool inclusive, StreamOrDevice s) {
  return logcumsumexp(flatten(a, s), 0, reverse, inclusive, s);
}

array diff(const array& a, int n, int axis, StreamOrDevice s) {
  const StreamContext on(s);
  axis = normalize_axis(axis, a.ndim(), "diff");
  if (n < 0) throw std::invalid_argument("[diff] n must not be negative, it is " + std::to_string(n));
  array result = a;
  for (int i = 0; i < n && result.shape()[axis] > 0; ++i) {
    Shape start(a.ndim(), Dim(0));
    Shape stop = result.shape();
    start[axis] = 1;
    const array later = slice(result, start, stop, s);
    stop[axis] -= 1;
    const array earlier = slice(result, Shape(a.ndim(), Dim(0)), stop, s);
    result = a.dtype() == bool_ ? not_equal(later, earlier, s) : subtract(later, earlier, s);
  }
  return result;
}

}  // namespace lazuli
