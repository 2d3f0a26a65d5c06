#include <lazuli/compiler/kernel_ir/kernel.h>

#include <algorithm>
#include <string>
#include <type_traits>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli::kir {
namespace {

template <typename T>
requires std::is_integral_v<T> || std::is_enum_v<T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_count(std::string& out, size_t count) {
  append(out, static_cast<uint32_t>(count));
}

}  // namespace

bool Kernel::has_reduce() const {
  return std::find(dims.begin(), dims.end(), Role::reduce) != dims.end();
}

Dtype compute_type(Dtype t) {
  return t == float16 || t == bfloat16 || t == complex64 ? float32 : t;
}

std::string kernel_name(const Kernel& kernel) {
  constexpr int most = 10;
  std::string name = !kernel.has_reduce() ? "elementwise" : kernel.reduces_innermost() ? "rows" : "columns";
  Opcode before = Opcode::constant;
  int named = 0, left_out = 0;
  for (const Instruction& instruction : kernel.instructions) {
    const Opcode op = instruction.op;
    const bool says_little = op == Opcode::constant || op == Opcode::index || op == Opcode::cast ||
                             op == Opcode::round_to || is_load(op) || is_store(op) || op == before;
    if (says_little) continue;
    before = op;
    if (named == most) {
      ++left_out;
      continue;
    }
    ++named;
    name += '_';
    name += row_of(op).name;
  }
  if (named == 0) name += "_copy";
  if (left_out > 0) name += "_and_" + std::to_string(left_out);
  return name;
}

std::string serialize(const Kernel& kernel) {
  // Every list is preceded by its length and every field has a fixed width, so no two kernels agree.
  std::string out;
  append_count(out, kernel.dims.size());
  for (Role role : kernel.dims) append(out, role);
  append_count(out, kernel.accesses.size());
  for (const Access& access : kernel.accesses) {
    append(out, access.kind);
    append(out, access.dtype.val());
    append(out, access.dynamic_indices);
    append_count(out, access.strides.size());
    for (StrideClass stride : access.strides) append(out, stride);
  }
  append_count(out, kernel.instructions.size());
  for (const Instruction& instruction : kernel.instructions) {
    append(out, instruction.op);
    append(out, instruction.type.val());
    append(out, instruction.imm);
    append_count(out, instruction.operands.size());
    for (ValueId operand : instruction.operands) append(out, operand);
  }
  append_count(out, kernel.blocks.size());
  for (const Block& block : kernel.blocks) {
    append(out, static_cast<uint8_t>(block.per_element));
    append(out, block.begin);
    append(out, block.end);
  }
  return out;
}

}  // namespace lazuli::kir
