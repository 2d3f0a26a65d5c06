#pragma once

#include <lazuli/compiler/operations.h>
#include <lazuli/compiler/templates/scan.h>

namespace lazuli {

/// A cumulative operation along an axis, which is counted from the end: -1 is the last. See
/// `templates::ScanProblem`.
class ScanOperation final : public HostOperation {
 public:
  ScanOperation(templates::ScanKind kind, int axis, bool reverse, bool inclusive)
      : kind_(kind), axis_(axis), reverse_(reverse), inclusive_(inclusive) {}
  std::string_view name() const override;
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  bool needs_contiguous(int) const override { return true; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  array cotangent_of_products(const array& x, const array& g) const;
  array cotangent_of_logarithms(const array& x, const array& g) const;
  array cotangent_of_extremes(const array& x, const array& y, const array& g) const;

  templates::ScanKind kind_;
  int axis_;
  bool reverse_;
  bool inclusive_;
};

/// y[i] = a[i] * y[i - 1] + b[i] along an axis counted from the end (in reverse, of y[i + 1]), for a and b of
/// one shape; the element outside is 0.
class LinearRecurrence final : public HostOperation {
 public:
  LinearRecurrence(int axis, bool reverse) : axis_(axis), reverse_(reverse) {}
  std::string_view name() const override { return "linear_recurrence"; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[1]}; }
  bool needs_contiguous(int) const override { return true; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  int axis_;
  bool reverse_;
};

}  // namespace lazuli
