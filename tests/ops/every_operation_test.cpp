// Every operation in both tiers, over dtypes, memory layouts and shapes. What the cases are, and that they
// have all operations, is said in export_cases.h.

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>

#include "export_cases.h"
#include "helpers.h"
#include "support/settings_scope.h"

namespace lazuli::test {
namespace {

using Function = std::function<std::vector<array>(Arrays)>;

/// What came of a call: results, or what was thrown.
struct Outcome {
  std::vector<array> results;
  std::string error;
};

Outcome call(const Function& function, const std::vector<array>& arguments, JitMode mode) {
  const JitModeScope scope(mode);
  Outcome outcome;
  try {
    outcome.results = function(arguments);
    eval(outcome.results);
  } catch (const std::invalid_argument& error) {
    outcome.results.clear();
    outcome.error = error.what();
    EXPECT_EQ(outcome.error.substr(0, 1), "[") << "an error that does not say where: " << error.what();
  }
  return outcome;
}

/// Results of a few operations, of which each rounds.
double tolerance_of(Dtype dtype) {
  if (dtype == complex64) return tolerance_of(float32);
  if (!issubdtype(dtype, floating)) return 0;
  return (dtype == float16 || dtype == bfloat16 ? 8 : 64) * rounding_of(dtype);
}

void expect_same(const Outcome& actual, const Outcome& expected, const std::string& what) {
  ASSERT_EQ(actual.error, expected.error) << what;
  ASSERT_EQ(actual.results.size(), expected.results.size()) << what;
  for (size_t i = 0; i < actual.results.size(); ++i) {
    const Dtype dtype = expected.results[i].dtype();
    EXPECT_EQ(difference(actual.results[i], expected.results[i], tolerance_of(dtype)), "")
        << what << ", result " << i << " of dtype " << dtype_name(dtype);
  }
}

/// The same elements in memory in other ways.
struct Layout {
  const char* name;
  array (*of)(const array&);
};

const Layout layouts[] = {
    {"as they are", [](const array& a) { return a; }},
    {"with negative strides",
     [](const array& a) {
       array turned = contiguous(flip(a));
       turned.eval();
       return flip(turned);
     }},
    {"with axes the other way round",
     [](const array& a) {
       array turned = contiguous(transpose(a));
       turned.eval();
       return transpose(turned);
     }},
    {"with gaps",
     [](const array& a) {
       if (a.ndim() == 0) return a;
       const int last = static_cast<int>(a.ndim()) - 1;
       array twice = repeat(a, 2, last);
       twice.eval();
       Shape strides(a.ndim(), 1), stop = twice.shape();
       strides[static_cast<size_t>(last)] = 2;
       return slice(twice, Shape(a.ndim(), 0), stop, strides);
     }},
};

std::vector<array> laid_out(const std::vector<array>& arguments, const Layout& layout) {
  std::vector<array> result;
  for (const array& a : arguments) {
    result.push_back(layout.of(a));
    result.back().eval();
  }
  return result;
}

/// Cases in portions, which ctest can run side by side.
class EveryOperation : public testing::TestWithParam<int> {
 public:
  static constexpr int portions = 4;

