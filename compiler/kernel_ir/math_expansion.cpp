#include <lazuli/compiler/kernel_ir/math_expansion.h>

#include <optional>
#include <stdexcept>

#include <fmt/format.h>

namespace lazuli::kir::math {

namespace {

/// What is shorter by tables.
std::optional<Expression> expand_by_table(Opcode op, Expression x, Known known) {
  switch (op) {
    case Opcode::exp:
      if (known.rounded) return short_exp_by_table(x, known.not_positive);
      if (known.beside_1) return summed_exp_by_table(x, known.not_positive);
      return exp_by_table(x, known.not_positive);
    case Opcode::sigmoid:
      if (known.rounded) return short_sigmoid_by_table(x);
      return {};
    case Opcode::erf:
      return known.rounded ? short_erf_by_table(x) : erf_by_table(x);
    default:
      return {};
  }
}

}  // namespace

Expression expand(Opcode op, Expression a, Expression b, Known known, MathForm form) {
  const bool brief = known.rounded && a.type() == float32;
  if (form == MathForm::tables && a.type() == float32) {
    if (const auto expansion = expand_by_table(op, a, known)) return *expansion;
  }
  switch (op) {
    case Opcode::exp:
      return brief ? short_exp(a) : exp(a);
    case Opcode::expm1:
      return expm1(a);
    case Opcode::log:
      return log(a);
    case Opcode::log2:
      return log2(a);
    case Opcode::log10:
      return log10(a);
    case Opcode::log1p:
      return log1p(a);
    case Opcode::sin:
      return sin(a);
    case Opcode::cos:
      return cos(a);
    case Opcode::tan:
      return tan(a);
    case Opcode::asin:
      return asin(a);
    case Opcode::acos:
      return acos(a);
    case Opcode::atan:
      return atan(a);
    case Opcode::atan2:
      return atan2(a, b);
    case Opcode::sinh:
      return sinh(a);
    case Opcode::cosh:
      return cosh(a);
    case Opcode::tanh:
      return brief ? short_tanh(a) : tanh(a);
    case Opcode::asinh:
      return asinh(a);
    case Opcode::acosh:
      return acosh(a);
    case Opcode::atanh:
      return atanh(a);
    case Opcode::erf:
      return brief ? short_erf(a) : erf(a);
    case Opcode::erfinv:
      return erfinv(a);
    case Opcode::pow:
      return type_set(a.type()) == integers ? integer_pow(a, b) : pow(a, b);
    case Opcode::rsqrt:
      return 1 / sqrt(a);
    case Opcode::sigmoid:
      return brief ? short_sigmoid(a) : sigmoid(a);
    default:
      throw std::logic_error(fmt::format("[kir::expand_math] No expansion of {}.", row_of(op).name));
  }
}

}  // namespace lazuli::kir::math
