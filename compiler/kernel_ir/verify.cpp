#include <algorithm>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/kernel_ir/math_tables.h>

namespace lazuli::kir {
namespace {

/// Checks one kernel; each function throws at the first fault.
class Verifier {
 public:
  explicit Verifier(const Kernel& kernel) : kernel_(kernel) {}

  void run() {
    check_dims();
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) check_access(a);
    check_blocks();
    for (const Block& block : kernel_.blocks) {
      block_ = &block;
      for (at_ = block.begin; at_ < block.end; ++at_) check_instruction(kernel_.instructions[at_]);
    }
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    const Opcode op = kernel_.instructions[at_].op;
    const std::string name = static_cast<int>(op) < opcode_count ? std::string(row_of(op).name) : "?";
    throw std::logic_error(fmt::format("[kir::verify] Instruction %{} ({}): {}.", at_, name,
                                       fmt::format(format, std::forward<Args>(args)...)));
  }

  static void require(bool condition, const std::string& fault) {
    if (!condition) throw std::logic_error("[kir::verify] " + fault + ".");
  }

  void check_dims() const {
    const auto first = std::find(kernel_.dims.begin(), kernel_.dims.end(), Role::reduce);
    const auto last = std::find(first, kernel_.dims.end(), Role::parallel);
    require(std::find(last, kernel_.dims.end(), Role::reduce) == kernel_.dims.end(),
            "Reduce dimensions do not lie next to each other");
    require(first == kernel_.dims.end() || kernel_.dims.end() - last <= 1,
            "More than one parallel dimension follows the reduce dimensions");
  }

  void check_access(size_t number) const {
    const Access& access = kernel_.accesses[number];
    require(access.strides.size() == kernel_.dims.size(),
            fmt::format("Access a{} has {} strides for {} dimensions", number, access.strides.size(),
                        kernel_.dims.size()));
    if (!access.is_row()) return;
    const char* kind = access.kind == Access::Kind::sums ? "Sums" : "Scratch";
    require(kernel_.reduces_innermost(),
            fmt::format("{} access a{} in a kernel that does not reduce innermost", kind, number));
    for (size_t d = 0; d < kernel_.dims.size(); ++d) {
      require(kernel_.dims[d] == Role::reduce || access.strides[d] == StrideClass::zero,
              fmt::format("{} access a{} has a stride along parallel dimension {}", kind, number, d));
    }
    if (access.kind == Access::Kind::sums) check_sums(access, number);
  }

  void check_sums(const Access& access, size_t number) const {
    require(access.dtype == float32 || access.dtype == float64,
            fmt::format("Sums access a{} of {}", number, dtype_name(access.dtype)));
    require(access.dynamic_indices == 0, fmt::format("Sums access a{} with dynamic indices", number));
    for (size_t d = 0; d < kernel_.dims.size(); ++d) {
      require(kernel_.dims[d] == Role::parallel || access.strides[d] != StrideClass::zero,
              fmt::format("Sums access a{} does not move along reduce dimension {}", number, d));
    }
  }

  void check_blocks() const {
    uint32_t at = 0;
    for (const Block& block : kernel_.blocks) {
      require(block.begin == at && block.end >= at && block.end <= kernel_.instructions.size(),
              fmt::format("Block [{}, {}) does not continue at {}", block.begin, block.end, at));
      at = block.end;
    }
    require(at == kernel_.instructions.size(), "Instructions lie outside of all blocks");
  }

  void check_instruction(const Instruction& instruction) const {
    if (static_cast<int>(instruction.op) >= opcode_count) fail("unknown opcode");
    const OpcodeRow& row = row_of(instruction.op);
    for (ValueId operand : instruction.operands) check_visible(operand);
    switch (instruction.op) {
      case Opcode::constant:
        check_constant(instruction);
        break;
      case Opcode::index:
        check_index(instruction);
        break;
      case Opcode::load:
      case Opcode::load_imag:
      case Opcode::store:
      case Opcode::store_complex:
        check_memory(instruction, row);
        return;
      default:
        break;
    }
    if (static_cast<int>(instruction.operands.size()) != row.operands) {
      fail("{} operands instead of {}", instruction.operands.size(), row.operands);
    }
    check_types(instruction, row);
    if (is_reduce(instruction.op)) check_reduce(instruction);
  }

  void check_visible(ValueId operand) const {
    if (operand >= at_) fail("operand %{} does not precede it", operand);
    const Opcode op = kernel_.instructions[operand].op;
    if (row_of(op).result == ResultRule::none) fail("operand %{} is a store", operand);
    const bool same_block = operand >= block_->begin;
    if (same_block && is_reduce(op)) fail("operand %{} is a reduction of the same block", operand);
    if (same_block || is_reduce(op)) return;
    for (const Block& block : kernel_.blocks) {
      if (operand >= block.begin && operand < block.end && block.per_element) {
        fail("operand %{} belongs to an earlier per-element block", operand);
      }
    }
  }

