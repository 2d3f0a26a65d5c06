#pragma once

#include <lazuli/compiler/operations.h>
#include <lazuli/ops/quantized.h>

namespace lazuli {

/// x · wᵀ, or x · w, straight from MLX's layout. Operands: x, codes, scales and, in the affine mode, biases;
/// without them elements are floating point numbers.
class QuantizedMatmulOperation final : public HostOperation {
 public:
  QuantizedMatmulOperation(bool transpose, int group_size, int bits)
      : transpose_(transpose), group_size_(group_size), bits_(bits) {}
  std::string_view name() const override { return "quantized_matmul"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  bool makes_blocks() const override { return true; }
  bool asks_for_rows() const override { return true; }
  void execute_fused(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                     const Holes& holes) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;

 private:
  void compute(std::span<const TensorView> inputs, const TensorView& out, const Holes& holes) const;

  bool transpose_;
  int group_size_;
  int bits_;
};

/// Codes, scales and biases packed into panels, as uint8 [n, 64].
class PackQuantizedOperation final : public HostOperation {
 public:
  PackQuantizedOperation(int group_size, int bits) : group_size_(group_size), bits_(bits) {}
  std::string_view name() const override { return "pack_quantized"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int) const override { return true; }
  bool fold_constants() const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;

 private:
  int group_size_;
  int bits_;
};

/// x · wᵀ with packed weights. Operands: x, the packed bytes.
class PackedMatmulOperation final : public HostOperation {
 public:
  PackedMatmulOperation(Dim out_features, QuantizedActivations activations)
      : out_features_(out_features), activations_(activations) {}
  std::string_view name() const override { return "packed_quantized_matmul"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  bool makes_blocks() const override { return true; }
  bool asks_for_rows() const override { return true; }
  void execute_fused(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                     const Holes& holes) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;

 private:
  void compute(std::span<const TensorView> inputs, const TensorView& out, const Holes& holes) const;

  Dim out_features_;
  QuantizedActivations activations_;
};

/// Rows of a packed matrix, dequantized. Operands: the packed bytes, int32 row numbers.
class PackedTakeOperation final : public HostOperation {
 public:
  PackedTakeOperation(Dim in_features, Dtype dtype) : in_features_(in_features), dtype_(dtype) {}
  std::string_view name() const override { return "packed_quantized_take"; }
  void attributes(AttributeWriter& writer) const override;
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;

 private:
  Dim in_features_;
  Dtype dtype_;
};

}  // namespace lazuli
