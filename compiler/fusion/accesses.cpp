#include <lazuli/compiler/fusion/accesses.h>

#include <algorithm>

namespace lazuli {

using ValueId = Graph::ValueId;

namespace {

bool same(const std::vector<KernelOperand::Coordinate>& a, const std::vector<KernelOperand::Coordinate>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const KernelOperand::Coordinate& x, const KernelOperand::Coordinate& y) {
                      return x.dim == y.dim && x.scale.same_as(y.scale) && x.offset.same_as(y.offset) &&
                             x.dynamic == y.dynamic && x.dynamic_scale.same_as(y.dynamic_scale);
                    });
}

}  // namespace

uint32_t KernelAccesses::add(KernelOperand operand, kir::Access::Kind kind, Dtype dtype,
                             uint8_t dynamic_indices) {
  kir::Access access;
  access.kind = kind;
  access.dtype = dtype;
  // What an access does not depend on is known already; the rest is left to binding.
  access.strides.assign(lowered_.kernel.dims.size(), kir::StrideClass::zero);
  for (const KernelOperand::Coordinate& coordinate : operand.coordinates) {
    if (coordinate.dim >= 0) access.strides[static_cast<size_t>(coordinate.dim)] = kir::StrideClass::any;
  }
  for (size_t d = 0; access.is_row() && d < access.strides.size(); ++d) {
    if (lowered_.kernel.dims[d] == kir::Role::reduce) access.strides[d] = kir::StrideClass::any;
  }
  access.dynamic_indices = dynamic_indices;
  lowered_.kernel.accesses.push_back(std::move(access));
  lowered_.operands.push_back(std::move(operand));
  return static_cast<uint32_t>(lowered_.operands.size() - 1);
}

uint32_t KernelAccesses::to(ValueId value, const Coordinates& at, kir::Access::Kind kind,
                            std::vector<kir::Value>& dynamic) {
  KernelOperand operand;
  operand.value = value;
  // Blocks hold what was computed, not yet rounded.
  const bool is_block = value == block_;
  const Dtype dtype = is_block ? kir::compute_type(graph_.spec(value).dtype) : graph_.spec(value).dtype;
  if (is_block) operand.kind = KernelOperand::Kind::block;
  if (value == made_) operand.kind = KernelOperand::Kind::rows;
  for (const Coordinate& coordinate : at) {
    KernelOperand::Coordinate entry{coordinate.dim, coordinate.scale, coordinate.offset, -1, 1};
    if (coordinate.dynamic != kir::no_value) {
      entry.dynamic = static_cast<int>(dynamic.size());
      entry.dynamic_scale = coordinate.dynamic_scale;
      dynamic.push_back({coordinate.dynamic, kir::no_value, int64});
    }
    operand.coordinates.push_back(entry);
  }
  for (uint32_t access = 0; access < lowered_.operands.size(); ++access) {
    const KernelOperand& known = lowered_.operands[access];
    if (known.kind == operand.kind && known.value == value && lowered_.kernel.accesses[access].kind == kind &&
        same(known.coordinates, operand.coordinates)) {
      return access;
    }
  }
  return add(std::move(operand), kind, dtype, static_cast<uint8_t>(dynamic.size()));
}

uint32_t KernelAccesses::to_extent(Dim dim) {
  for (uint32_t access = 0; access < lowered_.operands.size(); ++access) {
    const KernelOperand& known = lowered_.operands[access];
    if (known.kind == KernelOperand::Kind::extent && known.extent.same_as(dim)) return access;
  }
  KernelOperand operand;
  operand.kind = KernelOperand::Kind::extent;
  operand.extent = dim;
  return add(std::move(operand), kir::Access::Kind::input, int64);
}

uint32_t KernelAccesses::add_scratch(Dtype dtype) {
  KernelOperand operand;
  operand.kind = KernelOperand::Kind::scratch;
  return add(std::move(operand), kir::Access::Kind::scratch, dtype);
}

uint32_t KernelAccesses::add_sums(ValueId value, const Coordinates& at) {
  KernelOperand operand;
  operand.kind = KernelOperand::Kind::sums;
  operand.value = value;
  for (const Coordinate& coordinate : at) {
    operand.coordinates.push_back({coordinate.dim, coordinate.scale, coordinate.offset, -1, 1});
  }
  return add(std::move(operand), kir::Access::Kind::sums, kir::compute_type(graph_.spec(value).dtype));
}

}  // namespace lazuli
