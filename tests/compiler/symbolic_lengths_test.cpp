// One compiled function at many lengths, each against the function itself.

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli {
namespace {

using Function = std::function<array(const array&)>;

struct Case {
  std::string name;
  Function function;
};

array number(Dim n) {
  return astype(array(static_cast<int>(n)), float32);
}

/// Of a matrix, whose extents they use in every way there is.
const std::vector<Case> cases{
    {"SizeAsANumber", [](const array& x) { return sum(x) / static_cast<float>(x.size()); }},
    {"ExtentAsANumber", [](const array& x) { return x * number(x.shape(0)); }},
    {"LoopOverAnExtent",
     [](const array& x) {
       array total(0.0f);
       for (int i = 0; i < x.shape(0); ++i) total = total + sum(take(x, array(i), 0)) * static_cast<float>(i);
       return total;
     }},
    {"BranchOnAnExtent", [](const array& x) { return x.shape(0) % 2 == 0 ? x * 2.0f : x - 1.0f; }},
    {"Rows",
     [](const array& x) {
       array total(0.0f);
       for (const array& row : x) total = total * 0.5f + max(row);
       return total;
     }},
    {"Full", [](const array& x) { return full(x.shape(), 2.0f) + x; }},
    {"Range", [](const array& x) { return x * expand_dims(arange(0, x.shape(0) * 2, 2), 1); }},
    {"Linspace", [](const array& x) { return x + expand_dims(linspace(0.0, 1.0, x.shape(0)), 1); }},
    {"Eye", [](const array& x) { return matmul(eye(x.shape(0)), x); }},
    {"Triangle", [](const array& x) { return tril(matmul(x, transpose(x))); }},
    {"Flatten", [](const array& x) { return reshape(x, {-1}) * 2.0f; }},
    {"Reshape",
     [](const array& x) {
       return reshape(concatenate({x, x}, 1), {x.shape(0), 2, x.shape(1)});
     }},
    {"Unflatten",
     [](const array& x) {
       return unflatten(concatenate({x, x}, 0), 0, {2, -1});
     }},
    {"LastRow",
     [](const array& x) {
       return slice(x, {x.shape(0) - 1, 0}, {x.shape(0), x.shape(1)});
     }},
    {"SliceFromTheEnd",
     [](const array& x) {
       return slice(x, {-2, 0}, {x.shape(0), x.shape(1)});
     }},
    {"EverySecondRow",
     [](const array& x) {
       return slice(x, {0, 0}, {x.shape(0), x.shape(1)}, {2, 1});
     }},
    {"ReversedRows",
     [](const array& x) {
       return slice(x, {-1, 0}, {-x.shape(0) - 1, x.shape(1)}, {-1, 1});
     }},
    {"HalfTheRows",
     [](const array& x) {
       return slice(x, {0, 0}, {x.shape(0) / 2, x.shape(1)});
     }},
    {"Repeat", [](const array& x) { return repeat(x, 3, 0); }},
    {"Tile",
     [](const array& x) {
       return tile(x, {2, 3});
     }},
    {"Pad",
     [](const array& x) {
       return pad(x, std::pair<int, int>{2, 1});
     }},
    {"Roll", [](const array& x) { return roll(roll(x, 1, 0), -3, 1); }},
    {"Sort", [](const array& x) { return sort(x, 0) + astype(argsort(x, 1), float32); }},
    {"Cumulative", [](const array& x) { return cumsum(x, 0) * cummax(x, 1); }},
    {"Softmax", [](const array& x) { return softmax(x, 0); }},
    {"Product", [](const array& x) { return matmul(x, transpose(x)); }},
    {"Broadcast",
     [](const array& x) {
       return broadcast_to(x, {3, x.shape(0), x.shape(1)}) + 1.0f;
     }},
    {"TakeAlong", [](const array& x) { return take_along_axis(x, argsort(x, 0), 0); }},
    {"Split",
     [](const array& x) {
       const std::vector<array> parts = split(concatenate({x, x * 2.0f}, 0), 2, 0);
       return parts[0] - parts[1];
     }},
    {"Stack",
     [](const array& x) {
       return stack({x, x + 1.0f}, 1);
     }},
    {"Moments", [](const array& x) { return mean(x, 0) + var(x, 0); }},
    {"SliceUpdate",
     [](const array& x) {
       return slice_update(x, zeros({1, x.shape(1)}), {0, 0}, {1, x.shape(1)});
     }},
    {"Scatter",
     [](const array& x) {
       return scatter_add(x, array({0}), ones({1, 1, x.shape(1)}), 0);
     }},
    {"Diagonal", [](const array& x) { return diagonal(matmul(x, transpose(x))); }},
    {"Outer", [](const array& x) { return outer(flatten(x), flatten(x)); }},
    {"Kronecker", [](const array& x) { return kron(x, x); }},
    {"Einsum",
     [](const array& x) {
       return einsum("ij,ik->jk", {x, x});
     }},
    {"Fourier", [](const array& x) { return real(fft::fft(x)) + array(1.0f); }},
    {"Convolution",
     [](const array& x) {
       return conv1d(expand_dims(x, 0), ones({2, 2, x.shape(1)}), 1, 1);
     }},
    {"Random",
     [](const array& x) {
       return x + random::uniform(array(0.0f), array(1.0f), x.shape(), float32, random::key(3));
     }},
    {"Attention",
     [](const array& x) {
       const array q = reshape(concatenate({x, x}, 1), {1, 1, x.shape(0), 2 * x.shape(1)});
       return fast::scaled_dot_product_attention(q, q, q, 0.5f, "causal");
     }},
    {"Rope",
     [](const array& x) {
       return fast::rope(reshape(concatenate({x, x}, 1), {1, 1, x.shape(0), 2 * x.shape(1)}), 2, false,
                         10000.0f, 1.0f, 0);
     }},
    {"Gradient",
     [](const array& x) {
       const auto f = [](const array& y) { return sum(softmax(y, -1) * cumsum(y, 0)); };
       return grad(Function(f))(x);
     }},
    {"Vectorized",
     [](const array& x) {
       const auto f = [](const array& row) { return sort(row, 0) / sum(row * row); };
       return vmap(Function(f))(x);
     }},
};

array matrix(const Shape& shape) {
  return random::normal(shape, float32, 0.0f, 1.0f, random::key(5));
}

/// The function's result, where it has one for such an array.
std::optional<array> plain(const Function& f, const array& x) {
  try {
    array result = f(x);
    result.eval();
    return result;
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

class SymbolicLengths : public testing::TestWithParam<Case> {};

TEST_P(SymbolicLengths, GiveWhatTheFunctionGives) {
  const Function& f = GetParam().function;
  const Function compiled = compile(f);
  const auto check = [&](const array& x, const char* what) {
    const std::optional<array> expected = plain(f, x);
    if (!expected) {
      EXPECT_THROW(compiled(x), std::invalid_argument) << what << x.shape();
    } else {
      EXPECT_EQ(test::difference(compiled(x), *expected, 1e-3), "") << what << x.shape();
    }
  };
  for (int round = 0; round < 2; ++round) {
    for (const Shape& shape :
         {Shape{3, 5}, Shape{4, 6}, Shape{2, 2}, Shape{7, 3}, Shape{1, 4}, Shape{5, 1}, Shape{1, 1},
          Shape{16, 33}, Shape{3, 2}, Shape{2, 9}, Shape{0, 5}, Shape{5, 0}}) {
      check(matrix(shape), "row-major ");
      check(transpose(matrix({shape[1], shape[0]})), "transposed ");
      check(flip(matrix(shape), 1), "reversed ");
      check(broadcast_to(matrix({1, shape[1]}), shape), "broadcast ");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Of, SymbolicLengths, testing::ValuesIn(cases),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace lazuli
