// Graphs traced from arrays, and what simplification makes of them, as text.

#include <gtest/gtest.h>

#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>
#include <lazuli/lazuli.h>

namespace lazuli {
namespace {

using Arrays = std::vector<array>;

/// The graph of a function of placeholders.
Graph traced(const ArrayFunction& function, const std::vector<ArraySpec>& specs) {
  Arrays arguments;
  for (const ArraySpec& spec : specs) arguments.emplace_back(Node::placeholder_of(spec));
  return build_function_graph(arguments, function(arguments));
}

struct Texts {
  std::string before;
  std::string after;
};

Texts texts(const ArrayFunction& function, const std::vector<ArraySpec>& specs) {
  const Graph graph = traced(function, specs);
  return {graph.to_text(), simplify(graph).to_text()};
}

TEST(Simplify, EqualOperationsAreOne) {
  const auto [before, after] =
      texts([](const Arrays& in) { return Arrays{exp(in[0]) + exp(in[0])}; }, {{{3}, float32}});
  EXPECT_EQ(before,
            "%0: float32[3] = input\n"
            "%1: float32[3] = exp %0\n"
            "%2: float32[3] = exp %0\n"
            "%3: float32[3] = add %1, %2\n"
            "return %3\n");
  EXPECT_EQ(after,
            "%0: float32[3] = input\n"
            "%1: float32[3] = exp %0\n"
            "%2: float32[3] = add %1, %1\n"
            "return %2\n");
}

TEST(Simplify, OperationsThatDifferStay) {
  const auto [before, after] = texts(
      [](const Arrays& in) {
        return Arrays{sum(in[0], 0, true), sum(in[0], 1, true), in[0] - in[1], in[1] - in[0]};
      },
      {{{2, 2}, float32}, {{2, 2}, float32}});
  EXPECT_EQ(before, after);
}

TEST(Simplify, DeadNodesGo) {
  const auto [before, after] = texts(
      [](const Arrays& in) {
        return Arrays{stop_gradient(in[0]), custom_vjp(
                                                [](const Arrays& x) {
                                                  return Arrays{exp(x[0]), sin(x[0])};
                                                },
                                                [](const Arrays& x, const Arrays&, const Arrays&) {
                                                  return Arrays{x[0]};
                                                })({in[0]})[1]};
      },
      {{{3}, float32}});
  EXPECT_NE(before.find("exp"), std::string::npos);
  EXPECT_EQ(after,
            "%0: float32[3] = input\n"
            "%1: float32[3] = sin %0\n"
            "return %0, %1\n");
}

TEST(Simplify, WhatChangesNothingGoes) {
  const ArraySpec spec{{2, 3}, float32};
  const std::string same = "%0: float32[2,3] = input\nreturn %0\n";
  const std::vector<std::pair<const char*, std::function<array(const array&)>>> cases{
      {"times one", [](const array& x) { return x * array(1.0f); }},
      {"one times", [](const array& x) { return array(1.0f) * x; }},
      {"by one", [](const array& x) { return x / array(1.0f); }},
      {"minus zero", [](const array& x) { return x - array(0.0f); }},
      {"negated twice", [](const array& x) { return negative(negative(x)); }},
      {"reshaped back",
       [](const array& x) {
         return reshape(reshape(x, {6}), {2, 3});
       }},
      {"not for derivatives", [](const array& x) { return stop_gradient(x); }},
      {"all of these",
       [](const array& x) { return stop_gradient(negative(negative(x * array(1.0f)))) - array(0.0f); }},
  };
  for (const auto& [name, f] : cases) {
    EXPECT_EQ(texts([&](const Arrays& in) { return Arrays{f(in[0])}; }, {spec}).after, same) << name;
  }
}

TEST(Simplify, WhatChangesSomethingStays) {
  const std::vector<std::pair<const char*, std::function<array(const array&)>>> cases{
      // -0 + 0 is +0, and 0 - x is not -x where x is 0.
      {"plus zero", [](const array& x) { return x + array(0.0f); }},
      {"from zero", [](const array& x) { return array(0.0f) - x; }},
      {"times zero", [](const array& x) { return x * array(0.0f); }},
      {"inverse", [](const array& x) { return array(1.0f) / x; }},
      {"rounded", [](const array& x) { return astype(astype(x, float16), float32); }},
      {"broadcast by one",
       [](const array& x) {
         return x * ones({2, 2, 3});
       }},
  };
  for (const auto& [name, f] : cases) {
    const auto [before, after] =
        texts([&](const Arrays& in) { return Arrays{f(in[0])}; }, {{{2, 3}, float32}});
    EXPECT_EQ(before, after) << name;
  }
}

TEST(Simplify, OnlyTheLastOfSeveralReshapes) {
  const auto [before, after] = texts(
      [](const Arrays& in) {
        return Arrays{reshape(reshape(in[0], {6}), {3, 2})};
      },
      {{{2, 3}, float32}});
  EXPECT_EQ(after,
            "%0: float32[2,3] = input\n"
            "%1: float32[3,2] = reshape(shape=(3,2)) %0\n"
            "return %1\n");
}

TEST(Simplify, GradientsLoseTheirScaffolding) {
  // d/dx of Σ x² for a placeholder: stand-ins and the factor of one are gone.
  const auto [before, after] = texts(
      [](const Arrays& in) { return Arrays{grad([](const array& x) { return sum(square(x)); })(in[0])}; },
      {{{3}, float32}});
  EXPECT_NE(before.find("identity"), std::string::npos);
  EXPECT_EQ(after.find("identity"), std::string::npos);
  EXPECT_EQ(after.find("reduce_sum"), std::string::npos) << "the value itself is not asked for:\n" << after;
}

TEST(Trace, WhatDependsOnNoArgumentIsAConstant) {
  const array table({1.0f, 4.0f});
  const Graph graph = traced([&](const Arrays& in) { return Arrays{in[0] + sqrt(table)}; }, {{{2}, float32}});
  ASSERT_EQ(graph.nodes.size(), 1u);
  ASSERT_EQ(graph.constants.size(), 1u);
  EXPECT_EQ(graph.constants[0].data<float>()[1], 2.0f);
  EXPECT_EQ(graph.to_text(),
            "%0: float32[2] = input\n"
            "%1: float32[2] = constant\n"
            "%2: float32[2] = add %0, %1\n"
            "return %2\n");
}

TEST(Trace, ArgumentsOfOtherFunctionsAreErrors) {
  const array stranger(Node::placeholder_of({{2}, float32}));
  EXPECT_THROW(traced([&](const Arrays& in) { return Arrays{in[0] + stranger}; }, {{{2}, float32}}),
               std::runtime_error);
}

TEST(Operations, EqualByNameAndAttributes) {
  const array x = zeros({2, 3});
  const auto of = [](const array& a) -> const Operation& {
    return static_cast<const Operation&>(*a.node()->producer);
  };
  const array a = sum(x, 0, true);
  const array b = sum(x, 0, true);
  const array c = sum(x, 1, true);
  const array d = max(x, 0, true);
  EXPECT_TRUE(of(a).equals(of(b)));
  EXPECT_EQ(of(a).hash(), of(b).hash());
  EXPECT_FALSE(of(a).equals(of(c)));
  EXPECT_FALSE(of(a).equals(of(d)));
  EXPECT_EQ(of(a).to_string(), "reduce_sum(axes=(0), dtype=float32)");
}

}  // namespace
}  // namespace lazuli
