#include <lazuli/ops/creation.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

/// Every element is a number that is part of the operation: for zeros and ones, which are worth kernels of
/// their own.
class ConstantSource final : public ElementwiseOperation {
 public:
  ConstantSource(Shape shape, Dtype dtype, int value)
      : shape_(std::move(shape)), dtype_(dtype), value_(value) {}
  std::string_view name() const override { return "constant"; }
  void attributes(AttributeWriter& writer) const override {
    writer.write("shape", shape_);
    writer.write("dtype", dtype_);
    writer.write("value", value_);
  }
  std::vector<ArraySpec> infer(std::span<const ArraySpec>) const override { return {{shape_, dtype_}}; }
  kir::Value expression(ExpressionContext& context, std::span<const kir::Value>) const override {
    kir::Builder& b = context.builder();
    return dtype_ == complex64 ? b.constant_complex(static_cast<float>(value_), 0)
                               : b.constant(kir::compute_type(dtype_), value_);
  }

 private:
  Shape shape_;
  Dtype dtype_;
  int value_;
};

/// The operand broadcast to a shape, in memory of its own.
class Full final : public ElementwiseOperation {
 public:
  explicit Full(Shape shape) : shape_(std::move(shape)) {}
  std::string_view name() const override { return "full"; }
  void attributes(AttributeWriter& writer) const override { writer.write("shape", shape_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    return {{shape_, inputs[0].dtype}};
  }
  kir::Value expression(ExpressionContext&, std::span<const kir::Value> inputs) const override {
    return inputs[0];
  }
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    return {sum_to(*cotangents[0], at.inputs[0].shape())};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim batch) const override {
    std::vector<int> added(shape_.size() + 1 - inputs[0].ndim());
    std::iota(added.begin(), added.end(), 1);
    return {lazuli::apply(make_ref<Full>(with_batch(shape_, batch)), {expand_dims(inputs[0], added)})};
  }

 private:
  Shape shape_;
};

/// The position i, or start + i * step where these are operands.
class Range final : public ElementwiseOperation {
 public:
  Range(Dim size, Dtype dtype) : size_(size), dtype_(dtype) {}
  std::string_view name() const override { return "arange"; }
  void attributes(AttributeWriter& writer) const override {
    writer.write("size", size_);
    writer.write("dtype", dtype_);
  }
  std::vector<ArraySpec> infer(std::span<const ArraySpec>) const override { return {{{size_}, dtype_}}; }
  kir::Value expression(ExpressionContext& context, std::span<const kir::Value> inputs) const override {
    kir::Builder& b = context.builder();
    const Dtype type = dtype_ == complex64 ? dtype_ : kir::compute_type(dtype_);
    const kir::Value position = b.cast(context.coordinate(0), type);
    return inputs.empty() ? position : b.add(inputs[0], b.mul(position, inputs[1]));
  }

 private:
  Dim size_;
  Dtype dtype_;
};

const OperationRegistration<ConstantSource> constant_registration(
    "constant", 0, [](AttributeReader& r) -> Ref<const Operation> {
      return make_ref<ConstantSource>(r.shape("shape"), r.dtype("dtype"), r.integer("value"));
    });

const OperationRegistration<Full> full_registration("full", 1,
                                                    [](AttributeReader& r) -> Ref<const Operation> {
                                                      Shape shape = r.shape("shape");
                                                      r.require(extents_broadcast(r.inputs()[0].shape, shape),
                                                                "shapes");
                                                      return make_ref<Full>(std::move(shape));
                                                    });

const OperationRegistration<Range> range_registration(
    "arange", 0, 2, [](AttributeReader& r) -> Ref<const Operation> {
      const Dim size = r.extent("size");
      const Dtype dtype = r.dtype("dtype");
      r.require(size.hint() >= 0 && dtype != bool_ && r.inputs().size() != 1, "operands");
      for (const ArraySpec& operand : r.inputs()) {
        r.require(operand.shape.empty() && operand.dtype == dtype, "operands");
      }
      return make_ref<Range>(size, dtype);
    });

