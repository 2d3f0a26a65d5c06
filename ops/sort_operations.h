#pragma once

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// Rows along the last axis in order: the elements, or their positions (uint32). See `templates::sort_rows`.
class SortOperation final : public HostOperation {
 public:
  explicit SortOperation(bool positions) : positions_(positions) {}
  std::string_view name() const override { return positions_ ? "argsort" : "sort"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  bool needs_contiguous(int) const override { return true; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  Differentials jvp(const Application& at, const Differentials& tangents) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  bool positions_;
};

/// For ascending rows [r, n] and values [r, m] of one dtype: how many elements of its row are less than each
/// value, or equal to it, uint32.
class SearchSortedOperation final : public HostOperation {
 public:
  explicit SearchSortedOperation(bool or_equal) : or_equal_(or_equal) {}
  std::string_view name() const override { return "searchsorted"; }
  void attributes(AttributeWriter& writer) const override { writer.write("or_equal", or_equal_); }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  bool needs_contiguous(int) const override { return true; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  bool or_equal_;
};

}  // namespace lazuli
