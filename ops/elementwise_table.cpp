#include <lazuli/ops/elementwise_table.h>

#include <iterator>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>

#include <lazuli/graph/passes/rewrite.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_derivatives.h>
#include <lazuli/ops/elementwise_expressions.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

using expressions::Operands;
using kir::Builder;
using kir::Opcode;
using kir::Value;

/// An expression that is one call of the builder, ...
template <Value (Builder::*call)(Value)>
Value unary(Builder& b, Operands x) {
  return (b.*call)(x[0]);
}
template <Value (Builder::*call)(Value, Value)>
Value binary(Builder& b, Operands x) {
  return (b.*call)(x[0], x[1]);
}
/// ... one instruction of the real numbers, ...
template <kir::Opcode op>
Value instruction(Builder& b, Operands x) {
  return x.size() == 1 ? b.unary(op, x[0]) : b.binary(op, x[0], x[1]);
}
/// ... or one of the math functions.
template <kir::Opcode op>
Value math(Builder& b, Operands x) {
  return x.size() == 1 ? b.math(op, x[0]) : b.math(op, x[0], x[1]);
}
Value same(Builder&, Operands x) {
  return x[0];
}

// One row for each operation. The order is that of the enumeration.
constexpr ElementwiseRow rows[] = {
    // id, name, arity, operands, result, cost, expression, derivative (null: zero)
    {Elementwise::copy, "copy", 1, OperandRule::any, ResultRule::same, 1, same, derivatives::copy},
    {Elementwise::contiguous, "contiguous", 1, OperandRule::any, ResultRule::same, 1, same,
     derivatives::copy},
    {Elementwise::real, "real", 1, OperandRule::any, ResultRule::real_part, 1,
     [](Builder& b, Operands x) { return x[0].is_complex() ? b.real(x[0]) : x[0]; }, derivatives::real},
    {Elementwise::imag, "imag", 1, OperandRule::any, ResultRule::real_part, 1,
     [](Builder& b, Operands x) { return x[0].is_complex() ? b.imag(x[0]) : expressions::like(b, x[0], 0); },
     derivatives::imag},
    {Elementwise::conjugate, "conjugate", 1, OperandRule::any, ResultRule::same, 1,
     [](Builder& b, Operands x) {
       return x[0].is_complex() ? b.make_complex(b.real(x[0]), b.neg(b.imag(x[0]))) : x[0];
     },
     derivatives::conjugate},
    {Elementwise::make_complex, "make_complex", 2, OperandRule::real_to_float, ResultRule::complex, 1,
     [](Builder& b, Operands x) { return b.make_complex(b.cast(x[0], float32), b.cast(x[1], float32)); },
     derivatives::make_complex},

    {Elementwise::add, "add", 2, OperandRule::any, ResultRule::same, 1, binary<&Builder::add>,
     derivatives::copy},
    {Elementwise::subtract, "subtract", 2, OperandRule::any, ResultRule::same, 1, binary<&Builder::sub>,
     derivatives::subtract},
    {Elementwise::multiply, "multiply", 2, OperandRule::any, ResultRule::same, 1, binary<&Builder::mul>,
     derivatives::multiply},
    {Elementwise::divide, "divide", 2, OperandRule::to_float, ResultRule::same, 4, binary<&Builder::div>,
     derivatives::divide},
    {Elementwise::floor_divide, "floor_divide", 2, OperandRule::real, ResultRule::same, 8,
     expressions::floor_divide, nullptr},
    {Elementwise::remainder, "remainder", 2, OperandRule::real, ResultRule::same, 12, expressions::remainder,
     derivatives::remainder},
    {Elementwise::power, "power", 2, OperandRule::any, ResultRule::same, 40, expressions::power,
     derivatives::power},
    {Elementwise::negative, "negative", 1, OperandRule::any, ResultRule::same, 1, unary<&Builder::neg>,
     derivatives::negative},
    {Elementwise::abs, "abs", 1, OperandRule::any, ResultRule::real_part, 1, unary<&Builder::abs>,
     derivatives::abs},
    {Elementwise::sign, "sign", 1, OperandRule::any, ResultRule::same, 3, expressions::sign,
     derivatives::sign},
    {Elementwise::square, "square", 1, OperandRule::any, ResultRule::same, 1,
     [](Builder& b, Operands x) { return b.mul(x[0], x[0]); }, derivatives::square},
    {Elementwise::reciprocal, "reciprocal", 1, OperandRule::to_float, ResultRule::same, 4,
     [](Builder& b, Operands x) { return b.div(expressions::like(b, x[0], 1), x[0]); },
     derivatives::reciprocal},
    {Elementwise::maximum, "maximum", 2, OperandRule::any, ResultRule::same, 1, binary<&Builder::max>,
     derivatives::maximum},
    {Elementwise::minimum, "minimum", 2, OperandRule::any, ResultRule::same, 1, binary<&Builder::min>,
     derivatives::minimum},

    {Elementwise::floor, "floor", 1, OperandRule::real, ResultRule::same, 1, instruction<Opcode::floor>,
     nullptr},
    {Elementwise::ceil, "ceil", 1, OperandRule::real, ResultRule::same, 1, instruction<Opcode::ceil>,
     nullptr},
    {Elementwise::trunc, "trunc", 1, OperandRule::real, ResultRule::same, 1, instruction<Opcode::trunc>,
     nullptr},
    {Elementwise::round, "round", 1, OperandRule::any, ResultRule::same, 1, expressions::round, nullptr},

    {Elementwise::sqrt, "sqrt", 1, OperandRule::to_float, ResultRule::same, 5, math<Opcode::sqrt>,
     derivatives::sqrt},
    {Elementwise::rsqrt, "rsqrt", 1, OperandRule::to_float, ResultRule::same, 8, math<Opcode::rsqrt>,
     derivatives::rsqrt},
    {Elementwise::exp, "exp", 1, OperandRule::to_float, ResultRule::same, 12, math<Opcode::exp>,
     derivatives::exp},
    {Elementwise::expm1, "expm1", 1, OperandRule::to_float, ResultRule::same, 16, math<Opcode::expm1>,
     derivatives::expm1},
    {Elementwise::log, "log", 1, OperandRule::to_float, ResultRule::same, 15, math<Opcode::log>,
     derivatives::log},
    {Elementwise::log2, "log2", 1, OperandRule::to_float, ResultRule::same, 15, math<Opcode::log2>,
     derivatives::log2},
    {Elementwise::log10, "log10", 1, OperandRule::to_float, ResultRule::same, 15, math<Opcode::log10>,
     derivatives::log10},
    {Elementwise::log1p, "log1p", 1, OperandRule::to_float, ResultRule::same, 18, math<Opcode::log1p>,
     derivatives::log1p},
    {Elementwise::logaddexp, "logaddexp", 2, OperandRule::to_float, ResultRule::same, 36,
     expressions::logaddexp, derivatives::logaddexp},
    {Elementwise::sin, "sin", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::sin>,
     derivatives::sin},
    {Elementwise::cos, "cos", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::cos>,
     derivatives::cos},
    {Elementwise::tan, "tan", 1, OperandRule::to_float, ResultRule::same, 25, math<Opcode::tan>,
     derivatives::tan},
    {Elementwise::arcsin, "arcsin", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::asin>,
     derivatives::arcsin},
    {Elementwise::arccos, "arccos", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::acos>,
     derivatives::arccos},
    {Elementwise::arctan, "arctan", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::atan>,
     derivatives::arctan},
    {Elementwise::arctan2, "arctan2", 2, OperandRule::real_to_float, ResultRule::same, 30,
     math<Opcode::atan2>, derivatives::arctan2},
    {Elementwise::sinh, "sinh", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::sinh>,
     derivatives::sinh},
    {Elementwise::cosh, "cosh", 1, OperandRule::to_float, ResultRule::same, 20, math<Opcode::cosh>,
     derivatives::cosh},
    {Elementwise::tanh, "tanh", 1, OperandRule::to_float, ResultRule::same, 15, math<Opcode::tanh>,
     derivatives::tanh},
    {Elementwise::arcsinh, "arcsinh", 1, OperandRule::to_float, ResultRule::same, 25, math<Opcode::asinh>,
     derivatives::arcsinh},
    {Elementwise::arccosh, "arccosh", 1, OperandRule::to_float, ResultRule::same, 25, math<Opcode::acosh>,
     derivatives::arccosh},
    {Elementwise::arctanh, "arctanh", 1, OperandRule::to_float, ResultRule::same, 25, math<Opcode::atanh>,
     derivatives::arctanh},
    {Elementwise::degrees, "degrees", 1, OperandRule::real_to_float, ResultRule::same, 1,
     [](Builder& b, Operands x) { return b.mul(x[0], expressions::like(b, x[0], 180.0 / std::numbers::pi)); },
     derivatives::degrees},
    {Elementwise::radians, "radians", 1, OperandRule::real_to_float, ResultRule::same, 1,
     [](Builder& b, Operands x) { return b.mul(x[0], expressions::like(b, x[0], std::numbers::pi / 180.0)); },
     derivatives::radians},
    {Elementwise::sigmoid, "sigmoid", 1, OperandRule::to_float, ResultRule::same, 16, math<Opcode::sigmoid>,
     derivatives::sigmoid},
    {Elementwise::erf, "erf", 1, OperandRule::real_to_float, ResultRule::same, 20, math<Opcode::erf>,
     derivatives::erf},
    {Elementwise::erfinv, "erfinv", 1, OperandRule::real_to_float, ResultRule::same, 30, math<Opcode::erfinv>,
     derivatives::erfinv},

    {Elementwise::equal, "equal", 2, OperandRule::any, ResultRule::boolean, 1, binary<&Builder::eq>, nullptr},
    {Elementwise::not_equal, "not_equal", 2, OperandRule::any, ResultRule::boolean, 1, binary<&Builder::ne>,
     nullptr},
    {Elementwise::greater, "greater", 2, OperandRule::any, ResultRule::boolean, 1,
     [](Builder& b, Operands x) {
       return binary<&Builder::lt>(b, std::array{x[1], x[0]});
     },
     nullptr},
    {Elementwise::greater_equal, "greater_equal", 2, OperandRule::any, ResultRule::boolean, 1,
     [](Builder& b, Operands x) {
       return binary<&Builder::le>(b, std::array{x[1], x[0]});
     },
     nullptr},
    {Elementwise::less, "less", 2, OperandRule::any, ResultRule::boolean, 1, binary<&Builder::lt>, nullptr},
    {Elementwise::less_equal, "less_equal", 2, OperandRule::any, ResultRule::boolean, 1, binary<&Builder::le>,
     nullptr},
    {Elementwise::isnan, "isnan", 1, OperandRule::any, ResultRule::boolean, 1, expressions::is_nan, nullptr},
    {Elementwise::isinf, "isinf", 1, OperandRule::any, ResultRule::boolean, 1, expressions::is_infinite,
     nullptr},
    {Elementwise::isfinite, "isfinite", 1, OperandRule::any, ResultRule::boolean, 1, expressions::is_finite,
     nullptr},
    {Elementwise::isposinf, "isposinf", 1, OperandRule::real_to_float, ResultRule::boolean, 1,
     [](Builder& b, Operands x) {
       return b.eq(x[0], expressions::like(b, x[0], std::numeric_limits<double>::infinity()));
     },
     nullptr},
    {Elementwise::isneginf, "isneginf", 1, OperandRule::real_to_float, ResultRule::boolean, 1,
     [](Builder& b, Operands x) {
       return b.eq(x[0], expressions::like(b, x[0], -std::numeric_limits<double>::infinity()));
     },
     nullptr},

    {Elementwise::logical_not, "logical_not", 1, OperandRule::boolean, ResultRule::boolean, 1,
     unary<&Builder::logical_not>, nullptr},
    {Elementwise::logical_and, "logical_and", 2, OperandRule::boolean, ResultRule::boolean, 1,
     instruction<Opcode::bit_and>, nullptr},
    {Elementwise::logical_or, "logical_or", 2, OperandRule::boolean, ResultRule::boolean, 1,
     instruction<Opcode::bit_or>, nullptr},
    {Elementwise::logical_xor, "logical_xor", 2, OperandRule::boolean, ResultRule::boolean, 1,
     instruction<Opcode::bit_xor>, nullptr},
    {Elementwise::bitwise_and, "bitwise_and", 2, OperandRule::bits, ResultRule::same, 1,
     instruction<Opcode::bit_and>, nullptr},
    {Elementwise::bitwise_or, "bitwise_or", 2, OperandRule::bits, ResultRule::same, 1,
     instruction<Opcode::bit_or>, nullptr},
    {Elementwise::bitwise_xor, "bitwise_xor", 2, OperandRule::bits, ResultRule::same, 1,
     instruction<Opcode::bit_xor>, nullptr},
    {Elementwise::bitwise_invert, "bitwise_invert", 1, OperandRule::bits, ResultRule::same, 1,
     instruction<Opcode::bit_not>, nullptr},
    {Elementwise::left_shift, "left_shift", 2, OperandRule::shift, ResultRule::same, 1,
     instruction<Opcode::shift_left>, nullptr},
    {Elementwise::right_shift, "right_shift", 2, OperandRule::shift, ResultRule::same, 1,
     instruction<Opcode::shift_right>, nullptr},

    {Elementwise::select, "where", 3, OperandRule::selection, ResultRule::same, 1,
     [](Builder& b, Operands x) { return b.select(x[0], x[1], x[2]); }, derivatives::select},
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(rows); ++i) {
    if (rows[i].id != static_cast<Elementwise>(i)) return false;
  }
  return std::size(rows) == elementwise_count;
}
static_assert(in_order(), "a row is missing or out of place");

