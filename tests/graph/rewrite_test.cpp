// Every rule of simplification, on the text of a graph before and after.

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <sstream>

#include <lazuli/compiler/operations.h>
#include <lazuli/graph/passes/rewrite.h>
#include <lazuli/graph/passes/rewrite_rules.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>
#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli {
namespace {

/// A graph that is the left side of a rule, over inputs of one dtype (bool where a condition stands).
class RuleGraph {
 public:
  RuleGraph(std::string_view text, Dtype dtype, double c) : text_(text), dtype_(dtype), c_(c) {
    graph_.outputs.push_back(read());
  }
  const Graph& graph() const { return graph_; }

 private:
  Graph::ValueId read() {
    if (std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) {
      const double number = text_[at_++] - '0';
      return graph_.add_constant(array(number, dtype_));
    }
    const size_t end = text_.find_first_of("(,)", at_);
    const std::string name(text_.substr(at_, end - at_));
    at_ = end == std::string_view::npos ? text_.size() : end;
    if (at_ == text_.size() || text_[at_] != '(') return leaf(name);
    std::vector<Graph::ValueId> operands;
    for (++at_; true; at_ += 2) {
      calls_.push_back(name);
      operands.push_back(read());
      calls_.pop_back();
      if (text_[at_] == ')') break;
    }
    ++at_;
    std::vector<ArraySpec> specs;
    for (Graph::ValueId operand : operands) specs.push_back(graph_.spec(operand));
    const Ref<const Operation> operation = operation_of(name);
    std::vector<ArraySpec> results = operation->infer(specs);
    const Graph::NodeId node = graph_.add_node(operation, std::move(operands), std::move(results));
    return graph_.nodes[node].outputs[0];
  }

  Graph::ValueId leaf(const std::string& name) {
    if (name == "c") return graph_.add_constant(array(c_, dtype_));
    const auto [found, is_new] = leaves_.emplace(name, 0);
    const bool is_condition = name == "x" && !calls_.empty() && calls_.back() == "where";
    if (is_new) found->second = graph_.add_input({{2, 3}, is_condition ? bool_ : dtype_});
    return found->second;
  }

  Ref<const Operation> operation_of(const std::string& name) const {
    if (name == "reshape") return make_ref<ReshapeOperation>(calls_.empty() ? Shape{2, 3} : Shape{6});
    if (name == "concatenate") return make_ref<ConcatenateOperation>(0);
    if (name == "astype" || name == "broadcast_to") {
      // As they are traced where they do something.
      const array x(Node::placeholder_of({{1, 3}, int8}));
      const array y = name == "astype" ? astype(x, dtype_) : broadcast_to(x, {2, 3});
      return build_function_graph(std::vector<array>{x}, std::vector<array>{y}).nodes[0].operation;
    }
    return operation_named(name);
  }

  std::string_view text_;
  Dtype dtype_;
  double c_;
  size_t at_ = 0;
  Graph graph_;
  std::map<std::string, Graph::ValueId> leaves_;
  std::vector<std::string> calls_;
};

/// What a graph computes, inputs and constants left out.
std::string nodes_of(const Graph& graph) {
  std::string result;
  std::istringstream lines(graph.to_text());
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with("= input") || line.find("= constant") != std::string::npos) continue;
    result += (result.empty() ? "" : "; ") + line;
  }
  return result;
}

struct Expected {
  const char* rule;
  const char* before;
  const char* after;
  Dtype dtype = float32;
};

