// Sums of products, against a loop over all labels.

#include <gtest/gtest.h>

#include <map>

#include "helpers.h"

namespace lazuli::test {
namespace {

/// By the definition; subscripts with "->" and without "...".
std::vector<double> sums_of_products(const std::string& subscripts, const std::vector<array>& operands) {
  const size_t arrow = subscripts.find("->");
  std::vector<std::string> labels(1);
  for (const char c : subscripts.substr(0, arrow)) {
    if (c == ',') {
      labels.emplace_back();
    } else {
      labels.back() += c;
    }
  }
  const std::string result = subscripts.substr(arrow + 2);
  std::map<char, Dim> extents;
  std::vector<std::vector<double>> values;
  for (size_t i = 0; i < operands.size(); ++i) {
    values.push_back(doubles(operands[i]));
    for (size_t d = 0; d < labels[i].size(); ++d) extents[labels[i][d]] = operands[i].shape()[d];
  }
  std::string all = result;
  for (const auto& [label, extent] : extents) {
    if (all.find(label) == std::string::npos) all += label;
  }
  Shape space, kept;
  for (size_t i = 0; i < all.size(); ++i) {
    space.push_back(extents[all[i]]);
    if (i < result.size()) kept.push_back(extents[all[i]]);
  }
  std::vector<double> sums(static_cast<size_t>(element_count(kept)), 0.0);
  for_each_index(space, [&](const std::vector<int>& index) {
    double product = 1;
    for (size_t i = 0; i < operands.size(); ++i) {
      std::vector<int> at;
      for (const char label : labels[i]) at.push_back(index[all.find(label)]);
      product *= values[i][place(operands[i].shape(), at)];
    }
    sums[place(kept, {index.begin(), index.begin() + static_cast<std::ptrdiff_t>(result.size())})] += product;
  });
  return sums;
}

void check(const std::string& subscripts, const std::vector<Shape>& shapes, Dtype dtype = float32) {
  std::vector<array> operands;
  for (const Shape& shape : shapes) operands.push_back(make_numbers(shape, dtype, dtype == int32 ? 3 : 1));
  const array found = einsum(subscripts, operands);
  expect_array(found, found.shape(), dtype, sums_of_products(subscripts, operands), 1e-5, subscripts);
}

TEST(Einsum, OneOperand) {
  check("ij->ji", {{2, 3}});
  check("ij->", {{2, 3}});
  check("ijk->k", {{2, 3, 4}});
  check("ii->i", {{3, 3}});
  check("ii->", {{3, 3}});
  check("iji->ij", {{3, 2, 3}});
  check("iii->i", {{3, 3, 3}});
  check("->", {{}});
}

TEST(Einsum, TwoOperands) {
  check("ij,jk->ik", {{2, 3}, {3, 4}});
  check("ij,jk->ki", {{2, 3}, {3, 4}});
  check("bij,bjk->bik", {{2, 3, 4}, {2, 4, 5}});
  check("bhqd,bkhd->bhqk", {{2, 3, 4, 5}, {2, 6, 3, 5}});
  check("i,i->", {{5}, {5}});
  check("i,j->ij", {{2}, {3}});
  check("i,j->ji", {{2}, {3}});
  check("ij,ij->ij", {{2, 3}, {2, 3}});
  check("ijk,kl->j", {{2, 3, 4}, {4, 5}});
  check("ij,j->i", {{2, 3}, {3}});
  check("iij,jk->ik", {{2, 2, 3}, {3, 4}});
  check(",ij->ij", {{}, {2, 3}});
  check("ij,jk->ik", {{2, 0}, {0, 4}});
  check("ij,jk->ik", {{0, 3}, {3, 4}});
  check("abcd,dcef->abef", {{2, 3, 2, 4}, {4, 2, 3, 2}});
}

TEST(Einsum, ManyOperands) {
  check("ij,jk,kl->il", {{2, 3}, {3, 4}, {4, 5}});
  check("i,i,i->i", {{3}, {3}, {3}});
  check("ea,fb,abcd,gc,hd->efgh", {{2, 3}, {2, 3}, {3, 3, 2, 2}, {2, 2}, {3, 2}});
  check("a,b,c,d,e,f,g,h,i->ai", {{2}, {1}, {2}, {2}, {1}, {2}, {2}, {1}, {3}});
}

TEST(Einsum, Dtypes) {
  check("ij,jk->ik", {{2, 3}, {3, 4}}, int32);
  check("ij,jk->ik", {{2, 3}, {3, 4}}, float64);
  EXPECT_EQ(einsum("i,i->", {ones({3}, float16), ones({3}, float32)}).dtype(), float32);
  EXPECT_EQ(einsum("i,i->", {ones({3}, int8), ones({3}, int8)}).dtype(), int8);
}

TEST(Einsum, ImpliedResultsAndEllipses) {
  const array a = make_numbers({2, 3, 4});
  const array b = make_numbers({4, 5});
  expect_array(einsum("ba", {b}), {5, 4}, float32, doubles(transpose(b)));
  expect_array(einsum(" i j , j k ", {transpose(b), b}), {5, 5}, float32, doubles(matmul(transpose(b), b)),
               1e-5);
  expect_array(einsum("ii", {matmul(transpose(b), b)}), {}, float32, doubles(trace(matmul(transpose(b), b))),
               1e-5);
  expect_array(einsum("...j,jk", {a, b}), {2, 3, 5}, float32, doubles(matmul(a, b)), 1e-5);
  expect_array(einsum("...j,jk->k...", {a, b}), {5, 2, 3}, float32,
               doubles(transpose(matmul(a, b), {2, 0, 1})), 1e-5);
  expect_array(einsum("...,...->...", {a, make_numbers({3, 1})}), {2, 3, 4}, float32,
               doubles(a * make_numbers({3, 1})), 1e-6);
  expect_array(einsum("...ij->...", {a}), {2}, float32, doubles(sum(a, {1, 2})), 1e-5);
  const array batch = make_numbers({2, 1, 3, 4});
  const array others = make_numbers({5, 4, 2});
  expect_array(einsum("...ij,...jk->...ik", {batch, others}), {2, 5, 3, 2}, float32,
               doubles(matmul(batch, others)), 1e-5);
}

TEST(Einsum, TheBestPath) {
  // The vector first: two products with a vector instead of one of matrices.
  const auto [path, text] = einsum_path("ij,jk,k->i", {zeros({50, 60}), zeros({60, 70}), zeros({70})});
  EXPECT_EQ(path, (std::vector<std::vector<int>>{{1, 2}, {0, 1}}));
  EXPECT_NE(text.find("multiplications"), std::string::npos);
  // From the small end of a chain.
  const auto chain = einsum_path("ab,bc,cd->ad", {zeros({2, 30}), zeros({30, 40}), zeros({40, 50})}).first;
  EXPECT_EQ(chain, (std::vector<std::vector<int>>{{0, 1}, {0, 1}}));
  EXPECT_EQ(einsum_path("ij->ji", {zeros({2, 3})}).first, (std::vector<std::vector<int>>{{0}}));
}

TEST(Einsum, IsOneProduct) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{einsum("bij,bjk->bik", {in[0], in[1]})};
  });
  const array a = make_numbers({3, 4, 5});
  const array b = make_numbers({3, 5, 6});
  expect_array(f({a, b})[0], {3, 4, 6}, float32, doubles(matmul(a, b)), 1e-5);
  EXPECT_EQ(f.kernel_count(), 1);
}

TEST(Einsum, Errors) {
  const array a = zeros({2, 3});
  expect_error([&] { einsum("ij,jk->ik", {a}); }, "[einsum]");
  expect_error([&] { einsum("ijk->i", {a}); }, "[einsum]");
  expect_error([&] { einsum("ij->k", {a}); }, "[einsum]");
  expect_error([&] { einsum("ij->ii", {a}); }, "[einsum]");
  expect_error([&] { einsum("i1->i", {a}); }, "[einsum]");
  expect_error([&] { einsum("ij,jk->ik", {a, a}); }, "[einsum]");
  expect_error([&] { einsum("ii->i", {a}); }, "[einsum]");
  expect_error([&] { einsum("", {}); }, "[einsum]");
  expect_error([&] { einsum("......->", {a}); }, "[einsum]");
  expect_error([&] { einsum_path("ij,jk->ik", {a}); }, "[einsum_path]");
}

}  // namespace
}  // namespace lazuli::test