array range(Dim size, Dtype dtype, std::vector<array> operands, StreamOrDevice s) {
  const StreamContext on(s);
  if (dtype == bool_) throw std::invalid_argument("[arange] bool is not supported");
  return lazuli::apply(make_ref<Range>(size, dtype), std::move(operands));
}

}  // namespace

array arange(double start, double stop, double step, Dtype dtype, StreamOrDevice s) {
  if (std::isnan(start) || std::isnan(stop) || std::isnan(step) || std::isinf(start) || std::isinf(stop)) {
    throw std::invalid_argument("[arange] bounds and step must be numbers, bounds finite ones");
  }
  if (step == 0) throw std::invalid_argument("[arange] the step is zero");
  double size = std::ceil((stop - start) / step);
  if (std::isinf(step)) size = (step > 0 ? start < stop : start > stop) ? 1 : 0;
  if (size > std::numeric_limits<int32_t>::max()) {
    throw std::invalid_argument("[arange] there would be more than 2^31 - 1 elements");
  }
  const Dim count = static_cast<int>(std::max(size, 0.0));
  if (start == 0 && step == 1) return range(count, dtype, {}, s);
  return range(count, dtype, {array(start, dtype), array(std::isinf(step) ? 0.0 : step, dtype)}, s);
}

array arange(double start, double stop, double step, StreamOrDevice s) {
  return arange(start, stop, step, float32, s);
}
array arange(double start, double stop, Dtype dtype, StreamOrDevice s) {
  return arange(start, stop, 1.0, dtype, s);
}
array arange(double start, double stop, StreamOrDevice s) {
  return arange(start, stop, 1.0, float32, s);
}
array arange(double stop, Dtype dtype, StreamOrDevice s) {
  return arange(0.0, stop, 1.0, dtype, s);
}
array arange(double stop, StreamOrDevice s) {
  return arange(0.0, stop, 1.0, float32, s);
}
array arange(int start, int stop, int step, StreamOrDevice s) {
  return arange(static_cast<double>(start), static_cast<double>(stop), static_cast<double>(step), int32, s);
}
array arange(int start, int stop, StreamOrDevice s) {
  return arange(start, stop, 1, s);
}
array arange(int stop, StreamOrDevice s) {
  return arange(0, stop, 1, s);
}

array arange(Dim start, Dim stop, Dim step, Dtype dtype, StreamOrDevice s) {
  if (step == 0) throw std::invalid_argument("[arange] the step is zero");
  const Dim size = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
  const Dim count = size < 0 ? Dim(0) : size;
  if (start.same_as(Dim(0)) && step.same_as(Dim(1))) return range(count, dtype, {}, s);
  return range(count, dtype, {extent_array(start, dtype), extent_array(step, dtype)}, s);
}

array arange(Dim stop, Dtype dtype, StreamOrDevice s) {
  return arange(Dim(0), stop, Dim(1), dtype, s);
}

array linspace(double start, double stop, int num, bool endpoint, Dtype dtype, StreamOrDevice s) {
  if (num < 0) throw std::invalid_argument("[linspace] the number of elements is negative");
  const Dtype work = dtype == float64 ? float64 : float32;
  if (num == 1) return full({1}, array(start, work), dtype, s);
  // Weighted from both ends, so that the last element is `stop` to the bit.
  const int intervals = endpoint ? num - 1 : num;
  const array t = divide(arange(Dim(num), work, s), array(intervals, work), s);
  const array left = multiply(subtract(array(1, work), t, s), array(start, work), s);
  return astype(add(left, multiply(t, array(stop, work), s), s), dtype, s);
}

array full(Shape shape, array vals, Dtype dtype, StreamOrDevice s) {
  const StreamContext on(s);
  for (Dim extent : shape) {
    if (extent < 0) throw std::invalid_argument("[full] an extent is negative: " + shape_to_string(shape));
  }
  const array values = promoted(vals, dtype, s);
  if (!broadcasts_to(values.shape(), shape)) {
    throw std::invalid_argument("[full] values of shape " + shape_to_string(values.shape()) +
                                " cannot fill shape " + shape_to_string(shape));
  }
  return lazuli::apply(make_ref<Full>(std::move(shape)), {values});
}

