#include <lazuli/lm/command/explain_expression.h>

#include <cctype>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <lazuli/lm/command/explain_functions.h>
#include <lazuli/ops/ops.h>

namespace lazuli::command {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::map<std::string, array>& inputs) : text_(text), names_(inputs) {}

  std::vector<array> run() {
    while (const auto name = assigned_name()) {
      names_.insert_or_assign(*name, to_array(comparison()));
      expect(';');
    }
    std::vector<array> results{to_array(comparison())};
    while (accept(',')) results.push_back(to_array(comparison()));
    skip_space();
    if (at_ < text_.size()) fail("did not expect '" + std::string(text_.substr(at_, 1)) + "'");
    return results;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument(fmt::format("[explain] At character {}: {}", at_ + 1, what));
  }

  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  bool accept(char token) { return accept(std::string_view(&token, 1)); }

  void expect(char token) {
    if (!accept(token)) fail(std::string("'") + token + "' is missing");
  }

  static bool begins_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }

  std::string name() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (begins_name(text_[at_]) || std::isdigit(static_cast<unsigned char>(text_[at_])) != 0)) {
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  /// The name of `name =`, but not of `name ==`.
  std::optional<std::string> assigned_name() {
    skip_space();
    const size_t before = at_;
    if (at_ < text_.size() && begins_name(text_[at_])) {
      std::string found = name();
      skip_space();
      if (text_.substr(at_, 2) != "==" && accept('=')) return found;
    }
    at_ = before;
    return std::nullopt;
  }

  array to_array(const Argument& argument) const {
    if (const auto* value = std::get_if<array>(&argument)) return *value;
    if (const auto* number = std::get_if<double>(&argument)) return array(static_cast<float>(*number));
    fail("a value is needed here");
  }

  /// Both numbers: arithmetic now. Otherwise arrays, a number taking the other's dtype.
  template <typename F>
  Argument combine(const Argument& a, const Argument& b, F&& f) const {
    const auto* x = std::get_if<double>(&a);
    const auto* y = std::get_if<double>(&b);
    if (x != nullptr && y != nullptr) return to_array_result(f(array(*x, float64), array(*y, float64)));
    if (x != nullptr) {
      const array other = to_array(b);
      return f(typed(*x, other), other);
    }
    if (y != nullptr) {
      const array other = to_array(a);
      return f(other, typed(*y, other));
    }
    return f(to_array(a), to_array(b));
  }

  static Argument to_array_result(const array& result) { return astype(result, float64).item<double>(); }

  /// A number as Lazuli's operators take it: in the dtype of a floating point array, else float32.
  static array typed(double number, const array& other) {
    const bool whole = number == static_cast<double>(static_cast<int64_t>(number));
    const bool keeps = issubdtype(other.dtype(), floating) || (issubdtype(other.dtype(), integer) && whole);
    return array(number, keeps ? other.dtype() : float32);
  }

  Argument comparison() {
    Argument left = sum();
    using Function = array (*)(const array&, const array&);
    static constexpr std::pair<std::string_view, Function> operators[] = {
        {"<=", [](const array& a, const array& b) { return a <= b; }},
        {">=", [](const array& a, const array& b) { return a >= b; }},
        {"==", [](const array& a, const array& b) { return a == b; }},
        {"!=", [](const array& a, const array& b) { return a != b; }},
        {"<", [](const array& a, const array& b) { return a < b; }},
        {">", [](const array& a, const array& b) { return a > b; }}};
    for (const auto& [token, function] : operators) {
      if (accept(token)) return combine(left, sum(), function);
    }
    return left;
  }

  Argument sum() {
    Argument left = product();
    while (true) {
      if (accept('+')) {
        left = combine(left, product(), [](const array& a, const array& b) { return a + b; });
      } else if (accept('-')) {
        left = combine(left, product(), [](const array& a, const array& b) { return a - b; });
      } else {
        return left;
      }
    }
  }

  Argument product() {
    Argument left = factor();
    while (true) {
      if (accept('*')) {
        left = combine(left, factor(), [](const array& a, const array& b) { return a * b; });
      } else if (accept('/')) {
        left = combine(left, factor(), [](const array& a, const array& b) { return a / b; });
      } else if (accept('%')) {
        left = combine(left, factor(), [](const array& a, const array& b) { return a % b; });
      } else if (accept('@')) {
        left = matmul(to_array(left), to_array(factor()));
      } else {
        return left;
      }
    }
  }

  Argument factor() {
    if (++depth_ > 200) fail("this is nested too deeply");
    Argument result = 0.0;
    if (accept('-')) {
      result = factor();
      if (auto* number = std::get_if<double>(&result)) {
        *number = -*number;
      } else {
        result = -to_array(result);
      }
    } else {
      result = primary();
      while (accept('[')) result = indexed(to_array(result));
    }
    --depth_;
    return result;
  }

  Argument primary() {
    skip_space();
    if (at_ == text_.size()) fail("a value is missing");
    const char c = text_[at_];
    if (accept('(')) {
      Argument inner = comparison();
      expect(')');
      return inner;
    }
    if (accept('[')) return list();
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.') return number();
    if (!begins_name(c)) fail(std::string("did not expect '") + c + "'");
    const size_t begin = at_;
    const std::string found = name();
    if (accept('(')) return call(found, begin);
    if (const auto known = names_.find(found); known != names_.end()) return known->second;
    if (found == "true" || found == "false") return found == "true";
    if (const auto dtype = dtype_from_short_name(found)) return *dtype;
    at_ = begin;
    fail("'" + found + "' is no input, function or dtype");
  }

  double number() {
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("this is no number");
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }

  int integer_number() {
    const bool negative = accept('-');
    skip_space();
    const double value = number();
    if (value != static_cast<double>(static_cast<int>(value))) fail("a whole number is needed here");
    return negative ? -static_cast<int>(value) : static_cast<int>(value);
  }

  Argument list() {
    std::vector<int> numbers;
    if (accept(']')) return numbers;
    do {
      numbers.push_back(integer_number());
    } while (accept(','));
    expect(']');
    return numbers;
  }

  Argument call(const std::string& function, size_t begin) {
    std::vector<Argument> arguments;
    if (!accept(')')) {
      do {
        arguments.push_back(comparison());
      } while (accept(','));
      expect(')');
    }
    const auto found = functions().find(function);
    if (found == functions().end()) {
      at_ = begin;
      fail("there is no function '" + function + "'");
    }
    return found->second(Arguments(function, std::move(arguments)));
  }

  Argument indexed(const array& a) {
    Shape start, stop;
    std::vector<int> squeezed;
    for (Dim extent : a.shape()) {
      start.push_back(0);
      stop.push_back(extent);
    }
    size_t d = 0;
    do {
      if (d == a.ndim()) fail("there are more indices than dimensions");
      skip_space();
      if (at_ < text_.size() && text_[at_] != ':') {
        const int first = integer_number();
        start[d] = first < 0 ? first + static_cast<int>(a.shape(static_cast<int>(d))) : first;
        if (!accept(':')) {
          stop[d] = start[d] + 1;
          squeezed.push_back(static_cast<int>(d));
          ++d;
          continue;
        }
      } else {
        expect(':');
      }
      skip_space();
      if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != ']') {
        const int last = integer_number();
        stop[d] = last < 0 ? last + static_cast<int>(a.shape(static_cast<int>(d))) : last;
      }
      ++d;
    } while (accept(','));
    expect(']');
    const array part = slice(a, start, stop);
    return squeezed.empty() ? part : squeeze(part, squeezed);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::map<std::string, array> names_;
};

}  // namespace

