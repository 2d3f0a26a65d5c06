#include <lazuli/compiler/work_estimate.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {
namespace {

using kir::Access;
using kir::Instruction;
using kir::Opcode;
using kir::StrideClass;

/// How much arithmetic one instruction is.
int operations_of(const Instruction& instruction) {
  switch (instruction.op) {
    case Opcode::constant:
    case Opcode::index:
    case Opcode::cast:
    case Opcode::bitcast:
    case Opcode::round_to:
    case Opcode::table:
      return 0;
    case Opcode::fma:
      return 2;
    default:
      return kir::is_load(instruction.op) || kir::is_store(instruction.op) ? 0 : 1;
  }
}

double bytes_of(const TensorView& view) {
  double elements = 1;
  for (size_t d = 0; d < view.shape.size(); ++d) {
    const int64_t extent = view.shape[d].hint();
    if (extent == 0) return 0;
    if (view.strides[d] != 0) elements *= static_cast<double>(extent);
  }
  return elements * static_cast<double>(view.dtype.size());
}

/// What a kernel over these extents reads or writes by one access.
double bytes_of(const Access& access, std::span<const int64_t> extents) {
  if (access.kind == Access::Kind::scratch) return 0;
  double elements = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (access.dynamic_indices > 0 || access.strides[d] != StrideClass::zero) {
      elements *= static_cast<double>(extents[d]);
    }
  }
  return elements * static_cast<double>(access.dtype.size());
}

}  // namespace

WorkEstimate estimate_work(const kir::Kernel& expanded, std::span<const int64_t> extents) {
  double points = 1, parallel_points = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    points *= static_cast<double>(extents[d]);
    if (expanded.dims[d] == kir::Role::parallel) parallel_points *= static_cast<double>(extents[d]);
  }
  WorkEstimate work;
  for (const Access& access : expanded.accesses) work.bytes += bytes_of(access, extents);
  for (const kir::Block& block : expanded.blocks) {
    int operations = 0;
    for (uint32_t i = block.begin; i < block.end; ++i) operations += operations_of(expanded.instructions[i]);
    work.operations += operations * (block.per_element ? points : parallel_points);
  }
  return work;
}

WorkEstimate estimate_fused_work(const kir::Kernel& expanded, std::span<const int64_t> extents, size_t block,
                                 const TensorView& tensor) {
  WorkEstimate work = estimate_work(expanded, extents);
  work.bytes -= bytes_of(expanded.accesses[block], extents) + bytes_of(tensor);
  return work;
}

WorkEstimate estimate_work(const HostOperation& operation, std::span<const TensorView> inputs,
                           std::span<const TensorView> outputs) {
  WorkEstimate work;
  for (const TensorView& view : inputs) work.bytes += bytes_of(view);
  for (const TensorView& view : outputs) work.bytes += bytes_of(view);
  work.operations = operation.operation_count(inputs, outputs);
  return work;
}

}  // namespace lazuli
