#include <lazuli/ops/factorization_operations.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace lazuli {

namespace {

using lapack::Matrices;
using lapack::RealOf;

/// Work on an m × n matrix, in operations: `factor` times its rows, columns and smaller extent.
double work_of(double factor, int m, int n) {
  return factor * m * n * std::min(m, n);
}

[[noreturn]] void throw_not_converged(const char* name) {
  throw std::runtime_error("[linalg::" + std::string(name) + "] the iteration did not converge");
}

}  // namespace

std::vector<ArraySpec> QrOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  const Dim m = a[a.size() - 2];
  const Dim n = a[a.size() - 1];
  const Dim k = dim_min(m, n);
  return {{matrices_of(a, k, m), inputs[0].dtype}, {matrices_of(a, k, n), inputs[0].dtype}};
}

void QrOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int m = matrices.rows();
    const int n = matrices.columns();
    const int k = std::min(m, n);
    const int64_t q_size = int64_t{k} * m;
    lapack::for_each_matrix(q_size == 0 && n == 0 ? 0 : matrices.count(), work_of(4, m, n), [&](int64_t i) {
      T* q = member_of<T>(outputs[0], i, q_size);
      T* r = member_of<T>(outputs[1], i, int64_t{k} * n);
      if (k == 0) return;
      // What has no more columns than rows is factored where Q is to be.
      std::vector<T> wide(m < n ? static_cast<size_t>(m) * static_cast<size_t>(n) : 0);
      T* a = m < n ? wide.data() : q;
      if (!copy_matrix(matrices[i], false, a)) {
        lapack::fill_nan(q, q_size);
        lapack::fill_nan(r, int64_t{k} * n);
        return;
      }
      std::vector<T> tau(static_cast<size_t>(k));
      lapack::geqrf(m, n, a, tau.data());
      copy_triangle(lapack::Matrix<T>{a, k, n, 1, m}, true, r);
      if (m < n) std::copy_n(a, q_size, q);
      lapack::orgqr(m, k, k, q, tau.data());
    });
  });
}

std::vector<ArraySpec> SvdOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  const Dtype dtype = inputs[0].dtype;
  const Dim m = a[a.size() - 2];
  const Dim n = a[a.size() - 1];
  const ArraySpec values{vectors_of(a, dim_min(m, n)), real_dtype(dtype)};
  if (!vectors_) return {values};
  return {{matrices_of(a, m, m), dtype}, values, {matrices_of(a, n, n), dtype}};
}

void SvdOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int m = matrices.rows();
    const int n = matrices.columns();
    const int k = std::min(m, n);
    lapack::for_each_matrix(matrices.count(), work_of(vectors_ ? 20 : 4, m, n), [&](int64_t i) {
      T* u = vectors_ ? member_of<T>(outputs[0], i, int64_t{m} * m) : nullptr;
      T* vt = vectors_ ? member_of<T>(outputs[2], i, int64_t{n} * n) : nullptr;
      auto* s = member_of<RealOf<T>>(outputs[vectors_ ? 1 : 0], i, k);
      if (k == 0) {
        // Nothing to factor: any unitary matrices do.
        for (int64_t row = 0; vectors_ && row < m; ++row) {
          for (int64_t column = 0; column < m; ++column) u[row * m + column] = row == column ? 1 : 0;
        }
        for (int64_t row = 0; vectors_ && row < n; ++row) {
          for (int64_t column = 0; column < n; ++column) vt[row * n + column] = row == column ? 1 : 0;
        }
        return;
      }
      // Rows of the matrix are columns of its transpose, whose vectors are ours with the sides exchanged.
      std::vector<T> a(static_cast<size_t>(m) * static_cast<size_t>(n));
      if (!copy_matrix(matrices[i], true, a.data())) {
        lapack::fill_nan(s, k);
        if (vectors_) {
          lapack::fill_nan(u, int64_t{m} * m);
          lapack::fill_nan(vt, int64_t{n} * n);
        }
        return;
      }
      const char job = vectors_ ? 'A' : 'N';
      if (lapack::gesdd(job, n, m, a.data(), s, vt, n, u, m) == 0) return;
      copy_matrix(matrices[i], true, a.data());
      if (lapack::gesvd(job, n, m, a.data(), s, vt, n, u, m) != 0) throw_not_converged("svd");
    });
  });
}