std::optional<Dtype> dtype_from_short_name(const std::string& name) {
  static const std::map<std::string, Dtype> known = {
      {"f32", float32}, {"f64", float64}, {"f16", float16}, {"bf16", bfloat16}, {"i8", int8},
      {"i16", int16},   {"i32", int32},   {"i64", int64},   {"u8", uint8},      {"u16", uint16},
      {"u32", uint32},  {"u64", uint64},  {"bool", bool_},  {"c64", complex64}};
  if (const auto found = known.find(name); found != known.end()) return found->second;
  for (const auto& [shorter, dtype] : known) {
    if (dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

std::vector<array> evaluate_expression(std::string_view text, const std::map<std::string, array>& inputs) {
  return Parser(text, inputs).run();
}

std::vector<std::string> expression_functions() {
  std::vector<std::string> names;
  for (const auto& [name, function] : functions()) names.push_back(name);
  return names;
}

std::pair<std::string, array> make_input(const std::string& text, uint64_t seed) {
  const auto fail = [&](const std::string& what) -> std::pair<std::string, array> {
    throw std::invalid_argument(
        fmt::format("[explain] The input '{}' {}; it should read like x=float32[64,1024]", text, what));
  };
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) return fail("has no name");
  const size_t bracket = text.find('[', equals);
  if (bracket == std::string::npos || text.back() != ']') return fail("has no shape");
  const auto dtype = dtype_from_short_name(text.substr(equals + 1, bracket - equals - 1));
  if (!dtype) return fail("has no dtype that is known");
  Shape shape;
  int64_t elements = 1;
  for (size_t at = bracket + 1; at + 1 < text.size();) {
    int extent = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size() - 1, extent);
    at = static_cast<size_t>(end - text.data());
    const bool more = at + 2 < text.size() && text[at] == ',';
    if (error != std::errc() || extent < 0 || (!more && at + 1 != text.size())) return fail("has no shape");
    elements *= extent;
    if (elements > (int64_t{1} << 31)) return fail("is too large");
    shape.push_back(extent);
    if (more) ++at;
  }
  const array key = random::key(seed);
  array value = issubdtype(*dtype, inexact)
                    ? astype(random::normal(shape, float32, key), *dtype)
                    : astype(random::randint(array(0), array(8), shape, int32, key), *dtype);
  value.eval();
  return {text.substr(0, equals), value};
}

}  // namespace lazuli::command
