#include <lazuli/compiler/llvm/distances.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Opcode;
using kir::ValueId;

namespace {

class DistanceFinder {
 public:
  DistanceFinder(const kir::Kernel& kernel, const Schedule& schedule, bool written_while_read)
      : kernel_(kernel), schedule_(schedule), written_while_read_(written_while_read) {}

  std::optional<Schedule::Distances> run() {
    if (schedule_.form != Schedule::Form::rows || schedule_.loops.size() != 1) return {};
    std::optional<size_t> before;
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      const Block& block = kernel_.blocks[b];
      if (!block.per_element || block.begin == block.end) continue;
      if (before && find(*before, b)) return found_;
      before = b;
    }
    return {};
  }

 private:
  const Instruction& at(ValueId id) const { return kernel_.instructions[id]; }
  bool is_in_block(ValueId id) const { return id >= begin_ && id < end_; }

  bool find(size_t before, size_t block) {
    begin_ = kernel_.blocks[block].begin;
    end_ = kernel_.blocks[block].end;
    start_of_pass_before_ = kernel_.blocks[before].begin;
    found_ = {};
    found_.made_in = before;
    found_.block = block;
    return find_sums() && find_square() && all_are_products() && nothing_else_is_late() && is_worth_it();
  }

  /// Nothing but floating-point sums may come out of the block.
  bool find_sums() {
    for (ValueId id = begin_; id < end_; ++id) {
      if (is_store(at(id).op) || at(id).op == Opcode::index) return false;
      if (!is_reduce(at(id).op)) continue;
      if (at(id).op != Opcode::reduce_sum || !issubdtype(at(id).type, floating)) return false;
      found_.sums.push_back(id);
    }
    return !found_.sums.empty();
  }

  bool find_square() {
    for (size_t n = 0; n < found_.sums.size(); ++n) {
      const ValueId operand = at(found_.sums[n]).operands[0];
      const Instruction& product = at(operand);
      if (product.op != Opcode::mul || !is_in_block(operand)) continue;
      if (product.operands[0] != product.operands[1] || !is_in_block(product.operands[0])) continue;
      const Instruction& distance = at(product.operands[0]);
      if (distance.op != Opcode::sub || is_in_block(distance.operands[1])) continue;
      if (schedule_.is_vector[distance.operands[1]] || schedule_.level[distance.operands[1]] != 1) continue;
      found_.square = n;
      found_.distance = product.operands[0];
      found_.value = distance.operands[0];
      found_.centre = distance.operands[1];
      return true;
    }
    return false;
  }

  /// Each sum is one of distances times what has nothing to do with the centre, or of their squares.
  bool all_are_products() const {
    for (const ValueId sum : found_.sums) {
      if (at(sum).type != at(found_.distance).type) return false;
      const ValueId operand = at(sum).operands[0];
      const Instruction& product = at(operand);
      if (product.op != Opcode::mul || !is_in_block(operand)) return false;
      if (product.operands[0] != found_.distance && product.operands[1] != found_.distance) return false;
    }
    for (ValueId id = begin_; id < end_; ++id) {
      const bool is_product = std::any_of(found_.sums.begin(), found_.sums.end(),
                                          [&](ValueId sum) { return at(sum).operands[0] == id; });
      for (const ValueId operand : at(id).operands) {
        if (operand == found_.distance && !is_product) return false;
        if (operand == found_.centre && id != found_.distance) return false;
      }
    }
    return true;
  }

  /// All else that the block reads has to be known when the pass before begins.
  bool nothing_else_is_late() {
    for (ValueId id = begin_; id < end_; ++id) {
      if (schedule_.level[id] == 1 && !is_reduce(at(id).op)) return false;
      if (is_load(at(id).op) && !is_own_element(kernel_.accesses[at(id).imm])) return false;
      for (const ValueId operand : at(id).operands) {
        const bool late =
            operand >= start_of_pass_before_ && operand < begin_ && schedule_.level[operand] > 0;
        if (late && operand != found_.centre) return false;
      }
    }
    return true;
  }

  /// A pass that only squares distances costs little, and it fetches the next row while nothing is written;
  /// a pass that writes a row of float32 does that more slowly than it saves.
  bool is_worth_it() const {
    if (found_.sums.size() > 1 || written_while_read_) return true;
    for (ValueId id = end_; id < kernel_.instructions.size(); ++id) {
      if (!is_store(at(id).op) || !schedule_.is_vector[id]) continue;
      const Access& access = kernel_.accesses[at(id).imm];
      if (access.kind == Access::Kind::output && access.dtype.size() >= 4) return false;
    }
    return true;
  }

  /// Whether it is read only, or what is read was written in the same step.
  bool is_own_element(const Access& access) {
    if (access.kind == Access::Kind::input) return true;
    found_.reads_what_is_made = true;
    return access.dynamic_indices == 0 && access.strides[schedule_.vector_dim] != kir::StrideClass::zero;
  }

  const kir::Kernel& kernel_;
  const Schedule& schedule_;
  const bool written_while_read_;
  Schedule::Distances found_;
  ValueId begin_ = 0, end_ = 0;  ///< of the block that may ask for distances
  ValueId start_of_pass_before_ = 0;
};

}  // namespace

std::optional<Schedule::Distances> find_distances(const kir::Kernel& kernel, const Schedule& schedule,
                                                  bool written_while_read) {
  return DistanceFinder(kernel, schedule, written_while_read).run();
}

}  // namespace lazuli
