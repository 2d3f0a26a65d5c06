#include <lazuli/ops/depends.h>

#include <lazuli/ops/rules.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

/// Operand 0 as it is; the others come before whatever reads it.
class Depends final : public ViewOperation {
 public:
  std::string_view name() const override { return "depends"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  IndexMap map(const Shape& input, const Shape&) const override {
    return identity_map(static_cast<int>(input.size()));
  }
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    Differentials result(at.inputs.size());
    result[0] = cotangents[0];
    return result;
  }
  Differentials jvp(const Application&, const Differentials& tangents) const override {
    return {tangents[0]};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override {
    std::vector<array> operands(inputs.begin(), inputs.end());
    operands[0] = as_batched(inputs[0], batched[0], batch);
    return {lazuli::apply(Ref<const Operation>(this), std::move(operands))};
  }
};

const OperationRegistration<Depends> depends_registration("depends", 1, any_number,
                                                          [](AttributeReader&) -> Ref<const Operation> {
                                                            return make_ref<Depends>();
                                                          });

}  // namespace

std::vector<array> depends(const std::vector<array>& inputs, const std::vector<array>& dependencies) {
  static const Ref<const Operation> operation(new Depends);
  std::vector<array> results;
  for (const array& input : inputs) {
    std::vector<array> operands{input};
    operands.insert(operands.end(), dependencies.begin(), dependencies.end());
    results.push_back(lazuli::apply(operation, std::move(operands)));
  }
  return results;
}

}  // namespace lazuli