array full(Shape shape, array vals, StreamOrDevice s) {
  const Dtype dtype = vals.dtype();
  return full(std::move(shape), std::move(vals), dtype, s);
}

array full_like(const array& a, array vals, Dtype dtype, StreamOrDevice s) {
  return full(a.shape(), std::move(vals), dtype, s);
}

array full_like(const array& a, array vals, StreamOrDevice s) {
  return full(a.shape(), std::move(vals), a.dtype(), s);
}

namespace {

array constant(const Shape& shape, int value, Dtype dtype, const char* name, StreamOrDevice s) {
  const StreamContext on(s);
  for (Dim extent : shape) {
    if (extent < 0) {
      throw std::invalid_argument("[" + std::string(name) +
                                  "] an extent is negative: " + shape_to_string(shape));
    }
  }
  return lazuli::apply(make_ref<ConstantSource>(shape, dtype, value), {});
}

}  // namespace

array zeros(const Shape& shape, Dtype dtype, StreamOrDevice s) {
  return constant(shape, 0, dtype, "zeros", s);
}
array zeros_like(const array& a, Dtype dtype, StreamOrDevice s) {
  return zeros(a.shape(), dtype, s);
}
array zeros_like(const array& a, StreamOrDevice s) {
  return zeros(a.shape(), a.dtype(), s);
}
array ones(const Shape& shape, Dtype dtype, StreamOrDevice s) {
  return constant(shape, 1, dtype, "ones", s);
}
array ones_like(const array& a, Dtype dtype, StreamOrDevice s) {
  return ones(a.shape(), dtype, s);
}
array ones_like(const array& a, StreamOrDevice s) {
  return ones(a.shape(), a.dtype(), s);
}

namespace {

/// Row and column numbers of an n × m matrix, to be broadcast; the columns are shifted by -k.
std::pair<array, array> matrix_positions(Dim n, Dim m, int k, StreamOrDevice s) {
  const array rows = expand_dims(arange(n, int32, s), 1, s);
  const array columns = arange(m, int32, s);
  return {rows, k == 0 ? columns : subtract(columns, array(k), s)};
}

array triangle(Dim n, Dim m, int k, StreamOrDevice s) {
  const auto [rows, columns] = matrix_positions(n, m, k, s);
  return greater_equal(rows, columns, s);
}

array triangular(const array& x, int k, bool lower, const char* name, StreamOrDevice s) {
  if (x.ndim() < 2) {
    throw std::invalid_argument("[" + std::string(name) + "] the array must have at least two dimensions");
  }
  const array zero(0, x.dtype());
  const array mask = triangle(x.shape(-2), x.shape(-1), lower ? k : k - 1, s);
  return lower ? where(mask, x, zero, s) : where(mask, zero, x, s);
}

void check_matrix(int n, int m, const char* name) {
  if (n < 0 || m < 0) throw std::invalid_argument("[" + std::string(name) + "] an extent is negative");
}

}  // namespace

array eye(int n, int m, int k, Dtype dtype, StreamOrDevice s) {
  check_matrix(n, m, "eye");
  const auto [rows, columns] = matrix_positions(n, m, k, s);
  return astype(equal(rows, columns, s), dtype, s);
}

array identity(int n, Dtype dtype, StreamOrDevice s) {
  return eye(n, n, 0, dtype, s);
}

array tri(int n, int m, int k, Dtype type, StreamOrDevice s) {
  check_matrix(n, m, "tri");
  return astype(triangle(n, m, k, s), type, s);
}

array tril(array x, int k, StreamOrDevice s) {
  return triangular(x, k, true, "tril", s);
}

array triu(array x, int k, StreamOrDevice s) {
  return triangular(x, k, false, "triu", s);
}

}  // namespace lazuli