  template <typename F>
  static void for_each_case(F&& f) {
    const std::vector<ExportCase> cases = export_cases();
    for (size_t i = static_cast<size_t>(GetParam()); i < cases.size(); i += portions) {
      if (cases[i].is_like_others) continue;
      SCOPED_TRACE(cases[i].name);
      f(cases[i]);
    }
  }
};

TEST_P(EveryOperation, IsTheSameInBothTiersForAllLayouts) {
  for_each_case([](const ExportCase& of) {
    const Outcome expected = call(of.function, of.arguments, JitMode::off);
    EXPECT_EQ(expected.error, "");
    for (const Layout& layout : layouts) {
      const std::vector<array> arguments = laid_out(of.arguments, layout);
      for (const JitMode mode : {JitMode::off, JitMode::sync}) {
        expect_same(call(of.function, arguments, mode), expected,
                    std::string(layout.name) + (mode == JitMode::off ? ", interpreted" : ", compiled"));
      }
    }
  });
}

TEST_P(EveryOperation, IsTheSameInBothTiersForAllDtypes) {
  for_each_case([](const ExportCase& of) {
    for (const Dtype dtype : {float32, float16, bfloat16, complex64, int32, uint8, bool_}) {
      std::vector<array> arguments, wide;
      for (const array& a : of.arguments) {
        const bool changes = issubdtype(a.dtype(), floating);
        arguments.push_back(changes ? astype(a, dtype) : a);
        arguments.back().eval();
        wide.push_back(changes ? astype(arguments.back(), float64) : a);
      }
      const Outcome interpreted = call(of.function, arguments, JitMode::off);
      expect_same(call(of.function, arguments, JitMode::sync), interpreted, std::string(dtype_name(dtype)));
      // Views as another dtype have other elements.
      if (!issubdtype(dtype, floating) || of.name == "casts") continue;
      const Outcome expected = call(of.function, wide, JitMode::off);
      // Errors are about dtypes.
      EXPECT_TRUE(interpreted.error.empty() || interpreted.error.find(dtype_name(dtype)) != std::string::npos)
          << interpreted.error;
      EXPECT_TRUE(expected.error.empty() || expected.error.find("float64") != std::string::npos)
          << expected.error;
      for (size_t i = 0; i < interpreted.results.size() && i < expected.results.size(); ++i) {
        const array& result = interpreted.results[i];
        EXPECT_EQ(
            difference(astype(result, expected.results[i].dtype()), expected.results[i], tolerance_of(dtype)),
            "")
            << "result " << i << " for " << dtype_name(dtype);
      }
    }
  });
}

TEST_P(EveryOperation, TakesOtherShapesOrSaysThatItDoesNot) {
  for_each_case([](const ExportCase& of) {
    const auto with = [&](size_t argument, const array& other, const std::string& what) {
      std::vector<array> arguments = of.arguments;
      arguments[argument] = other;
      arguments[argument].eval();
      const Outcome interpreted = call(of.function, arguments, JitMode::off);
      expect_same(call(of.function, arguments, JitMode::sync), interpreted,
                  "argument " + std::to_string(argument) + " " + what);
    };
    for (size_t i = 0; i < of.arguments.size(); ++i) {
      const array& a = of.arguments[i];
      with(i, expand_dims(a, 0), "with another axis");
      for (int axis = 0; axis < static_cast<int>(a.ndim()); ++axis) {
        const auto along = [&](int extent) {
          Shape stop = a.shape();
          stop[static_cast<size_t>(axis)] = extent;
          return slice(a, Shape(a.ndim(), 0), stop);
        };
        with(i, along(0), "without elements along axis " + std::to_string(axis));
        with(i, along(1), "with one element along axis " + std::to_string(axis));
        with(i, squeeze(along(1), axis), "without axis " + std::to_string(axis));
        with(i, concatenate({a, along(1)}, axis), "with one more element along axis " + std::to_string(axis));
      }
    }
  });
}

/// Numbers of all kinds: for floating point dtypes also those that are none.
array operand(const Shape& shape, Dtype dtype, int which) {
  std::vector<double> elements = numbers(element_count(shape), which == 0 ? 1.0 : 1.7);
  const bool is_float = issubdtype(dtype, inexact);
  for (size_t i = 0; i < elements.size(); ++i) {
    if (dtype == bool_) elements[i] = static_cast<double>((i + static_cast<size_t>(which)) % 3 == 0);
    if (issubdtype(dtype, integer)) elements[i] = std::trunc(elements[i] * 20);
    if (issubdtype(dtype, unsignedinteger)) elements[i] = std::abs(elements[i]);
  }
  if (is_float && elements.size() > 40) {
    const double special[] = {not_a_number, infinity, -infinity, 0.0, -0.0, 1e-30, 6e4};
    for (size_t i = 0; i < std::size(special); ++i) elements[3 + i * (which == 0 ? 5 : 4)] = special[i];
  }
  array result = make(elements, shape, dtype);
  if (dtype == complex64) result = result + multiply(array(complex64_t{0, 0.5f}), make_numbers(shape));
  result.eval();
  return result;
}

/// The elements of an array, of extent 1 where it is the same along an axis.
array spread_over(const array& a, const Shape& shape) {
  array result = broadcast_to(a, shape);
  result.eval();
  return result;
}

/// Operands of one shape, each in a layout of its own.
std::vector<std::vector<array>> operands_of(Dtype dtype) {
  std::vector<std::vector<array>> all;
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{3, 0, 2}, Shape{67}, Shape{5, 19}}) {
    const array a = operand(shape, dtype, 0), b = operand(shape, dtype, 1), c = operand(shape, dtype, 0);
    all.push_back({a, b, c});
    if (a.size() < 2) continue;
    all.push_back({layouts[1].of(a), layouts[3].of(b), layouts[1].of(c)});
    all.push_back({layouts[3].of(a), spread_over(operand({1}, dtype, 1), shape), c});
    if (a.ndim() < 2) continue;
    all.push_back({layouts[2].of(a), layouts[2].of(b), layouts[2].of(c)});
    all.push_back({layouts[2].of(a), b, layouts[1].of(c)});
    all.push_back(
        {spread_over(operand({5, 1}, dtype, 0), shape), spread_over(operand({19}, dtype, 1), shape), a});
  }
  return all;
}

