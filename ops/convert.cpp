#include <lazuli/ops/convert.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_expressions.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

class Convert final : public ElementwiseOperation {
 public:
  explicit Convert(Dtype dtype) : dtype_(dtype) {}
  std::string_view name() const override { return "astype"; }
  void attributes(AttributeWriter& writer) const override { writer.write("dtype", dtype_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    return {{inputs[0].shape, dtype_}};
  }
  kir::Value expression(ExpressionContext& context, std::span<const kir::Value> inputs) const override {
    return expressions::convert(context.builder(), inputs[0], dtype_);
  }
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    return {astype(*cotangents[0], at.inputs[0].dtype())};
  }
  Differentials jvp(const Application&, const Differentials& tangents) const override {
    return {astype(*tangents[0], dtype_)};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim) const override {
    return broadcast_vmap(*this, inputs, batched);
  }

 private:
  Dtype dtype_;
};

/// The same bits as another dtype of the same size, both computed in themselves.
class Bitcast final : public ElementwiseOperation {
 public:
  explicit Bitcast(Dtype dtype) : dtype_(dtype) {}
  std::string_view name() const override { return "bitcast"; }
  void attributes(AttributeWriter& writer) const override { writer.write("dtype", dtype_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    return {{inputs[0].shape, dtype_}};
  }
  kir::Value expression(ExpressionContext& context, std::span<const kir::Value> inputs) const override {
    return context.builder().bitcast(inputs[0], dtype_);
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim) const override {
    return broadcast_vmap(*this, inputs, batched);
  }

 private:
  Dtype dtype_;
};

/// The same bytes as another dtype of any size.
class Reinterpret final : public HostOperation {
 public:
  explicit Reinterpret(Dtype dtype) : dtype_(dtype) {}
  std::string_view name() const override { return "view"; }
  void attributes(AttributeWriter& writer) const override { writer.write("dtype", dtype_); }
  bool needs_contiguous(int) const override { return true; }

  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    Shape shape = inputs[0].shape;
    const int from = inputs[0].dtype.size();
    const int to = dtype_.size();
    if (from > to) shape.back() *= from / to;
    if (from < to) shape.back() /= to / from;
    return {{std::move(shape), dtype_}};
  }

  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const size_t bytes = static_cast<size_t>(element_count(outputs[0].shape)) * dtype_.size();
    if (bytes > 0) std::memcpy(outputs[0].data, inputs[0].data, bytes);
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
  }

 private:
  Dtype dtype_;
};

/// Its operand, which counts as a constant for derivatives.
class StopGradient final : public ForwardOperation {
 public:
  std::string_view name() const override { return "stop_gradient"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  size_t source(size_t) const override { return 0; }
  Differentials vjp(const Application&, const Differentials&, const std::vector<bool>&) const override {
    return {std::nullopt};
  }
  Differentials jvp(const Application&, const Differentials&) const override { return {std::nullopt}; }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
  }
};

/// Whether a dtype's elements are computed as what they are in memory, one value each.
bool is_plain(Dtype dtype) {
  return dtype != bool_ && dtype != complex64 && kir::compute_type(dtype) == dtype;
}

const OperationRegistration<Convert> convert_registration("astype", 1,
                                                          [](AttributeReader& r) -> Ref<const Operation> {
                                                            return make_ref<Convert>(r.dtype("dtype"));
                                                          });

const OperationRegistration<Bitcast> bitcast_registration(
    "bitcast", 1, [](AttributeReader& r) -> Ref<const Operation> {
      const Dtype from = r.inputs()[0].dtype;
      const Dtype to = r.dtype("dtype");
      r.require(is_plain(from) && is_plain(to) && from.size() == to.size(), "dtypes");
      return make_ref<Bitcast>(to);
    });

const OperationRegistration<Reinterpret> reinterpret_registration(
    "reinterpret", 1, [](AttributeReader& r) -> Ref<const Operation> {
      const ArraySpec& input = r.inputs()[0];
      const Dtype to = r.dtype("dtype");
      const int from_size = input.dtype.size();
      if (from_size != to.size()) r.require(!input.shape.empty(), "shapes");
      if (from_size < to.size())
        r.require(input.shape.back().hint() % (to.size() / from_size) == 0, "shapes");
      return make_ref<Reinterpret>(to);
    });

const OperationRegistration<StopGradient> stop_registration("stop_gradient", 1,
                                                            [](AttributeReader&) -> Ref<const Operation> {
                                                              return make_ref<StopGradient>();
                                                            });

template <typename T>
const Ref<const Operation>& instance_for(Dtype dtype) {
  static const std::vector<Ref<const Operation>> operations = [] {
    std::vector<Ref<const Operation>> made;
    for (int i = 0; i < dtype_count; ++i) {
      made.push_back(make_ref<T>(dtype_from_value(static_cast<Dtype::Val>(i))));
    }
    return made;
  }();
  return operations[static_cast<size_t>(dtype.val())];
}

}  // namespace

const Ref<const Operation>& convert_operation(Dtype dtype) {
  return instance_for<Convert>(dtype);
}

array astype(const array& a, Dtype dtype, StreamOrDevice s) {
  const StreamContext on(s);
  return a.dtype() == dtype ? a : lazuli::apply(convert_operation(dtype), {a});
}

array view(const array& a, const Dtype& dtype, StreamOrDevice s) {
  const StreamContext on(s);
  if (a.dtype() == dtype) return a;
  const int from = a.dtype().size();
  const int to = dtype.size();
  if (from == to && is_plain(a.dtype()) && is_plain(dtype))
    return lazuli::apply(instance_for<Bitcast>(dtype), {a});
  if (from != to && a.ndim() == 0) {
    throw std::invalid_argument("[view] a scalar cannot be viewed as a dtype of another size");
  }
  if (from < to && a.shape(-1) % (to / from) != 0) {
    throw std::invalid_argument("[view] the last extent " + std::to_string(a.shape(-1).hint()) +
                                " is no multiple of " + std::to_string(to / from) + ": cannot view " +
                                std::string(dtype_name(a.dtype())) + " as " + std::string(dtype_name(dtype)));
  }
  return lazuli::apply(instance_for<Reinterpret>(dtype), {a});
}

array copy(const array& a, StreamOrDevice s) {
  return apply_elementwise(Elementwise::copy, {a}, s);
}

array contiguous(const array& a, bool, StreamOrDevice s) {
  return apply_elementwise(Elementwise::contiguous, {a}, s);
}

array stop_gradient(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  static const Ref<const Operation> operation(new StopGradient);
  return lazuli::apply(operation, {a});
}

array real(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? apply_elementwise(Elementwise::real, {a}, s) : a;
}

array imag(const array& a, StreamOrDevice s) {
  return apply_elementwise(Elementwise::imag, {a}, s);
}

array conjugate(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? apply_elementwise(Elementwise::conjugate, {a}, s) : a;
}

}  // namespace lazuli
