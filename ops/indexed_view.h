#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include <lazuli/array/stream.h>
#include <lazuli/compiler/operations.h>

/// Views and updates given by what they are: a shape, an index map and dynamic indices.
namespace lazuli {

/// A view of operand 0 with a given shape. `name` must outlive it (a literal); it says, with the map and the
/// shape, which operation this is.
class IndexedView final : public ViewOperation {
 public:
  IndexedView(std::string_view name, Shape shape, IndexMap map, std::vector<DynamicIndex> dynamic = {})
      : name_(name), shape_(std::move(shape)), map_(std::move(map)), dynamic_(std::move(dynamic)) {}
  std::string_view name() const override { return name_; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    return {{shape_, inputs[0].dtype}};
  }
  void attributes(AttributeWriter& writer) const override;
  IndexMap map(const Shape&, const Shape&) const override { return map_; }
  std::vector<DynamicIndex> dynamic_indices(const Shape&, const Shape&) const override { return dynamic_; }
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  Differentials jvp(const Application& at, const Differentials& tangents) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  std::string_view name_;
  Shape shape_;
  IndexMap map_;
  std::vector<DynamicIndex> dynamic_;
};

/// Operand 0 with the elements at map(u) replaced by those of operand 1 at u.
class IndexedUpdate final : public UpdateOperation {
 public:
  IndexedUpdate(std::string_view name, IndexMap map, std::vector<DynamicIndex> dynamic = {})
      : name_(name), map_(std::move(map)), dynamic_(std::move(dynamic)) {}
  std::string_view name() const override { return name_; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  void attributes(AttributeWriter& writer) const override;
  IndexMap map(const Shape&, const Shape&) const override { return map_; }
  std::vector<DynamicIndex> dynamic_indices(const Shape&, const Shape&) const override { return dynamic_; }
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override;
  Differentials jvp(const Application& at, const Differentials& tangents) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  std::string_view name_;
  IndexMap map_;
  std::vector<DynamicIndex> dynamic_;
};

/// The same maps one dimension further, for a batch in front of everything: of the tensor that is indexed
/// where `map_is_batched`, and of the dynamic indices' operands.
IndexMap batched_map(const IndexMap& map, bool map_is_batched);
std::vector<DynamicIndex> batched_indices(const std::vector<DynamicIndex>& indices,
                                          const std::vector<bool>& batched);
/// Writes them as attributes.
void write_map(AttributeWriter& writer, const IndexMap& map);
void write_dynamic(AttributeWriter& writer, const std::vector<DynamicIndex>& dynamic);

/// A view of `a` without dynamic indices.
array view_of(const array& a, std::string_view name, Shape shape, IndexMap map, StreamOrDevice s);

/// Whether an array of shape `from` can be broadcast to shape `to`.
bool broadcasts_to(const Shape& from, const Shape& to);

/// Axes counted from the front; throws std::invalid_argument `[name] ...` for those out of range or given
/// twice.
std::vector<int> normalize_axes(const std::vector<int>& axes, size_t ndim, std::string_view name);
/// The same for one.
int normalize_axis(int axis, size_t ndim, std::string_view name);

}  // namespace lazuli
