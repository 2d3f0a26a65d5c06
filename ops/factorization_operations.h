#pragma once

#include <lazuli/ops/matrix_operation.h>

/// Factorizations as operations. LAPACK works on columns, so some results are the transposed matrices.
namespace lazuli {

/// Of [..., m, n]: the transposed Q [..., k, m] and R [..., k, n].
class QrOperation final : public MatrixOperation {
 public:
  std::string_view name() const override { return "qr"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
};

/// Of [..., m, n]: u [..., m, m], s [..., k], vt [..., n, n]; or s alone.
class SvdOperation final : public MatrixOperation {
 public:
  explicit SvdOperation(bool vectors) : vectors_(vectors) {}
  std::string_view name() const override { return "svd"; }
  void attributes(AttributeWriter& writer) const override { writer.write("vectors", vectors_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool vectors_;
};

/// Of [..., n, n], of which one triangle is read: the Cholesky factor in that triangle.
class CholeskyOperation final : public MatrixOperation {
 public:
  explicit CholeskyOperation(bool upper) : upper_(upper) {}
  std::string_view name() const override { return "cholesky"; }
  void attributes(AttributeWriter& writer) const override { writer.write("upper", upper_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool upper_;
};

/// Of [..., m, n]: the transposed factors [..., n, m], exchanges uint32 [..., k], and for each row of the
/// input its place in the product of the factors, uint32 [..., m].
class LuOperation final : public MatrixOperation {
 public:
  std::string_view name() const override { return "lu"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
};

/// Of [..., n, n]: eigenvalues [..., n] and, with `vectors`, the transposed matrix of eigenvectors;
/// complex64.
class EigOperation final : public MatrixOperation {
 public:
  explicit EigOperation(bool vectors) : vectors_(vectors) {}
  std::string_view name() const override { return "eig"; }
  void attributes(AttributeWriter& writer) const override { writer.write("vectors", vectors_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;

 private:
  bool vectors_;
};

/// Of hermitian [..., n, n], of which one triangle is read: eigenvalues [..., n] and, with `vectors`, the
/// adjoint of the matrix of eigenvectors.
class EighOperation final : public MatrixOperation {
 public:
  EighOperation(bool upper, bool vectors) : upper_(upper), vectors_(vectors) {}
  std::string_view name() const override { return "eigh"; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool upper_;
  bool vectors_;
};

}  // namespace lazuli