[[noreturn]] void throw_dtype(const ElementwiseRow& row, Dtype dtype, const char* what) {
  throw std::invalid_argument("[" + std::string(row.name) + "] " + std::string(dtype_name(dtype)) +
                              " is not supported: " + what);
}

/// What operands are converted to once they are promoted to `dtype`.
Dtype operand_dtype(const ElementwiseRow& row, Dtype dtype) {
  switch (row.operands) {
    case OperandRule::any:
    case OperandRule::selection:
      return dtype;
    case OperandRule::real:
    case OperandRule::real_to_float:
      if (dtype == complex64) throw_dtype(row, dtype, "real numbers only");
      return row.operands == OperandRule::real ? dtype : at_least_float(dtype);
    case OperandRule::to_float:
      return at_least_float(dtype);
    case OperandRule::boolean:
      return bool_;
    case OperandRule::bits:
    case OperandRule::shift:
      break;
  }
  if (issubdtype(dtype, inexact)) throw_dtype(row, dtype, "integers and bool only");
  return row.operands == OperandRule::shift && dtype == bool_ ? uint8 : dtype;
}

Dtype result_dtype(const ElementwiseRow& row, Dtype operand) {
  switch (row.result) {
    case ResultRule::same:
      return operand;
    case ResultRule::boolean:
      return bool_;
    case ResultRule::real_part:
      return operand == complex64 ? float32 : operand;
    case ResultRule::complex:
      break;
  }
  return complex64;
}

