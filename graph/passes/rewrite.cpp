#include <lazuli/graph/passes/rewrite.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include <lazuli/graph/passes/rewrite_rules.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;

/// One side of a rule.
struct Pattern {
  enum class Kind : uint8_t {
    call,        ///< an operation with operands
    variable,    ///< x, y, z: any value
    constant,    ///< c: any constant of one element
    number,      ///< a constant of one element with this value
    reciprocal,  ///< 1/c, on the right only
  };
  Kind kind = Kind::call;
  std::string name;
  size_t variable = 0;
  double number = 0;
  std::vector<Pattern> operands;
};

/// Reads patterns; rules are part of the program, so that a mistake in one is the program's.
class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : text_(text) {}

  Pattern read() {
    Pattern pattern = read_one();
    if (at_ != text_.size()) fail();
    return pattern;
  }

 private:
  Pattern read_one() {
    if (at_ == text_.size()) fail();
    Pattern pattern;
    if (text_.substr(at_, 3) == "1/c") {
      at_ += 3;
      pattern.kind = Pattern::Kind::reciprocal;
      return pattern;
    }
    if (std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) {
      pattern.kind = Pattern::Kind::number;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), pattern.number);
      if (error != std::errc()) fail();
      at_ = static_cast<size_t>(end - text_.data());
      return pattern;
    }
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (std::islower(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_')) {
      ++at_;
    }
    pattern.name = text_.substr(begin, at_ - begin);
    if (pattern.name.empty()) fail();
    if (at_ == text_.size() || text_[at_] != '(') {
      if (pattern.name.size() != 1) fail();
      pattern.kind = pattern.name == "c" ? Pattern::Kind::constant : Pattern::Kind::variable;
      if (pattern.kind == Pattern::Kind::variable)
        pattern.variable = static_cast<size_t>(pattern.name[0] - 'x');
      return pattern;
    }
    ++at_;
    pattern.operands.push_back(read_one());
    while (text_.substr(at_, 2) == ", ") {
      at_ += 2;
      pattern.operands.push_back(read_one());
    }
    if (at_ == text_.size() || text_[at_] != ')') fail();
    ++at_;
    return pattern;
  }

  [[noreturn]] void fail() const {
    throw std::logic_error("[rewrite] cannot read the pattern '" + std::string(text_) + "'");
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct ParsedRule {
  Pattern before, after;
  RewriteRule::Where where;
};

/// Rules by the name of the operation that they replace.
const std::multimap<std::string, ParsedRule, std::less<>>& parsed_rules() {
  static const auto* const parsed = [] {
    auto* all = new std::multimap<std::string, ParsedRule, std::less<>>;
    for (const RewriteRule& rule : rewrite_rules()) {
      Pattern before = PatternReader(rule.before).read();
      std::string name = before.name;
      all->emplace(std::move(name),
                   ParsedRule{std::move(before), PatternReader(rule.after).read(), rule.where});
    }
    return all;
  }();
  return *parsed;
}

bool same_spec(const ArraySpec& a, const ArraySpec& b) {
  return a.dtype == b.dtype && a.shape.size() == b.shape.size() &&
         std::equal(a.shape.begin(), a.shape.end(), b.shape.begin(),
                    [](Dim x, Dim y) { return x.same_as(y); });
}

bool is_power_of_two(double number) {
  constexpr int most = 14;  // exponents that float16 has, without subnormal numbers
  int exponent = 0;
  return std::isfinite(number) && std::abs(std::frexp(number, &exponent)) == 0.5 &&
         std::abs(exponent - 1) <= most;
}

/// One attempt at a rule.
class Match {
 public:
  Match(Graph& graph, const ParsedRule& rule, const Ref<const Operation>& operation, const ArraySpec& result)
      : graph_(graph), rule_(rule), operation_(operation), result_(result) {}

  bool run(const std::vector<ValueId>& inputs, Rewritten& rewritten) {
    return matches_operands(rule_.before, inputs) && holds() && build(rewritten);
  }

 private:
  bool matches_operands(const Pattern& pattern, const std::vector<ValueId>& inputs) {
    if (pattern.operands.size() != inputs.size()) return false;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!matches(pattern.operands[i], inputs[i])) return false;
    }
    return true;
  }

  bool matches(const Pattern& pattern, ValueId value) {
    switch (pattern.kind) {
      case Pattern::Kind::variable: {
        std::optional<ValueId>& bound = variables_[pattern.variable];
        if (bound) return *bound == value;
        bound = value;
        return true;
      }
      case Pattern::Kind::constant:
        constant_ = scalar_constant(graph_, value);
        return constant_.has_value();
      case Pattern::Kind::number:
        return scalar_constant(graph_, value) == pattern.number;
      case Pattern::Kind::call: {
        const Graph::GraphNode* producer = graph_.producer(value);
        return producer != nullptr && producer->operation->name() == pattern.name &&
               producer->outputs.size() == 1 && matches_operands(pattern, producer->inputs);
      }
      case Pattern::Kind::reciprocal:
        break;
    }
    return false;
  }

  bool holds() const {
    switch (rule_.where) {
      case RewriteRule::Where::always:
        return true;
      case RewriteRule::Where::integers:
        return !issubdtype(result_.dtype, inexact);
      case RewriteRule::Where::power_of_two:
        return constant_ && is_power_of_two(*constant_) && issubdtype(result_.dtype, floating);
    }
    return false;
  }

  bool build(Rewritten& rewritten) {
    if (rule_.after.kind == Pattern::Kind::variable) {
      const ValueId value = *variables_[rule_.after.variable];
      if (!same_spec(graph_.spec(value), result_)) return false;
      rewritten.value = value;
      return true;
    }
    // The node keeps its attributes where it stays what it is.
    rewritten.operation =
        rule_.after.name == operation_->name() ? operation_ : operation_named(rule_.after.name);
    rewritten.inputs.clear();
    std::vector<ArraySpec> specs;
    for (const Pattern& operand : rule_.after.operands) {
      if (operand.kind == Pattern::Kind::reciprocal) {
        rewritten.inputs.push_back(graph_.add_constant(array(1 / *constant_, result_.dtype)));
      } else {
        rewritten.inputs.push_back(*variables_[operand.variable]);
      }
      specs.push_back(graph_.spec(rewritten.inputs.back()));
    }
    return same_spec(rewritten.operation->infer(specs).front(), result_);
  }

  Graph& graph_;
  const ParsedRule& rule_;
  const Ref<const Operation>& operation_;
  const ArraySpec& result_;
  std::array<std::optional<ValueId>, 3> variables_;
  std::optional<double> constant_;
};

}  // namespace

bool rewrite(Graph& graph, const Ref<const Operation>& operation, const std::vector<ValueId>& inputs,
             const ArraySpec& result, Rewritten& rewritten) {
  const auto [begin, end] = parsed_rules().equal_range(operation->name());
  for (auto rule = begin; rule != end; ++rule) {
    if (Match(graph, rule->second, operation, result).run(inputs, rewritten)) return true;
  }
  return false;
}

}  // namespace lazuli
