// Index maps, against what they do to coordinates.

#include <gtest/gtest.h>

#include <random>

#include <lazuli/graph/index_map.h>

namespace lazuli {
namespace {

using Coordinates = std::vector<int>;

Coordinates applied(const IndexMap& map, const Coordinates& at) {
  Coordinates result;
  for (const IndexTerm& term : map) {
    const int from = term.dim < 0 ? 0 : term.scale.hint() * at[static_cast<size_t>(term.dim)];
    result.push_back(from + term.offset.hint());
  }
  return result;
}

IndexTerm term(int dim, int scale = 1, int offset = 0) {
  return {.dim = dim, .scale = scale, .offset = offset};
}

TEST(IndexMap, Identity) {
  EXPECT_EQ(to_string(identity_map(3)), "[i0, i1, i2]");
  EXPECT_TRUE(identity_map(0).empty());
}

TEST(IndexMap, ComposesInOrder) {
  const IndexMap transposed{term(1), term(0)};
  const IndexMap sliced{term(0, 2, 1), term(1, -1, 4)};
  EXPECT_EQ(to_string(compose(sliced, transposed)), "[2*i1+1, -1*i0+4]");
  EXPECT_EQ(to_string(compose(transposed, sliced)), "[-1*i1+4, 2*i0+1]");
  EXPECT_EQ(to_string(compose({term(0, 3, 1)}, {term(0, 2, 5)})), "[6*i0+16]");
}

TEST(IndexMap, ComposesConstantsAndDiagonals) {
  const IndexMap row{term(-1, 1, 3), term(0)};
  const IndexMap diagonal{term(0), term(0, 1, 1)};
  EXPECT_EQ(to_string(compose(diagonal, {term(-1, 1, 2)})), "[2, 3]");
  EXPECT_EQ(to_string(compose(row, {term(1, -2, 7)})), "[3, -2*i1+7]");
  EXPECT_EQ(to_string(compose({term(1), term(1)}, diagonal)), "[i0+1, i0+1]");
}

TEST(IndexMap, CompositionAppliesBoth) {
  std::mt19937 random(1);
  const auto number = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  const auto any_map = [&](int from, int to) {
    IndexMap map;
    for (int d = 0; d < to; ++d)
      map.push_back(term(from == 0 ? -1 : number(-1, from - 1), number(-3, 3), number(-5, 5)));
    return map;
  };
  for (int i = 0; i < 500; ++i) {
    const int ranks[3] = {number(0, 3), number(0, 3), number(0, 3)};
    const IndexMap inner = any_map(ranks[0], ranks[1]);
    const IndexMap outer = any_map(ranks[1], ranks[2]);
    Coordinates at;
    for (int d = 0; d < ranks[0]; ++d) at.push_back(number(0, 9));
    EXPECT_EQ(applied(compose(outer, inner), at), applied(outer, applied(inner, at)))
        << to_string(outer) << " after " << to_string(inner);
  }
}

TEST(IndexMap, ComposesExtentsThatAreSymbols) {
  DimScope scope;
  const Dim n = scope.new_symbol(7);
  const IndexMap flipped{{.dim = 0, .scale = -1, .offset = n - 1}};
  const IndexMap twice = compose(flipped, flipped);
  EXPECT_TRUE(twice[0].scale.same_as(Dim(1)));
  EXPECT_TRUE(twice[0].offset.same_as(Dim(0))) << "n - 1 - (n - 1 - i) is i, whatever n is";
}

TEST(IndexMap, Broadcasting) {
  EXPECT_EQ(to_string(broadcast_map({3, 4}, {2, 3, 4})), "[i1, i2]");
  EXPECT_EQ(to_string(broadcast_map({3, 1}, {3, 4})), "[i0, 0]");
  EXPECT_EQ(to_string(broadcast_map({1, 1}, {1, 4})), "[0, 0]");
  EXPECT_EQ(to_string(broadcast_map({}, {2, 2})), "[]");
  DimScope scope;
  const Dim n = scope.new_symbol(5);
  EXPECT_EQ(to_string(broadcast_map({n, 1}, {n, n})), "[i0, 0]");
}

TEST(IndexMap, DynamicTermsInText) {
  EXPECT_EQ(to_string({{.dim = 0, .dynamic = 1}, {.dynamic = 0}}), "[i0+x1, x0]");
}

}  // namespace
}  // namespace lazuli