/// The operation of a row.
class TableOperation final : public ElementwiseOperation {
 public:
  explicit TableOperation(const ElementwiseRow& row) : row_(row) {}
  std::string_view name() const override { return row_.name; }
  int cost() const override { return row_.cost; }

  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    Shape shape = inputs[0].shape;
    for (size_t i = 1; i < inputs.size(); ++i) shape = broadcast_shapes(shape, inputs[i].shape);
    return {{std::move(shape), result_dtype(row_, inputs.back().dtype)}};
  }

  Value expression(ExpressionContext& context, std::span<const Value> inputs) const override {
    return row_.expression(context.builder(), inputs);
  }

  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override {
    Differentials result(at.inputs.size());
    for (size_t i = 0; i < result.size(); ++i) {
      if (!wanted[i] || row_.derivative == nullptr) continue;
      const array full = row_.derivative({at.inputs, at.outputs[0], i, *cotangents[0], true});
      result[i] = sum_to(full, at.inputs[i].shape());
    }
    return result;
  }

  Differentials jvp(const Application& at, const Differentials& tangents) const override {
    std::optional<array> total;
    for (size_t i = 0; i < tangents.size(); ++i) {
      if (!tangents[i] || row_.derivative == nullptr) continue;
      const array share = row_.derivative({at.inputs, at.outputs[0], i, *tangents[i], false});
      total = total ? lazuli::add(*total, share) : share;
    }
    if (total) total = broadcast_to(*total, at.outputs[0].shape());
    return {total};
  }

  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim) const override {
    return broadcast_vmap(*this, inputs, batched);
  }

 private:
  const ElementwiseRow& row_;
};

