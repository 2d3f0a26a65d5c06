#pragma once

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// out = alpha * a · b + beta * c over the last two axes, in `dtype`; the others broadcast. Operands: a
/// [..., m, k], b [..., k, n] and, where beta is not 0, c of the output's shape. Operands of narrower
/// floating point dtypes are read as they are.
class MatmulOperation final : public HostOperation {
 public:
  explicit MatmulOperation(Dtype dtype, float alpha = 1, float beta = 0)
      : dtype_(dtype), alpha_(alpha), beta_(beta) {}
  std::string_view name() const override { return beta_ == 0 ? "matmul" : "addmm"; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  bool makes_blocks() const override { return alpha_ == 1 && beta_ == 0 && dtype_ != complex64; }
  bool asks_for_rows() const override { return dtype_ != complex64; }
  void execute_fused(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                     const Holes& holes) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;
  bool accepts(int operand, Dtype dtype) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  void compute(std::span<const TensorView> inputs, const TensorView& out, const Holes& holes) const;

  Dtype dtype_;
  float alpha_;
  float beta_;
};

}  // namespace lazuli
