#include <lazuli/ops/linear_equations_operations.h>

#include <cmath>
#include <complex>
#include <stdexcept>
#include <vector>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/linear_equations.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

using lapack::Matrices;

[[noreturn]] void throw_singular(const char* name) {
  throw std::runtime_error("[linalg::" + std::string(name) + "] a matrix is singular");
}

double cube(int n) {
  return static_cast<double>(n) * n * n;
}

array negated_sandwich(const array& y, const array& g) {
  const array of_y = adjoint(y);
  return negative(matmul(matmul(of_y, g), of_y));
}

array triangle_of(const array& a, bool upper) {
  return upper ? triu(a) : tril(a);
}

}  // namespace

void InverseOperation::execute(std::span<const TensorView> inputs,
                               std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int n = matrices.rows();
    const int64_t size = int64_t{n} * n;
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), 2 * cube(n), [&](int64_t i) {
      // The inverse of the transpose is the transposed inverse.
      T* out = member_of<T>(outputs[0], i, size);
      const bool is_finite = copy_matrix(matrices[i], true, out);
      std::vector<int> pivots(static_cast<size_t>(n));
      if (is_finite && lapack::getrf(n, n, out, pivots.data()) == 0 &&
          lapack::getri(n, out, pivots.data()) == 0) {
        return;
      }
      if (is_finite && !or_nan_) throw_singular("inv");
      lapack::fill_nan(out, size);
    });
  });
}

Differentials InverseOperation::vjp(const Application& at, const Differentials& cotangents,
                                    const std::vector<bool>&) const {
  return {negated_sandwich(at.outputs[0], *cotangents[0])};
}

void TriangularInverseOperation::execute(std::span<const TensorView> inputs,
                                         std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int n = matrices.rows();
    const int64_t size = int64_t{n} * n;
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), cube(n) / 3, [&](int64_t i) {
      T* out = member_of<T>(outputs[0], i, size);
      if (!copy_triangle(matrices[i], upper_, out)) {
        lapack::fill_nan(out, size);
      } else if (lapack::trtri(upper_ ? 'L' : 'U', n, out) != 0) {
        throw_singular("tri_inv");
      }
    });
  });
}

Differentials TriangularInverseOperation::vjp(const Application& at, const Differentials& cotangents,
                                              const std::vector<bool>&) const {
  return {triangle_of(negated_sandwich(at.outputs[0], *cotangents[0]), upper_)};
}

std::vector<ArraySpec> SolveOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& b = inputs[1].shape;
  return {{matrices_of(b, b[b.size() - 1], b[b.size() - 2]), inputs[1].dtype}};
}

void SolveOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const Matrices<T> sides(inputs[1]);
    const int n = matrices.rows();
    const int columns = sides.columns();
    const int64_t size = int64_t{n} * columns;
    const double work = cube(n) / 1.5 + 2.0 * n * static_cast<double>(size);
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), work, [&](int64_t i) {
      std::vector<T> a(static_cast<size_t>(n) * static_cast<size_t>(n));
      std::vector<int> pivots(static_cast<size_t>(n));
      T* out = member_of<T>(outputs[0], i, size);
      const bool is_finite = copy_matrix(matrices[i], true, a.data());
      copy_matrix(sides[i], false, out);
      if (!is_finite) {
        lapack::fill_nan(out, size);
        return;
      }
      // Factors of the transpose; its transpose is asked for.
      if (lapack::getrf(n, n, a.data(), pivots.data()) != 0) throw_singular("solve");
      lapack::getrs('T', n, columns, a.data(), pivots.data(), out);
    });
  });
}

Differentials SolveOperation::vjp(const Application& at, const Differentials& cotangents,
                                  const std::vector<bool>& wanted) const {
  const array of_b = linalg::solve(adjoint(at.inputs[0]), swapaxes(*cotangents[0], -1, -2));
  Differentials result(2);
  // The output is the solution transposed.
  if (wanted[0]) result[0] = negative(matmul(of_b, conjugate(at.outputs[0])));
  if (wanted[1]) result[1] = of_b;
  return result;
}

std::vector<ArraySpec> TriangularSolveOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& b = inputs[1].shape;
  return {{matrices_of(b, b[b.size() - 1], b[b.size() - 2]), inputs[1].dtype}};
}

