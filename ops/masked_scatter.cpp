#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/operations.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli {

namespace {

/// For each element of a mask [members, n], how many of those before it in its row are true: int32.
class TrueBefore final : public HostOperation {
 public:
  std::string_view name() const override { return "true_before"; }
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    return {{inputs[0].shape, int32}};
  }

  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const int64_t members = inputs[0].shape[0].hint();
    const int64_t length = inputs[0].shape[1].hint();
    const auto* mask = reinterpret_cast<const bool*>(inputs[0].data);
    auto* counts = reinterpret_cast<int32_t*>(outputs[0].data);
    for (int64_t m = 0; m < members; ++m) {
      int32_t count = 0;
      for (int64_t i = m * length; i < (m + 1) * length; ++i) {
        counts[i] = count;
        count += mask[i] ? 1 : 0;
      }
    }
  }

  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim batch) const override {
    const Dim members = inputs[0].shape(1);
    const array all = lazuli::apply(Ref<const Operation>(this), {flatten(inputs[0], 0, 1)});
    return {unflatten(all, 0, {batch, members})};
  }
};

const OperationRegistration<TrueBefore> before_registration(
    "true_before", 1, [](AttributeReader& r) -> Ref<const Operation> {
      r.require(r.inputs()[0].dtype == bool_ && r.inputs()[0].shape.size() == 2, "operands");
      return make_ref<TrueBefore>();
    });

}  // namespace

array masked_scatter(const array& a, const array& mask, const array& src, StreamOrDevice s) {
  const StreamContext on(s);
  if (mask.dtype() != bool_) {
    throw std::invalid_argument("[masked_scatter] the mask must be bool, not " +
                                std::string(dtype_name(mask.dtype())));
  }
  bool fits = mask.ndim() <= a.ndim();
  for (size_t d = 0; fits && d < mask.ndim(); ++d) fits = mask.shape()[d] == a.shape()[d];
  if (!fits) {
    throw std::invalid_argument("[masked_scatter] a mask of shape " + shape_to_string(mask.shape()) +
                                " does not fit the first axes of " + shape_to_string(a.shape()));
  }
  if (element_count(a.shape()) == 0) return a;
  if (element_count(src.shape()) == 0)
    throw std::invalid_argument("[masked_scatter] there is nothing to take from");
  std::vector<int> added;
  for (size_t d = mask.ndim(); d < a.ndim(); ++d) added.push_back(static_cast<int>(d));
  const array places = broadcast_to(expand_dims(mask, added, s), a.shape(), s);
  const array row = reshape(places, {1, -1}, s);
  const array numbers = reshape(lazuli::apply(make_ref<TrueBefore>(), {row}), a.shape(), s);
  return where(places, take(flatten(astype(src, a.dtype(), s), s), numbers, 0, s), a, s);
}

}  // namespace lazuli