void CholeskyOperation::execute(std::span<const TensorView> inputs,
                                std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int n = matrices.rows();
    const int64_t size = int64_t{n} * n;
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), work_of(1.0 / 3, n, n), [&](int64_t i) {
      T* out = member_of<T>(outputs[0], i, size);
      // Our lower triangle is the upper one of the transpose, and its factor's transpose is the factor.
      if (!copy_triangle(matrices[i], upper_, out) || lapack::potrf(upper_ ? 'L' : 'U', n, out) != 0) {
        lapack::fill_nan(out, size);
      }
    });
  });
}

std::vector<ArraySpec> LuOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  const Dim m = a[a.size() - 2];
  const Dim n = a[a.size() - 1];
  return {{matrices_of(a, n, m), inputs[0].dtype},
          {vectors_of(a, dim_min(m, n)), uint32},
          {vectors_of(a, m), uint32}};
}

void LuOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int m = matrices.rows();
    const int n = matrices.columns();
    const int k = std::min(m, n);
    lapack::for_each_matrix(matrices.count(), work_of(1, m, n), [&](int64_t i) {
      T* factors = member_of<T>(outputs[0], i, int64_t{m} * n);
      auto* exchanged = member_of<uint32_t>(outputs[1], i, k);
      auto* places = member_of<uint32_t>(outputs[2], i, m);
      std::vector<int> pivots(static_cast<size_t>(k));
      std::iota(pivots.begin(), pivots.end(), 1);
      if (copy_matrix(matrices[i], false, factors)) {
        if (k > 0) lapack::getrf(m, n, factors, pivots.data());
      } else {
        lapack::fill_nan(factors, int64_t{m} * n);
      }
      std::iota(places, places + m, 0U);
      for (int row = k; row-- > 0;) {
        const auto other = static_cast<size_t>(pivots[static_cast<size_t>(row)]) - 1;
        exchanged[row] = static_cast<uint32_t>(other);
        std::swap(places[row], places[other]);
      }
    });
  });
}

std::vector<ArraySpec> EigOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  std::vector<ArraySpec> specs{{vectors_of(a, a.back()), complex64}};
  if (vectors_) specs.push_back({a, complex64});
  return specs;
}

void EigOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int n = matrices.rows();
    const int64_t size = int64_t{n} * n;
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), work_of(25, n, n), [&](int64_t i) {
      auto* values = member_of<complex64_t>(outputs[0], i, n);
      complex64_t* vectors = vectors_ ? member_of<complex64_t>(outputs[1], i, size) : nullptr;
      std::vector<T> a(static_cast<size_t>(size));
      if (!copy_matrix(matrices[i], false, a.data())) {
        lapack::fill_nan(values, n);
        if (vectors_) lapack::fill_nan(vectors, size);
        return;
      }
      if (lapack::geev(n, a.data(), values, vectors) != 0) throw_not_converged("eig");
    });
  });
}

void EighOperation::attributes(AttributeWriter& writer) const {
  writer.write("upper", upper_);
  writer.write("vectors", vectors_);
}

std::vector<ArraySpec> EighOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  std::vector<ArraySpec> specs{{vectors_of(a, a.back()), real_dtype(inputs[0].dtype)}};
  if (vectors_) specs.push_back(inputs[0]);
  return specs;
}

void EighOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  with_element_type(inputs[0].dtype, [&]<typename T>(std::type_identity<T>) {
    const Matrices<T> matrices(inputs[0]);
    const int n = matrices.rows();
    const int64_t size = int64_t{n} * n;
    lapack::for_each_matrix(size == 0 ? 0 : matrices.count(), work_of(9, n, n), [&](int64_t i) {
      auto* values = member_of<RealOf<T>>(outputs[0], i, n);
      std::vector<T> storage(vectors_ ? 0 : static_cast<size_t>(size));
      T* a = vectors_ ? member_of<T>(outputs[1], i, size) : storage.data();
      if (!copy_triangle(matrices[i], upper_, a)) {
        lapack::fill_nan(values, n);
        if (vectors_) lapack::fill_nan(a, size);
        return;
      }
      // The transpose, whose other triangle this is, is the conjugate: so are its eigenvectors.
      if (lapack::heevd(vectors_ ? 'V' : 'N', upper_ ? 'L' : 'U', n, a, values) != 0) {
        throw_not_converged("eigh");
      }
    });
  });
}

}  // namespace lazuli