const std::vector<Expected>& expected() {
  static const std::vector<Expected> all = {
      {"astype(x)", "%1: float32[2,3] = astype(dtype=float32) %0; return %1", "return %0"},
      {"broadcast_to(x)",
       "%1: float32[2,3] = broadcast_to(shape=(2,3), rank=2, dim=-1, scale=1, offset=0, dynamic=-1, dim=1, "
       "scale=1, offset=0, dynamic=-1, dynamic_indices=0) %0; return %1",
       "return %0"},
      {"reshape(x)", "%1: float32[2,3] = reshape(shape=(2,3)) %0; return %1", "return %0"},
      {"concatenate(x)", "%1: float32[2,3] = concatenate(axis=0) %0; return %1", "return %0"},
      {"multiply(x, 1)", "%2: float32[2,3] = multiply %0, %1; return %2", "return %0"},
      {"multiply(1, x)", "%2: float32[2,3] = multiply %0, %1; return %2", "return %0"},
      {"divide(x, 1)", "%2: float32[2,3] = divide %0, %1; return %2", "return %0"},
      {"subtract(x, 0)", "%2: float32[2,3] = subtract %0, %1; return %2", "return %0"},
      {"add(x, 0)", "%2: int32[2,3] = add %0, %1; return %2", "return %0", int32},
      {"add(0, x)", "%2: int32[2,3] = add %0, %1; return %2", "return %0", int32},
      {"power(x, 1)", "%2: float32[2,3] = power %0, %1; return %2", "return %0"},
      {"maximum(x, x)", "%1: float32[2,3] = maximum %0, %0; return %1", "return %0"},
      {"minimum(x, x)", "%1: float32[2,3] = minimum %0, %0; return %1", "return %0"},
      {"logical_and(x, x)", "%1: bool[2,3] = logical_and %0, %0; return %1", "return %0", bool_},
      {"logical_or(x, x)", "%1: bool[2,3] = logical_or %0, %0; return %1", "return %0", bool_},
      {"where(x, y, y)", "%2: float32[2,3] = where %0, %1, %1; return %2", "return %1"},
      {"reshape(reshape(x))",
       "%1: float32[6] = reshape(shape=(6)) %0; %2: float32[2,3] = reshape(shape=(2,3)) %1; return %2",
       "return %0"},
      {"negative(negative(x))", "%1: float32[2,3] = negative %0; %2: float32[2,3] = negative %1; return %2",
       "return %0"},
      {"logical_not(logical_not(x))",
       "%1: bool[2,3] = logical_not %0; %2: bool[2,3] = logical_not %1; return %2", "return %0", bool_},
      {"add(x, negative(y))", "%2: float32[2,3] = negative %1; %3: float32[2,3] = add %0, %2; return %3",
       "%2: float32[2,3] = subtract %0, %1; return %2"},
      {"add(negative(x), y)", "%1: float32[2,3] = negative %0; %3: float32[2,3] = add %1, %2; return %3",
       "%2: float32[2,3] = subtract %1, %0; return %2"},
      {"subtract(x, negative(y))",
       "%2: float32[2,3] = negative %1; %3: float32[2,3] = subtract %0, %2; return %3",
       "%2: float32[2,3] = add %0, %1; return %2"},
      {"abs(negative(x))", "%1: float32[2,3] = negative %0; %2: float32[2,3] = abs %1; return %2",
       "%1: float32[2,3] = abs %0; return %1"},
      {"abs(abs(x))", "%1: float32[2,3] = abs %0; %2: float32[2,3] = abs %1; return %2",
       "%1: float32[2,3] = abs %0; return %1"},
      {"square(negative(x))", "%1: float32[2,3] = negative %0; %2: float32[2,3] = square %1; return %2",
       "%1: float32[2,3] = square %0; return %1"},
      {"square(abs(x))", "%1: float32[2,3] = abs %0; %2: float32[2,3] = square %1; return %2",
       "%1: float32[2,3] = square %0; return %1"},
      {"power(x, 2)", "%2: float32[2,3] = power %0, %1; return %2",
       "%1: float32[2,3] = square %0; return %1"},
      {"divide(x, c)", "%2: float32[2,3] = divide %0, %1; return %2",
       "%2: float32[2,3] = multiply %0, %1; return %2"},
  };
  return all;
}

TEST(Rewrite, EachRuleOnText) {
  ASSERT_EQ(rewrite_rules().size(), expected().size());
  for (size_t i = 0; i < expected().size(); ++i) {
    const Expected& wanted = expected()[i];
    EXPECT_EQ(rewrite_rules()[i].before, wanted.rule);
    const RuleGraph rule(rewrite_rules()[i].before, wanted.dtype, 4);
    EXPECT_EQ(nodes_of(rule.graph()), wanted.before) << wanted.rule;
    EXPECT_EQ(nodes_of(simplify(rule.graph())), wanted.after) << wanted.rule;
  }
}

TEST(Rewrite, RulesKeepToTheirConditions) {
  const auto stays = [](const char* rule, Dtype dtype, double c) {
    const RuleGraph graph(rule, dtype, c);
    EXPECT_EQ(nodes_of(simplify(graph.graph())), nodes_of(graph.graph())) << rule << " with " << c;
  };
  // A reciprocal that is rounded, or that float16 does not have.
  for (double c : {3.0, 0.0, 65536.0, 1e-30}) stays("divide(x, c)", float32, c);
  // -0 + 0 is +0.
  stays("add(x, 0)", float32, 0);
  stays("add(x, 0)", bfloat16, 0);
  // |z|² is no z².
  stays("square(abs(x))", complex64, 0);
  // Other values, and other places.
  stays("maximum(x, y)", float32, 0);
  stays("subtract(x, 1)", float32, 0);
}

TEST(Rewrite, WhatIsRewrittenIsEqual) {
  const array x = array({-INFINITY, -2.5f, -0.0f, 0.0f, 1e-40f, 3.0f, INFINITY, NAN});
  const std::vector<std::function<array(const array&)>> functions{
      [](const array& a) { return a / array(8.0f); },
      [](const array& a) { return a + negative(a * array(3.0f)); },
      [](const array& a) { return negative(a) + abs(a); },
      [](const array& a) { return square(abs(a)) - negative(a); },
      [](const array& a) { return power(a, array(2.0f)); },
      [](const array& a) { return where(a > array(0.0f), a, a); },
  };
  for (size_t i = 0; i < functions.size(); ++i) {
    const CompiledFunction whole =
        compile([&](const std::vector<array>& in) { return std::vector<array>{functions[i](in[0])}; });
    set_compile_mode(CompileMode::no_simplify);
    const std::vector<float> expected = test::values<float>(whole({x})[0]);
    set_compile_mode(CompileMode::enabled);
    const std::vector<float> actual = test::values<float>(whole({x})[0]);
    for (size_t k = 0; k < expected.size(); ++k) {
      if (std::isnan(expected[k])) {
        EXPECT_TRUE(std::isnan(actual[k])) << i << " " << k;
      } else {
        EXPECT_EQ(actual[k], expected[k]) << i << " " << k;
        EXPECT_EQ(std::signbit(actual[k]), std::signbit(expected[k])) << i << " " << k;
      }
    }
  }
}

}  // namespace
}  // namespace lazuli
