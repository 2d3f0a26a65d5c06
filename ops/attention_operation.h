#pragma once

#include <lazuli/compiler/operations.h>

namespace lazuli::templates {
struct AttentionProblem;
}

namespace lazuli {

/// Attention by the kernel template. Operands: queries, keys, values, then a mask of shape [B, H, T, S],
/// sinks [H] and the number of valid keys (an int32 scalar), where the settings say that they are there.
class AttentionOperation : public HostOperation {
 public:
  struct Settings {
    float scale = 1;
    float soft_cap = 0;
    int window = 0;
    bool causal = false;
    bool has_mask = false;
    bool has_sinks = false;
    bool has_length = false;
    Dtype dtype = float32;  ///< of the result

    int extra_operands() const { return int{has_mask} + int{has_sinks} + int{has_length}; }
  };
  explicit AttentionOperation(const Settings& settings) : settings_(settings) {}
  std::string_view name() const override { return "scaled_dot_product_attention"; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  double operation_count(std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs) const override;
  bool accepts(int operand, Dtype dtype) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 protected:
  /// How many operands keys are, and values.
  virtual size_t parts() const { return 1; }
  /// Adds what is not said by queries and the first parts of keys and values. The last dimensions of
  /// `tensors`, queries, keys and values, have unit stride.
  virtual void describe(std::span<const TensorView>, templates::AttentionProblem&) const {}
  /// The operands with keys and values in one part each.
  virtual std::vector<array> whole(const std::vector<array>& inputs) const { return inputs; }

  const Settings& settings() const { return settings_; }

 private:
  /// The same from plain operations, scores and all: what gradients are derived from.
  array composed(const std::vector<array>& inputs) const;
  /// The rows of `queries` queries from `first` on, of whole operands.
  array composed(const std::vector<array>& inputs, Dim first, Dim queries) const;

  Settings settings_;
};

}  // namespace lazuli
