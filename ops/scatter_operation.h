#pragma once

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// What an accumulating scatter does with what is there already.
enum class ScatterMode : uint8_t { add, prod, max, min };

/// A copy of operand 0 in which the element at map(u) is combined with operand 1's element at u, for every
/// u, in row-major order where several meet at one place. Further operands are dynamic indices. Half
/// precision accumulates in float32.
class ScatterOperation final : public HostOperation {
 public:
  ScatterOperation(ScatterMode mode, IndexMap map, std::vector<DynamicIndex> dynamic)
      : mode_(mode), map_(std::move(map)), dynamic_(std::move(dynamic)) {}
  std::string_view name() const override;
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  /// The base may be one element that is repeated, which needs no memory of its own.
  bool needs_contiguous(int operand) const override { return operand == 1; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;

  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  /// The same scatter of other values.
  array scattered(ScatterMode mode, const array& base, const array& updates,
                  std::span<const array> inputs) const;
  /// What an array holds at the places of the updates.
  array gathered(const array& a, const Shape& updates, std::span<const array> inputs) const;

  ScatterMode mode_;
  IndexMap map_;
  std::vector<DynamicIndex> dynamic_;
};

}  // namespace lazuli
