// Every function of the public headers is among the cases of the gradient test, or said to have no place
// there.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "differentiable_cases.h"

namespace lazuli::test {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at)
    found.insert((*at)[1]);
  return found;
}

/// Functions that give arrays, in the headers that <lazuli/ops/ops.h> includes.
std::set<std::string> public_functions() {
  const std::regex include("#include <lazuli/(ops/[a-z_0-9]+\\.h)>");
  const std::regex function(
      "\n(?:inline )?(?:array|std::vector<array>|std::pair<array, array>) ([a-z_0-9]+)\\(");
  std::set<std::string> found;
  for (const std::string& header : matches(text_of(LAZULI_SOURCES "/ops/ops.h"), include)) {
    found.merge(matches(text_of(std::string(LAZULI_SOURCES "/") + header), function));
  }
  return found;
}

/// Functions without a case, and why.
const std::map<std::string, std::set<std::string>>& elsewhere() {
  static const std::map<std::string, std::set<std::string>> all{
      {"depends on no element of an array",
       {"arange", "eye", "identity", "linspace", "ones", "ones_like", "tri", "zeros", "zeros_like", "fftfreq",
        "rfftfreq", "bartlett", "blackman", "hamming", "hanning", "number_of_elements", "key"}},
      {"gives integers, bools or bits",
       {"all",      "allclose",    "any",           "argmin",       "argpartition",
        "argsort",  "array_equal", "count_nonzero", "searchsorted", "isclose",
        "isfinite", "isneginf",    "isposinf",      "isinf",        "isnan",
        "view",     "to_fp8",      "from_fp8",      "quantize",     "pack_quantized",
        "bits",     "randint",     "bernoulli",     "categorical",  "permutation"}},
      {"has no derivative by definition", {"stop_gradient"}},
      {"throws when differentiated", {"eig", "eigvals", "packed_quantized_take"}},
      {"float32 at most: see OtherGradients",
       {"fft",
        "fft2",
        "fftn",
        "fftshift",
        "ifft",
        "ifft2",
        "ifftn",
        "ifftshift",
        "irfft",
        "irfft2",
        "irfftn",
        "rfft",
        "rfft2",
        "rfftn",
        "attention_over_cache",
        "scaled_dot_product_attention",
        "attention_over_quantized_cache",
        "quantized_scaled_dot_product_attention",
        "quantized_matmul",
        "quantized_take",
        "packed_quantized_matmul",
        "gather_qmm"}},
      {"float32 at most: see FloatQuantized", {"qqmm", "gather_qqmm"}},
      {"drawn in float32: see Random",
       {"gumbel", "laplace", "multivariate_normal", "normal", "truncated_normal", "uniform"}},
  };
  return all;
}

TEST(DifferentiableCases, CoverEveryFunction) {
  std::set<std::string> cases;
  for (const DifferentiableCase& tested : differentiable_cases()) cases.insert(tested.name);
  // Rows of the elementwise table are cases by themselves, unless they take or give other than real numbers.
  std::set<std::string> rows;
  for (const ElementwiseRow& row : elementwise_table()) rows.insert(std::string(row.name));
  std::set<std::string> others;
  for (const auto& [reason, names] : elsewhere()) others.insert(names.begin(), names.end());
  const auto has_case = [&](const std::string& name) {
    const auto at = cases.lower_bound(name);
    return at != cases.end() && (*at == name || at->rfind(name + "_", 0) == 0);
  };
  const std::set<std::string> functions = public_functions();
  ASSERT_GT(functions.size(), 250u);
  for (const std::string& name : functions) {
    if (others.contains(name)) continue;
    EXPECT_TRUE(has_case(name) || rows.contains(name))
        << name << " is not among the cases in differentiable_*_cases.h";
  }
  for (const std::string& name : others) {
    EXPECT_TRUE(functions.contains(name)) << name << " is no function";
    EXPECT_FALSE(cases.contains(name)) << name << " has a case";
  }
}

}  // namespace
}  // namespace lazuli::test
