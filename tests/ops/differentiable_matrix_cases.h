#pragma once

#include <vector>

#include <lazuli/lazuli.h>

#include "differentiable_case.h"

namespace lazuli::test {

/// Functions of matrices. What is decomposed has singular values or eigenvalues well apart.
inline std::vector<DifferentiableCase> matrix_cases() {
  using Arrays = const std::vector<array>&;
  const auto apart = [](Shape shape) {
    const array spread = array({1.0, 2.3, 3.9, 5.8}, float64);
    const int rows = shape[shape.size() - 2];
    const int columns = shape.back();
    const array diagonal = eye(rows, columns, 0, float64) * slice(spread, {0}, {columns});
    return between(-0.6, 0.6, std::move(shape)) + diagonal;
  };
  const array square = apart({3, 3});
  const array batch = apart({2, 3, 3});
  const array tall = apart({4, 3});
  const array wide = apart({3, 4});
  const auto transposed = [](const array& a) { return swapaxes(a, -1, -2); };
  const auto symmetric = [=](const array& a) { return a + transposed(a); };
  const auto definite = [=](const array& a) { return matmul(a, transposed(a)); };
  const auto both = [](const std::pair<array, array>& found) {
    return concatenate({flatten(found.first), flatten(found.second)});
  };
  std::vector<DifferentiableCase> cases{
      {"inv", [](Arrays a) { return linalg::inv(a[0]); }, {batch}},
      {"tri_inv", [](Arrays a) { return linalg::tri_inv(a[0]); }, {batch}},
      {"tri_inv_upper", [](Arrays a) { return linalg::tri_inv(a[0], true); }, {square}},
      {"cholesky", [=](Arrays a) { return linalg::cholesky(definite(a[0])); }, {batch}},
      {"cholesky_upper", [=](Arrays a) { return linalg::cholesky(definite(a[0]), true); }, {square}},
      {"cholesky_inv", [](Arrays a) { return linalg::cholesky_inv(tril(a[0])); }, {square}},
      {"pinv", [](Arrays a) { return linalg::pinv(a[0]); }, {tall}},
      {"pinv_wide", [](Arrays a) { return linalg::pinv(a[0]); }, {wide}},
      {"pinv_square", [](Arrays a) { return linalg::pinv(a[0]); }, {batch}},
      {"solve", [](Arrays a) { return linalg::solve(a[0], a[1]); }, {batch, between(-1, 1, {3, 2})}},
      {"solve_vector", [](Arrays a) { return linalg::solve(a[0], a[1]); }, {square, between(-1, 1, {3})}},
      {"solve_triangular",
       [](Arrays a) { return linalg::solve_triangular(a[0], a[1]); },
       {batch, between(-1, 1, {2, 3, 2})}},
      {"solve_triangular_upper",
       [](Arrays a) { return linalg::solve_triangular(a[0], a[1], true); },
       {square, between(-1, 1, {3})}},
      {"det_small", [](Arrays a) { return linalg::det(a[0]); }, {batch}},
      {"det", [](Arrays a) { return linalg::det(a[0]); }, {apart({2, 4, 4})}},
      {"slogdet", [](Arrays a) { return linalg::slogdet(a[0]).second; }, {batch}},
      {"slogdet_sign", [=](Arrays a) { return both(linalg::slogdet(a[0])); }, {square}},
      {"lu",
       [](Arrays a) {
         const std::vector<array> found = linalg::lu(a[0]);
         return found[1] * array(0.5, float64) + found[2];
       },
       {batch}},
      {"lu_factor", [](Arrays a) { return linalg::lu_factor(a[0]).first; }, {square}},
      {"qr", [=](Arrays a) { return both(linalg::qr(a[0])); }, {batch}},
      {"qr_tall", [=](Arrays a) { return both(linalg::qr(a[0])); }, {tall}},
      {"qr_wide", [=](Arrays a) { return both(linalg::qr(a[0])); }, {wide}},
      {"svd_values", [](Arrays a) { return linalg::svd(a[0], false, {})[0]; }, {tall}},
      {"svd_wide_values", [](Arrays a) { return linalg::svd(a[0])[1]; }, {wide}},
      {"svd",
       [](Arrays a) {
         const std::vector<array> found = linalg::svd(a[0]);
         return concatenate({flatten(found[0]), flatten(found[1]), flatten(found[2])});
       },
       {batch}},
      {"svd_tall",
       // The last column of u is free, but for what it spans.
       [=](Arrays a) {
         const std::vector<array> found = linalg::svd(a[0]);
         const array rest = slice(found[0], {0, 3}, {4, 4});
         return concatenate({flatten(slice(found[0], {0, 0}, {4, 3})),
                             flatten(matmul(rest, transposed(rest))), flatten(found[2])});
       },
       {tall}},
      {"svd_wide",
       [=](Arrays a) {
         const std::vector<array> found = linalg::svd(a[0]);
         const array rest = slice(found[2], {3, 0}, {4, 4});
         return concatenate({flatten(found[0]), flatten(slice(found[2], {0, 0}, {3, 4})),
                             flatten(matmul(transposed(rest), rest))});
       },
       {wide}},
      {"eigh", [=](Arrays a) { return both(linalg::eigh(symmetric(a[0]))); }, {batch}},
      {"eigh_upper", [=](Arrays a) { return both(linalg::eigh(symmetric(a[0]), "U")); }, {square}},
      {"eigvalsh", [=](Arrays a) { return linalg::eigvalsh(symmetric(a[0])); }, {batch}},
      {"cross",
       [](Arrays a) { return linalg::cross(a[0], a[1]); },
       {between(-1, 1, {2, 3}), between(-1, 2, {3})}},
      {"cross_flat",
       [](Arrays a) { return linalg::cross(a[0], a[1], 0); },
       {between(-1, 1, {2, 2}), between(-1, 2, {3, 2})}},
  };
  for (const double order : {1.0, 2.0, 3.5, -1.0, std::numeric_limits<double>::infinity()}) {
    cases.push_back({"norm_vector_" + std::to_string(cases.size()),
                     [=](Arrays a) { return linalg::norm(a[0], order, 1); },
                     {between(0.2, 2, {2, 3, 2})}});
  }
  for (const double order : {1.0, -1.0, 2.0, -2.0, std::numeric_limits<double>::infinity()}) {
    cases.push_back({"norm_matrix_" + std::to_string(cases.size()),
                     [=](Arrays a) {
                       return linalg::norm(a[0], order, std::vector<int>{-2, -1});
                     },
                     {batch}});
  }
  cases.push_back({"norm_nuclear", [](Arrays a) { return linalg::norm(a[0], "nuc"); }, {tall}});
  cases.push_back({"norm", [](Arrays a) { return linalg::norm(a[0]); }, {batch}});
  return cases;
}

}  // namespace lazuli::test