const OperationRegistration<TableOperation> table_registration(
    "elementwise", 1, 3, [](AttributeReader& r) -> Ref<const Operation> {
      for (const ElementwiseRow& row : rows) {
        if (row.name != r.name()) continue;
        r.require(r.inputs().size() == static_cast<size_t>(row.arity), "operands' numbers");
        const Dtype dtype = operand_dtype(row, r.inputs().back().dtype);
        for (size_t i = 0; i < r.inputs().size(); ++i) {
          const bool is_condition = row.operands == OperandRule::selection && i == 0;
          r.require(r.inputs()[i].dtype == (is_condition ? bool_ : dtype), "dtypes");
        }
        return elementwise_operation(row.id);
      }
      throw std::runtime_error("there is no such elementwise operation");
    });

}  // namespace

std::span<const ElementwiseRow> elementwise_table() {
  return rows;
}

Ref<const Operation> operation_named(std::string_view name) {
  for (const ElementwiseRow& row : rows) {
    if (row.name == name) return elementwise_operation(row.id);
  }
  throw std::logic_error("[rewrite] there is no elementwise operation '" + std::string(name) + "'");
}

const Ref<const Operation>& elementwise_operation(Elementwise id) {
  static const std::vector<Ref<const Operation>> operations = [] {
    std::vector<Ref<const Operation>> made;
    for (const ElementwiseRow& row : rows) made.push_back(make_ref<TableOperation>(row));
    return made;
  }();
  return operations[static_cast<size_t>(id)];
}

