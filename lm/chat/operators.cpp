#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/operators.h>
#include <lazuli/lm/chat/text.h>

#include <cmath>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

std::string_view sign_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
      return "+";
    case BinaryOp::subtract:
      return "-";
    case BinaryOp::multiply:
      return "*";
    case BinaryOp::divide:
      return "/";
    case BinaryOp::floor_divide:
      return "//";
    case BinaryOp::modulo:
      return "%";
    case BinaryOp::power:
      break;
  }
  return "** or pow()";
}

[[noreturn]] void throw_unsupported(BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::add && (a.is(Kind::text) || a.is_list_or_tuple())) {
    throw EvalError(
        fmt::format("can only concatenate {0} (not \"{1}\") to {0}", a.type_name(), b.type_name()));
  }
  throw EvalError(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", sign_of(op), a.type_name(),
                              b.type_name()));
}

[[noreturn]] void throw_overflow() {
  throw EvalError("an integer leaves the range of 64 bits");
}

Value integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw EvalError("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) throw_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) throw_overflow();
  }
  return Value::integer(result);
}

Value integer_op(BinaryOp op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOp::subtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOp::multiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOp::power:
      return integer_power(a, b);
    case BinaryOp::divide:
      if (b == 0) throw EvalError("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOp::floor_divide:
    case BinaryOp::modulo: {
      if (b == 0) throw EvalError("integer division or modulo by zero");
      if (b == -1) {
        if (op == BinaryOp::modulo) return Value::integer(0);
        overflow = __builtin_sub_overflow(std::int64_t{0}, a, &result);
        break;
      }
      // Python rounds down, C++ towards zero.
      const bool adjust = a % b != 0 && (a % b < 0) != (b < 0);
      result = op == BinaryOp::modulo ? a % b + (adjust ? b : 0) : a / b - (adjust ? 1 : 0);
      break;
    }
  }
  if (overflow) throw_overflow();
  return Value::integer(result);
}

Value real_op(BinaryOp op, double a, double b) {
  if (b == 0 && (op == BinaryOp::divide || op == BinaryOp::floor_divide || op == BinaryOp::modulo)) {
    throw EvalError(op == BinaryOp::divide ? "float division by zero" : "float floor division by zero");
  }
  switch (op) {
    case BinaryOp::add:
      return Value::real(a + b);
    case BinaryOp::subtract:
      return Value::real(a - b);
    case BinaryOp::multiply:
      return Value::real(a * b);
    case BinaryOp::divide:
      return Value::real(a / b);
    case BinaryOp::floor_divide:
      return Value::real(std::floor(a / b));
    case BinaryOp::modulo: {
      const double rest = std::fmod(a, b);
      return Value::real(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
    case BinaryOp::power:
      break;
  }
  if (a == 0 && b < 0) throw EvalError("0.0 cannot be raised to a negative power");
  return Value::real(std::pow(a, b));
}

Value concatenate(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge(a.as_text().size() + b.as_text().size());
  const bool safe = a.is_safe() || b.is_safe();
  if (!safe || (a.is_safe() && b.is_safe())) return Value::text(a.as_text() + b.as_text(), safe);
  const std::string left = a.is_safe() ? a.as_text() : escape_html(a.as_text());
  return Value::text(left + (b.is_safe() ? b.as_text() : escape_html(b.as_text())), true);
}

Value repeat(Runtime& runtime, const Value& value, std::int64_t times) {
  const std::size_t count = times < 0 ? 0 : static_cast<std::size_t>(times);
  if (value.is(Kind::text)) {
    const std::string& text = value.as_text();
    if (!text.empty() && count > (std::size_t{1} << 40)) throw EvalError("a text grows too large");
    runtime.charge(text.size() * count);
    std::string out;
    if (text.empty()) return value;
    out.reserve(text.size() * count);
    for (std::size_t i = 0; i < count; ++i) out += text;
    return Value::text(std::move(out), value.is_safe());
  }
  const Sequence& sequence = value.as_sequence();
  if (count > (std::size_t{1} << 30) && !sequence.items.empty()) throw EvalError("a list grows too large");
  runtime.charge(sequence.items.size() * count * sizeof(Value));
  std::vector<Value> items;
  for (std::size_t i = 0; i < (sequence.items.empty() ? 0 : count); ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return Value::sequence(sequence.kind, std::move(items));
}

}  // namespace

Value apply_binary(Runtime& runtime, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::modulo && a.is(Kind::text)) return Value::text(format_percent(runtime, a.as_text(), b));
  for (const Value* side : {&a, &b}) {
    if (side->is(Kind::undefined)) throw EvalError(side->hint());
  }
  if (a.is_number() && b.is_number()) {
    if (a.is_integer_like() && b.is_integer_like()) return integer_op(op, a.as_integer(), b.as_integer());
    return real_op(op, a.as_real(), b.as_real());
  }
  if (op == BinaryOp::add) {
    if (a.is(Kind::text) && b.is(Kind::text)) return concatenate(runtime, a, b);
    if (a.is_list_or_tuple() && b.is_list_or_tuple() && a.as_sequence().kind == b.as_sequence().kind) {
      std::vector<Value> items = a.as_sequence().items;
      items.insert(items.end(), b.as_sequence().items.begin(), b.as_sequence().items.end());
      runtime.charge(items.size() * sizeof(Value));
      return Value::sequence(a.as_sequence().kind, std::move(items));
    }
  }
  if (op == BinaryOp::multiply) {
    auto repeatable = [](const Value& value) { return value.is(Kind::text) || value.is_list_or_tuple(); };
    if (repeatable(a) && b.is_integer_like()) return repeat(runtime, a, b.as_integer());
    if (repeatable(b) && a.is_integer_like()) return repeat(runtime, b, a.as_integer());
  }
  throw_unsupported(op, a, b);
}

Value apply_unary(UnaryOp op, const Value& operand) {
  if (op == UnaryOp::logical_not) return Value::boolean(!operand.truthy());
  if (operand.is(Kind::undefined)) throw EvalError(operand.hint());
  if (operand.is(Kind::real))
    return Value::real(op == UnaryOp::negate ? -operand.as_real() : operand.as_real());
  if (!operand.is_integer_like()) {
    throw EvalError(fmt::format("bad operand type for unary {}: '{}'", op == UnaryOp::negate ? "-" : "+",
                                operand.type_name()));
  }
  if (op == UnaryOp::plus) return Value::integer(operand.as_integer());
  return integer_op(BinaryOp::subtract, 0, operand.as_integer());
}

bool apply_compare(CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::equal:
      return equal(a, b);
    case CompareOp::not_equal:
      return !equal(a, b);
    case CompareOp::less:
      return less(a, b);
    case CompareOp::less_equal: {
      const bool below = less(a, b, "<=");
      return below || equal(a, b);
    }
    case CompareOp::greater:
      return less(b, a, ">");
    case CompareOp::greater_equal: {
      const bool above = less(b, a, ">=");
      return above || equal(a, b);
    }
    case CompareOp::in:
      return contains(b, a);
    case CompareOp::not_in:
      break;
  }
  return !contains(b, a);
}

}  // namespace lazuli::lm::chat
