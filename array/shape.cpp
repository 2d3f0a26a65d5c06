#include <lazuli/array/shape.h>

#include <algorithm>
#include <ostream>
#include <stdexcept>

namespace lazuli {

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (const Dim extent : shape) {
    const int64_t n = extent.hint();
    if (n < 0) throw std::invalid_argument("[shape] negative extent in " + shape_to_string(shape));
    empty = empty || n == 0;
    overflow = overflow || __builtin_mul_overflow(count, n, &count);
  }
  if (empty) return 0;
  if (overflow) throw std::invalid_argument("[shape] too many elements in " + shape_to_string(shape));
  return count;
}

Strides row_major_strides(const Shape& shape) {
  Strides strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    // An empty array may have other extents whose product would overflow; its strides mean nothing.
    if (__builtin_mul_overflow(stride, std::max<int64_t>(shape[i].hint(), 1), &stride)) stride = 1;
  }
  return strides;
}

std::string shape_to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i].hint());
  }
  if (shape.size() == 1) text += ',';
  return text + ")";
}

std::ostream& operator<<(std::ostream& os, const Shape& shape) {
  return os << shape_to_string(shape);
}

std::ostream& operator<<(std::ostream& os, const Strides& strides) {
  os << '(';
  for (size_t i = 0; i < strides.size(); ++i) os << (i > 0 ? "," : "") << strides[i];
  return os << (strides.size() == 1 ? ",)" : ")");
}

Shape concrete_shape(const Shape& shape) {
  Shape result;
  result.reserve(shape.size());
  for (const Dim extent : shape) result.push_back(Dim(static_cast<int>(extent)));
  return result;
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const size_t skipped = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    Dim& extent = result[skipped + i];
    const Dim other = shorter[i];
    if (other == 1) continue;
    if (extent == 1) {
      extent = other;
    } else if (extent == other) {
      // Of a constant and a symbol that equals it, the constant is the simpler.
      if (!other.is_symbolic()) extent = other;
    } else {
      throw std::invalid_argument("[broadcast_shapes] Shapes " + shape_to_string(a) + " and " +
                                  shape_to_string(b) + " cannot be broadcast.");
    }
  }
  return result;
}

int normalize_axis_index(int axis, int ndim, const std::string& message_prefix) {
  if (axis < -ndim || axis >= ndim) {
    const bool bare = message_prefix.empty() || message_prefix.front() == '[';
    throw std::invalid_argument((bare ? message_prefix : "[" + message_prefix + "] ") + "axis " +
                                std::to_string(axis) + " is out of bounds for an array with " +
                                std::to_string(ndim) + " dimensions");
  }
  return axis < 0 ? axis + ndim : axis;
}

}  // namespace lazuli