  void check_constant(const Instruction& instruction) const {
    if (type_set(instruction.type) == no_types) fail("{} is no compute type", dtype_name(instruction.type));
    const int bits = 8 * instruction.type.size();
    const bool fits = bits == 64 || instruction.imm >> bits == 0;
    if (!fits || (instruction.type == bool_ && instruction.imm > 1)) {
      fail("bits {:#x} are too wide", instruction.imm);
    }
  }

  void check_index(const Instruction& instruction) const {
    if (instruction.imm >= kernel_.dims.size()) fail("there is no dimension {}", instruction.imm);
    if (!block_->per_element && kernel_.dims[instruction.imm] == Role::reduce) {
      fail("dimension {} is reduced, and the block is not per element", instruction.imm);
    }
  }

  void check_memory(const Instruction& instruction, const OpcodeRow& row) const {
    if (instruction.imm >= kernel_.accesses.size()) fail("there is no access a{}", instruction.imm);
    const Access& access = kernel_.accesses[instruction.imm];
    if (instruction.operands.size() != static_cast<size_t>(row.operands) + access.dynamic_indices) {
      fail("{} operands instead of {}", instruction.operands.size(), row.operands + access.dynamic_indices);
    }
    for (size_t i = 0; i < instruction.operands.size(); ++i) {
      const Dtype type = kernel_.instructions[instruction.operands[i]].type;
      const Dtype wanted = i < static_cast<size_t>(row.operands) ? compute_type(access.dtype) : Dtype(int64);
      if (type != wanted) fail("operand {} is {}, not {}", i, dtype_name(type), dtype_name(wanted));
    }
    if (instruction.type != compute_type(access.dtype)) {
      fail("type {} for an access of {}", dtype_name(instruction.type), dtype_name(access.dtype));
    }
    const bool needs_complex = instruction.op == Opcode::load_imag || instruction.op == Opcode::store_complex;
    if (needs_complex && access.dtype != complex64) fail("a{} is not complex64", instruction.imm);
    if (instruction.op == Opcode::store && access.dtype == complex64)
      fail("a{} is complex64", instruction.imm);
    if (is_store(instruction.op) && access.kind == Access::Kind::input)
      fail("a{} is an input", instruction.imm);
    if (block_->per_element) return;
    for (size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (kernel_.dims[d] == Role::reduce && access.strides[d] != StrideClass::zero) {
        fail("a{} moves along reduce dimension {}, and the block is not per element", instruction.imm, d);
      }
    }
  }

  void check_types(const Instruction& instruction, const OpcodeRow& row) const {
    const size_t first = instruction.op == Opcode::select ? 1 : 0;
    if (first == 1 && operand_type(instruction, 0) != bool_) fail("the condition is not bool");
    const bool has_operands = instruction.operands.size() > first;
    const Dtype type = has_operands ? operand_type(instruction, first) : instruction.type;
    for (size_t i = first; i < instruction.operands.size(); ++i) {
      if (operand_type(instruction, i) != type) fail("operands differ in type");
    }
    if (!accepts(instruction.op, type)) fail("not defined for {}", dtype_name(type));
    bool good = true;
    switch (row.result) {
      case ResultRule::same:
        good = instruction.type == type;
        break;
      case ResultRule::boolean:
        good = instruction.type == bool_;
        break;
      case ResultRule::position:
        good = instruction.type == int64;
        break;
      case ResultRule::chosen:
        good = type_set(instruction.type) != no_types;
        break;
      case ResultRule::none:
        break;
    }
    if (instruction.op == Opcode::bitcast) {
      good = good && instruction.type.size() == type.size() && instruction.type != bool_;
    }
    if (instruction.op == Opcode::round_to) {
      const auto to = static_cast<Dtype::Val>(instruction.imm);
      good = type == float32 && (to == Dtype::Val::float16 || to == Dtype::Val::bfloat16);
    }
    if (instruction.op == Opcode::table) {
      if (instruction.imm >= table_count) fail("there is no table {}", instruction.imm);
      good = type == int32 && instruction.type == float32;
    }
    if (instruction.op == Opcode::scalb) good = type == float32;
    if (!good) fail("result type {} from {}", dtype_name(instruction.type), dtype_name(type));
  }

  void check_reduce(const Instruction& instruction) const {
    if (!block_->per_element) fail("stands in a block that is not per element");
    const auto reduced = std::count(kernel_.dims.begin(), kernel_.dims.end(), Role::reduce);
    if (reduced == 0) fail("the kernel has no reduce dimension");
    const bool positional = row_of(instruction.op).result == ResultRule::position;
    if (positional && reduced != 1) fail("{} reduce dimensions instead of one", reduced);
  }

  Dtype operand_type(const Instruction& instruction, size_t i) const {
    return kernel_.instructions[instruction.operands[i]].type;
  }

  const Kernel& kernel_;
  const Block* block_ = nullptr;
  uint32_t at_ = 0;
};

}  // namespace

void verify(const Kernel& kernel) {
  Verifier(kernel).run();
}

}  // namespace lazuli::kir