class EveryElementwiseOperation : public testing::TestWithParam<int> {};

TEST_P(EveryElementwiseOperation, IsTheSameInBothTiersToTheBit) {
  const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(GetParam()));
  constexpr size_t rows_at_once = 8;  // which become a kernel together
  for (const std::vector<array>& operands : operands_of(dtype)) {
    std::vector<array> copies;
    for (const array& a : operands) {
      copies.push_back(contiguous(a));
      copies.back().eval();
    }
    std::vector<array> expected, actual;
    std::vector<std::string_view> names;
    const auto compare = [&] {
      {
        const JitModeScope scope(JitMode::off);
        eval(expected);
      }
      const JitModeScope scope(JitMode::sync);
      eval(actual);
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_EQ(difference(actual[i], expected[i], 0), "")
            << names[i] << " of " << dtype_name(dtype) << ' ' << shape_to_string(operands[0].shape());
      }
      expected.clear();
      actual.clear();
      names.clear();
    };
    for (const ElementwiseRow& row : elementwise_table()) {
      const auto arity = row.arity;
      try {
        actual.push_back(apply_elementwise(row.id, {operands.begin(), operands.begin() + arity}, {}));
      } catch (const std::invalid_argument& error) {
        // It does not take the dtype, and says so.
        EXPECT_EQ(std::string(error.what()).rfind('[' + std::string(row.name) + ']', 0), 0u) << error.what();
        EXPECT_NE(std::string(error.what()).find(dtype_name(dtype)), std::string::npos) << error.what();
        continue;
      }
      expected.push_back(apply_elementwise(row.id, {copies.begin(), copies.begin() + arity}, {}));
      names.push_back(row.name);
      if (actual.size() == rows_at_once) compare();
    }
    compare();
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, EveryElementwiseOperation, testing::Range(0, dtype_count),
                         [](const testing::TestParamInfo<int>& of) {
                           return std::string(
                               dtype_name(dtype_from_value(static_cast<Dtype::Val>(of.param))));
                         });
INSTANTIATE_TEST_SUITE_P(Portion, EveryOperation, testing::Range(0, EveryOperation::portions));

}  // namespace
}  // namespace lazuli::test
