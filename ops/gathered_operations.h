#pragma once

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// out[i] = a[lhs[i]] · b[rhs[i]]. Operands: a [p, m, k], b [q, k, n] of one floating point dtype, and int32
/// vectors lhs and rhs of one length. Indices count from the end where negative, and are cut to what there
/// is.
class GatherMatmulOperation final : public HostOperation {
 public:
  std::string_view name() const override { return "gather_mm"; }
  bool needs_contiguous(int operand) const override { return operand >= 2; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;
};

/// The same for quantized matrices. Operands: x [p, m, k]; codes, scales and, in the affine mode, biases
/// [q, ...]; lhs and rhs.
class GatherQuantizedMatmulOperation final : public HostOperation {
 public:
  GatherQuantizedMatmulOperation(bool transpose, int group_size, int bits)
      : transpose_(transpose), group_size_(group_size), bits_(bits) {}
  std::string_view name() const override { return "gather_qmm"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  bool transpose_;
  int group_size_;
  int bits_;
};

/// out[i] = a[:, from:to] · b[from:to, :] with (from, to) = segments[i]. Operands: a [m, k], b [k, n] of one
/// floating point dtype, int32 segments [p, 2].
class SegmentedMatmulOperation final : public HostOperation {
 public:
  std::string_view name() const override { return "segmented_mm"; }
  bool needs_contiguous(int operand) const override { return operand == 2; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;
};

}  // namespace lazuli
