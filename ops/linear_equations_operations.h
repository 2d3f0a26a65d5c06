#pragma once

#include <lazuli/ops/matrix_operation.h>

/// Inverses, linear equations and determinants as operations.
namespace lazuli {

/// The inverse of [..., n, n]. What is singular throws, or with `or_nan` gives NaNs, as gradients need it.
class InverseOperation final : public MatrixOperation {
 public:
  explicit InverseOperation(bool or_nan) : or_nan_(or_nan) {}
  std::string_view name() const override { return "inv"; }
  void attributes(AttributeWriter& writer) const override { writer.write("or_nan", or_nan_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool or_nan_;
};

/// The inverse of one triangle of [..., n, n].
class TriangularInverseOperation final : public MatrixOperation {
 public:
  explicit TriangularInverseOperation(bool upper) : upper_(upper) {}
  std::string_view name() const override { return "tri_inv"; }
  void attributes(AttributeWriter& writer) const override { writer.write("upper", upper_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool upper_;
};

/// Of a [..., n, n] and b [..., n, k]: the transposed solution of a x = b, [..., k, n].
class SolveOperation final : public MatrixOperation {
 public:
  std::string_view name() const override { return "solve"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
};

/// The same for one triangle of a.
class TriangularSolveOperation final : public MatrixOperation {
 public:
  explicit TriangularSolveOperation(bool upper) : upper_(upper) {}
  std::string_view name() const override { return "solve_triangular"; }
  void attributes(AttributeWriter& writer) const override { writer.write("upper", upper_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool upper_;
};

/// Of [..., n, n]: the determinant [...]; or with `logarithm` its sign, and the logarithm of its absolute
/// value.
class DeterminantOperation final : public MatrixOperation {
 public:
  explicit DeterminantOperation(bool logarithm) : logarithm_(logarithm) {}
  std::string_view name() const override { return logarithm_ ? "slogdet" : "det"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;

 private:
  bool logarithm_;
};

}  // namespace lazuli