Dtype at_least_float(Dtype dtype) {
  return issubdtype(dtype, inexact) ? dtype : float32;
}

array promoted(const array& a, Dtype dtype, StreamOrDevice s) {
  if (a.dtype() == dtype) return a;
  if (a.ndim() == 0 && a.is_available() && !a.node()->producer) {
    return dispatch_dtype(a.dtype(),
                          [&]<typename T>(std::type_identity<T>) { return array(a.item<T>(), dtype); });
  }
  return astype(a, dtype, s);
}

array apply_elementwise(Elementwise id, std::vector<array> operands, StreamOrDevice s) {
  const StreamContext on(s);
  const ElementwiseRow& row = rows[static_cast<size_t>(id)];
  const size_t first = row.operands == OperandRule::selection ? 1 : 0;
  Dtype dtype = operands[first].dtype();
  for (size_t i = first + 1; i < operands.size(); ++i) dtype = promote_types(dtype, operands[i].dtype());
  dtype = operand_dtype(row, dtype);
  if (first == 1) operands[0] = astype(operands[0], bool_, s);
  for (size_t i = first; i < operands.size(); ++i) {
    // Not to bool by way of the host: what is not 0 must become true, however small.
    operands[i] = dtype == bool_ ? astype(operands[i], dtype, s) : promoted(operands[i], dtype, s);
  }
  return lazuli::apply(elementwise_operation(id), std::move(operands));
}

}  // namespace lazuli
