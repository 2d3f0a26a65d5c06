#include <lazuli/lm/chat/filters.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/operators.h>
#include <lazuli/lm/chat/tests.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>

namespace lazuli::lm::chat {
namespace {

struct NamedTest {
  std::string_view name;
  Test test;
};

template <Kind kind>
bool is_kind(const Value& value, const CallArgs&) {
  return value.is(kind);
}

template <CompareOp op>
bool compares(const Value& value, const CallArgs& args) {
  return apply_compare(op, value, Arguments("test", args, {"other"}, 1)[0]);
}

bool is_defined(const Value& value, const CallArgs&) {
  return !value.is(Kind::undefined);
}
bool is_true(const Value& value, const CallArgs&) {
  return value.is(Kind::boolean) && value.as_boolean();
}
bool is_false(const Value& value, const CallArgs&) {
  return value.is(Kind::boolean) && !value.as_boolean();
}
bool is_numeric(const Value& value, const CallArgs&) {
  return value.is_number();
}
bool is_callable(const Value& value, const CallArgs&) {
  return value.is(Kind::object) && value.as_object()->callable();
}

bool is_iterable(const Value& value, const CallArgs&) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::text:
    case Kind::sequence:
    case Kind::dict:
      return true;
    case Kind::object:
      return value.as_object()->items() != nullptr;
    default:
      return false;
  }
}

// What has a length and can be indexed, which in Python holds for dicts and undefined values too.
bool is_sequence(const Value& value, const CallArgs& args) {
  if (!is_iterable(value, args)) return false;
  if (!value.is(Kind::sequence)) return true;
  const SequenceKind kind = value.as_sequence().kind;
  return kind != SequenceKind::generator && kind != SequenceKind::view;
}

template <std::int64_t rest>
bool is_modulo_two(const Value& value, const CallArgs&) {
  const std::int64_t number = expect_integer(value);
  return (number % 2 != 0) == (rest != 0);
}

bool is_divisible(const Value& value, const CallArgs& args) {
  const std::int64_t by = expect_integer(Arguments("divisibleby", args, {"num"}, 1)[0]);
  if (by == 0) throw EvalError("integer modulo by zero");
  return by == -1 || expect_integer(value) % by == 0;
}

template <bool (*wanted)(char32_t), bool (*unwanted)(char32_t)>
bool has_case(const Value& value, const CallArgs&) {
  const std::u32string points = to_code_points(to_text(value));
  return std::any_of(points.begin(), points.end(), wanted) &&
         std::none_of(points.begin(), points.end(), unwanted);
}

bool is_same(const Value& value, const CallArgs& args) {
  return value.same_as(Arguments("sameas", args, {"other"}, 1)[0]);
}

bool is_escaped(const Value& value, const CallArgs&) {
  return value.is_safe();
}
bool is_filter(const Value& value, const CallArgs&) {
  return value.is(Kind::text) && find_filter(value.as_text()) != nullptr;
}
bool is_test(const Value& value, const CallArgs&) {
  return value.is(Kind::text) && find_test(value.as_text()) != nullptr;
}

constexpr NamedTest kTests[] = {
    {"boolean", is_kind<Kind::boolean>},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", compares<CompareOp::equal>},
    {"equalto", compares<CompareOp::equal>},
    {"escaped", is_escaped},
    {"even", is_modulo_two<0>},
    {"false", is_false},
    {"filter", is_filter},
    {"float", is_kind<Kind::real>},
    {"ge", compares<CompareOp::greater_equal>},
    {"greaterthan", compares<CompareOp::greater>},
    {"gt", compares<CompareOp::greater>},
    {"in", compares<CompareOp::in>},
    {"integer", is_kind<Kind::integer>},
    {"iterable", is_iterable},
    {"le", compares<CompareOp::less_equal>},
    {"lessthan", compares<CompareOp::less>},
    {"lower", has_case<is_lower, is_upper>},
    {"lt", compares<CompareOp::less>},
    {"mapping", is_kind<Kind::dict>},
    {"ne", compares<CompareOp::not_equal>},
    {"none", is_kind<Kind::none>},
    {"number", is_numeric},
    {"odd", is_modulo_two<1>},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", is_kind<Kind::text>},
    {"test", is_test},
    {"true", is_true},
    {"undefined", is_kind<Kind::undefined>},
    {"upper", has_case<is_upper, is_lower>},
    // By sign, as `select` and others take them.
    {"==", compares<CompareOp::equal>},
    {"!=", compares<CompareOp::not_equal>},
    {"<", compares<CompareOp::less>},
    {"<=", compares<CompareOp::less_equal>},
    {">", compares<CompareOp::greater>},
    {">=", compares<CompareOp::greater_equal>},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const NamedTest& entry : kTests) {
    if (entry.name == name) return entry.test;
  }
  return nullptr;
}

}  // namespace lazuli::lm::chat
