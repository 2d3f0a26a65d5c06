#include <lazuli/compiler/program/binder.h>

#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

// Results that lie where an operand lay which is not needed any more.
namespace lazuli {

namespace {

bool same_place(const KernelOperand& a, const KernelOperand& b) {
  return std::equal(a.coordinates.begin(), a.coordinates.end(), b.coordinates.begin(), b.coordinates.end(),
                    [](const KernelOperand::Coordinate& x, const KernelOperand::Coordinate& y) {
                      return x.dim == y.dim && x.scale.same_as(y.scale) && x.offset.same_as(y.offset) &&
                             x.dynamic < 0 && y.dynamic < 0;
                    });
}

/// Whether all loads of an access stand before the first store to another.
bool reads_before_writes(const kir::Kernel& kernel, size_t read, size_t written) {
  size_t last_load = 0, first_store = kernel.instructions.size();
  for (size_t i = 0; i < kernel.instructions.size(); ++i) {
    const kir::Instruction& instruction = kernel.instructions[i];
    if (kir::is_load(instruction.op) && instruction.imm == read) last_load = i;
    if (kir::is_store(instruction.op) && instruction.imm == written) first_store = std::min(first_store, i);
  }
  return last_load < first_store;
}

}  // namespace

void Binder::take_over_memory(int s) {
  const ProgramStep& step = program_.steps()[static_cast<size_t>(s)];
  if (step.kind == FusionUnit::Kind::begin) update_in_place(step, s);
  if (step.kind == FusionUnit::Kind::group) compute_in_place(step, s);
}

void Binder::update_in_place(const ProgramStep& step, int s) {
  const Graph::GraphNode& node = graph_.nodes[step.node];
  if (node.operation->kind() != OperationKind::update) return;
  const Location base = locate(node.inputs[0]);
  const Graph::ValueId result = node.outputs[0];
  const int from = find(base.storage);
  const int to = find(locate(result).storage);
  Storage& source = binding_.storages_[static_cast<size_t>(from)];
  Storage& target = binding_.storages_[static_cast<size_t>(to)];
  if (!is_row_major(base) || base.offset != 0 || source.last > s) return;
  if (source.kind == Storage::Kind::temporary && source.bytes == target.bytes) {
    merged_[static_cast<size_t>(from)] = to;
    target.first = std::min(target.first, source.first);
    in_place_.push_back(s);
  } else if (source.kind == Storage::Kind::input) {
    target.donor = source.index;
  }
}

void Binder::compute_in_place(const ProgramStep& step, int s) {
  const auto& operands = step.kernel.operands;
  const auto& accesses = step.kernel.kernel.accesses;
  for (size_t to = 0; to < operands.size(); ++to) {
    if (accesses[to].kind != kir::Access::Kind::output || operands[to].kind != KernelOperand::Kind::tensor)
      continue;
    Storage& target = storage_of(operands[to].value);
    // Made here as a whole, as a result of the program.
    if (target.kind != Storage::Kind::output || target.first != s || target.donor >= 0) continue;
    for (size_t from = 0; from < operands.size(); ++from) {
      if (accesses[from].kind != kir::Access::Kind::input || !can_lie_over(step.kernel, to, from, s))
        continue;
      target.donor = storage_of(operands[from].value).index;
      break;
    }
  }
}

bool Binder::can_lie_over(const LoweredKernel& lowered, size_t to, size_t from, int s) {
  const KernelOperand& result = lowered.operands[to];
  const KernelOperand& operand = lowered.operands[from];
  if (operand.kind != KernelOperand::Kind::tensor) return false;
  const Location result_place = locate(result.value);
  const Location place = locate(operand.value);
  const int storage = find(place.storage);
  const Storage& source = binding_.storages_[static_cast<size_t>(storage)];
  if (source.kind != Storage::Kind::input || source.last != s || place.offset != 0 ||
      result_place.offset != 0 || item_size(operand.value) != item_size(result.value) ||
      !(place.shape == result_place.shape) || !is_row_major(place) || !is_row_major(result_place) ||
      element_count(place.shape) * item_size(result.value) != storage_of(result.value).bytes) {
    return false;
  }
  for (const Storage& other : binding_.storages_) {
    if (other.donor == source.index) return false;
  }
  // Each element is read, by whoever reads it, before it is written, and by the iteration that writes it.
  for (size_t a = 0; a < lowered.operands.size(); ++a) {
    const KernelOperand& other = lowered.operands[a];
    if (other.kind != KernelOperand::Kind::tensor ||
        lowered.kernel.accesses[a].kind != kir::Access::Kind::input ||
        find(locate(other.value).storage) != storage) {
      continue;
    }
    const Location& other_place = locate(other.value);
    if (other_place.offset != 0 || !(other_place.shape == place.shape) || !is_row_major(other_place) ||
        !same_place(other, result) || !reads_before_writes(lowered.kernel, a, to)) {
      return false;
    }
  }
  return true;
}

}  // namespace lazuli