void TriangularSolveOperation::execute(std::span<const TensorView> inputs,
                                       std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const Matrices<T> sides(inputs[1]);
    const int n = matrices.rows();
    const int columns = sides.columns();
    const int64_t size = int64_t{n} * columns;
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), n * static_cast<double>(size), [&](int64_t i) {
      std::vector<T> a(static_cast<size_t>(n) * static_cast<size_t>(n));
      T* out = member_of<T>(outputs[0], i, size);
      const bool is_finite = copy_triangle(matrices[i], upper_, a.data());
      copy_matrix(sides[i], false, out);
      if (!is_finite) {
        lapack::fill_nan(out, size);
      } else if (lapack::trtrs(upper_ ? 'L' : 'U', 'T', n, columns, a.data(), out) != 0) {
        throw_singular("solve_triangular");
      }
    });
  });
}

Differentials TriangularSolveOperation::vjp(const Application& at, const Differentials& cotangents,
                                            const std::vector<bool>& wanted) const {
  const array of_b =
      linalg::solve_triangular(adjoint(at.inputs[0]), swapaxes(*cotangents[0], -1, -2), !upper_);
  Differentials result(2);
  if (wanted[0]) result[0] = triangle_of(negative(matmul(of_b, conjugate(at.outputs[0]))), upper_);
  if (wanted[1]) result[1] = of_b;
  return result;
}

std::vector<ArraySpec> DeterminantOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  const Shape shape(a.begin(), a.end() - 2);
  if (!logarithm_) return {{shape, inputs[0].dtype}};
  return {{shape, inputs[0].dtype}, {shape, real_dtype(inputs[0].dtype)}};
}

void DeterminantOperation::execute(std::span<const TensorView> inputs,
                                   std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    using Wide = std::conditional_t<std::is_same_v<T, complex64_t>, std::complex<double>, double>;
    const Matrices<T> matrices(inputs[0]);
    const int n = matrices.rows();
    lapack::for_each_matrix(matrices.count(), cube(n) / 1.5, [&](int64_t i) {
      T* found = member_of<T>(outputs[0], i, 1);
      std::vector<T> a(static_cast<size_t>(n) * static_cast<size_t>(n));
      std::vector<int> pivots(static_cast<size_t>(n));
      if (!copy_matrix(matrices[i], true, a.data())) {
        lapack::fill_nan(found, 1);
        if (logarithm_) lapack::fill_nan(member_of<lapack::RealOf<T>>(outputs[1], i, 1), 1);
        return;
      }
      if (n > 0) lapack::getrf(n, n, a.data(), pivots.data());
      Wide product = 1;
      double logarithm = 0;
      for (int64_t k = 0; k < n; ++k) {
        Wide factor = a[static_cast<size_t>(k * n + k)];
        if (pivots[static_cast<size_t>(k)] != k + 1) factor = -factor;
        if (logarithm_) {
          const double size = std::abs(factor);
          logarithm += std::log(size);
          factor = size == 0 ? Wide(0) : factor / size;
        }
        product *= factor;
      }
      *found = static_cast<T>(product);
      if (logarithm_) {
        *member_of<lapack::RealOf<T>>(outputs[1], i, 1) = static_cast<lapack::RealOf<T>>(logarithm);
      }
    });
  });
}

Differentials DeterminantOperation::vjp(const Application& at, const Differentials& cotangents,
                                        const std::vector<bool>&) const {
  const array& a = at.inputs[0];
  const array of_inverse = adjoint(lazuli::apply(make_ref<InverseOperation>(true), {a}));
  const auto as_matrix = [](const array& x) { return expand_dims(x, {-2, -1}); };
  if (!logarithm_) {
    return {multiply(as_matrix(multiply(*cotangents[0], conjugate(at.outputs[0]))), of_inverse)};
  }
  array factor = zeros(at.outputs[0].shape(), a.dtype());
  if (cotangents[1]) factor = add(factor, astype(*cotangents[1], a.dtype()));
  if (cotangents[0] && a.dtype() == complex64) {
    // The sign turns by the imaginary part of what the logarithm of the determinant changes by.
    const array turned = multiply(conjugate(at.outputs[0]), *cotangents[0]);
    factor = add(factor, multiply(astype(imag(turned), complex64), array(complex64_t(0, 1))));
  }
  return {multiply(as_matrix(factor), of_inverse)};
}

}  // namespace lazuli
