#include <lazuli/compiler/llvm/schedule.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/distances.h>
#include <lazuli/compiler/llvm/grouped_pass.h>
#include <lazuli/compiler/llvm/late_pass.h>

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::Kernel;
using kir::Opcode;
using kir::Role;
using kir::StrideClass;

int first_dynamic_operand(Opcode op) {
  if (op == Opcode::store) return 1;
  return op == Opcode::store_complex ? 2 : 0;
}

namespace {

/// Vector instructions of a step that needs no second vector to keep the processor busy.
constexpr int long_step = 60;

/// And of one that leaves memory idle for long: in a last pass over a row, which writes it, and in one
/// before.
constexpr int busy_last_step = 20;
constexpr int busy_step = 10;

class Scheduler {
 public:
  Scheduler(const Kernel& kernel, const Target& target) : kernel_(kernel), target_(target) {}

  Schedule run() {
    order_loops();
    find_transposed();
    place_instructions();
    choose_lanes();
    find_parity();
    schedule_.distances = find_distances(kernel_, schedule_, fetches_late());
    choose_unroll();
    find_passes();
    if (!busy_) schedule_.grouped = find_grouped_pass(kernel_, schedule_);
    choose_late_pass();
    plan_prefetch();
    plan_asking_ahead();
    return std::move(schedule_);
  }

 private:
  void order_loops() {
    const int rank = kernel_.rank();
    if (kernel_.has_reduce()) {
      schedule_.form = kernel_.reduces_innermost() ? Schedule::Form::rows : Schedule::Form::columns;
    }
    const bool rows = schedule_.form == Schedule::Form::rows;
    if (rank > 0) schedule_.vector_dim = rank - 1;
    for (int d = 0; d < rank; ++d) {
      if (kernel_.dims[d] == Role::reduce) {
        schedule_.loops.push_back(d);
      } else if (rows || d != rank - 1) {
        schedule_.outer_dims.push_back(d);
      }
    }
    if (rank > 0 && !rows) schedule_.loops.push_back(rank - 1);
    level_of_dim_.assign(rank, 1);
    for (size_t n = 0; n < schedule_.loops.size(); ++n) {
      level_of_dim_[schedule_.loops[n]] = 2 + static_cast<int>(n);
    }
    if (rank > 0) schedule_.vector_level = level_of_dim_[rank - 1];
  }

  void find_transposed() {
    schedule_.transposed.assign(kernel_.accesses.size(), false);
    if (schedule_.form != Schedule::Form::elementwise || schedule_.outer_dims.empty()) return;
    // Which of the outer dimensions goes fastest does not matter otherwise.
    for (const Access& access : kernel_.accesses) {
      if (!can_be_transposed(access)) continue;
      const auto unit = std::find_if(schedule_.outer_dims.begin(), schedule_.outer_dims.end(), [&](int d) {
        return access.strides[static_cast<size_t>(d)] == StrideClass::unit;
      });
      if (unit == schedule_.outer_dims.end()) continue;
      std::rotate(unit, unit + 1, schedule_.outer_dims.end());
      break;
    }
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
      const Access& access = kernel_.accesses[a];
      schedule_.transposed[a] =
          can_be_transposed(access) && access.strides[schedule_.outer_dims.back()] == StrideClass::unit;
    }
  }

  bool can_be_transposed(const Access& access) const {
    return access.kind == Access::Kind::input && access.dynamic_indices == 0 && access.dtype != complex64 &&
           access.strides[schedule_.vector_dim] == StrideClass::any;
  }

  void place_instructions() {
    const size_t count = kernel_.instructions.size();
    schedule_.level.assign(count, 0);
    schedule_.is_vector.assign(count, false);
    schedule_.is_reduced.assign(count, false);
    for (const kir::Block& block : kernel_.blocks) {
      for (uint32_t i = block.begin; i < block.end; ++i) place(i, block);
    }
  }

  void place(uint32_t id, const kir::Block& block) {
    const Instruction& instruction = kernel_.instructions[id];
    const int innermost = schedule_.block_level(block);
    int level = 0;
    bool vector = false;
    bool reduced = false;
    const bool reaches_vectors = schedule_.vector_dim >= 0 && innermost >= schedule_.vector_level;
    const auto depend_on_dim = [&](int d) {
      const bool along_reduce = kernel_.dims[d] == Role::reduce;
      if (along_reduce && !block.per_element) return;  // the block stands still along it
      reduced = reduced || along_reduce;
      level = std::max(level, level_of_dim_[d]);
      vector = vector || d == schedule_.vector_dim;
    };
    for (const kir::ValueId operand : instruction.operands) {
      level = std::max(level, schedule_.level[operand]);
      vector = vector || schedule_.is_vector[operand];
      reduced = reduced || schedule_.is_reduced[operand];
    }
    if (instruction.op == Opcode::index) {
      depend_on_dim(static_cast<int>(instruction.imm));
    } else if (is_load(instruction.op)) {
      const Access& access = kernel_.accesses[instruction.imm];
      for (int d = 0; d < kernel_.rank(); ++d) {
        if (access.strides[d] != StrideClass::zero) depend_on_dim(d);
      }
      // What the kernel writes as well is read where the program says.
      if (access.kind != Access::Kind::input) {
        level = innermost;
        vector = reaches_vectors;
        reduced = true;
      }
    } else if (is_store(instruction.op)) {
      level = innermost;
      vector = reaches_vectors;
      reduced = true;
    } else if (is_reduce(instruction.op)) {
      // Where its result is known; the reduction itself happens innermost.
      vector = schedule_.form == Schedule::Form::columns;
      level = vector ? schedule_.vector_level : 1;
      reduced = false;
    }
    schedule_.level[id] = level;
    schedule_.is_reduced[id] = reduced;
    schedule_.is_vector[id] = vector;
  }

  /// As many lanes as a register holds of the widest type in common use. A few wider values (an index) then
  /// take several registers, narrower ones part of one.
  void choose_lanes() {
    if (schedule_.vector_dim < 0) return;
    int uses[9] = {};
    bool scalarised = false;  // by LLVM, lane by lane
    for (size_t i = 0; i < kernel_.instructions.size(); ++i) {
      const Instruction& instruction = kernel_.instructions[i];
      if (!schedule_.is_vector[i] && !is_reduce(instruction.op)) continue;
      if (is_load(instruction.op) || is_store(instruction.op)) {
        const Access& access = kernel_.accesses[instruction.imm];
        ++uses[access.dtype == complex64 ? 4 : kir::compute_type(access.dtype).size()];
        const bool contiguous =
            access.strides[schedule_.vector_dim] != StrideClass::any || schedule_.transposed[instruction.imm];
        scalarised = scalarised || !contiguous || access.dynamic_indices > 0;
      } else if (instruction.type != bool_ && instruction.op != Opcode::index) {
        ++uses[instruction.type.size()];
      }
      if (instruction.op == Opcode::div || instruction.op == Opcode::rem) scalarised = true;
    }
    int bytes = 1;
    if (uses[8] > uses[4] + uses[2] + uses[1]) {
      bytes = 8;
    } else if (uses[4] + uses[8] > 0) {
      bytes = 4;
    } else if (uses[2] > 0) {
      bytes = 2;
    }
    if (scalarised) bytes = std::max(bytes, 4);
    // A tile is a square of vectors; of more than a register holds of bytes, they are transposed in parts.
    if (schedule_.has_transposed() && target_.vector_bytes() < 64) bytes = std::max(bytes, 2);
    schedule_.lanes = target_.vector_bytes() / bytes;
  }

  /// What goes along the vector dimension has to be bfloat16, or to stay within the kernel.
  void find_parity() {
    if (schedule_.vector_dim < 0 || schedule_.form == Schedule::Form::columns) return;
    if (schedule_.has_transposed() || schedule_.lanes * 4 != target_.vector_bytes()) return;
    bool found = false;
    for (size_t i = 0; i < kernel_.instructions.size(); ++i) {
      const Instruction& instruction = kernel_.instructions[i];
      const bool position =
          instruction.op == Opcode::reduce_argmin || instruction.op == Opcode::reduce_argmax;
      if (position || (instruction.op == Opcode::index && schedule_.is_vector[i])) return;
      if (!is_store(instruction.op) && !(is_load(instruction.op) && schedule_.is_vector[i])) continue;
      const Access& access = kernel_.accesses[instruction.imm];
      const StrideClass along = access.strides[schedule_.vector_dim];
      if (is_store(instruction.op) && !schedule_.is_vector[i] && along == StrideClass::zero) continue;
      if (access.dynamic_indices > 0 || along != StrideClass::unit) return;
      if (!access.is_row() && access.dtype != bfloat16) return;
      found = found || access.dtype == bfloat16;
    }
    schedule_.by_parity = found;
  }

  /// Independent chains hide latency where a step is short; where it is long, the processor overlaps steps by
  /// itself and more vectors would only spill.
  void choose_unroll() {
    const size_t blocks = kernel_.blocks.size();
    schedule_.unroll.assign(blocks, 1);
    int least = 4;
    for (size_t b = 0; b < blocks; ++b) {
      schedule_.unroll[b] = unroll_of(kernel_.blocks[b]);
      if (schedule_.makes_distances(b)) schedule_.unroll[b] = std::min(schedule_.unroll[b], most_chains(b));
      if (schedule_.by_parity) schedule_.unroll[b] = std::max(schedule_.unroll[b], 2);
      least = std::min(least, schedule_.unroll[b]);
    }
    if (schedule_.form == Schedule::Form::elementwise) {
      std::fill(schedule_.unroll.begin(), schedule_.unroll.end(), least);
    }
  }

  /// Whether the processor has to be asked for what is read, and then reads best while it writes.
  bool fetches_late() const { return target_.bytes_ahead > 0; }

  bool asks_for_distances(size_t block) const {
    return schedule_.distances && schedule_.distances->block == block;
  }

  /// Vectors a step for which all that is added up stays in registers.
  int most_chains(size_t block) const {
    const auto begin = kernel_.instructions.begin();
    const kir::Block& own = kernel_.blocks[block];
    const auto sums = std::count_if(begin + own.begin, begin + own.end,
                                    [](const Instruction& instruction) { return is_reduce(instruction.op); });
    const size_t chains = static_cast<size_t>(sums) + 2 * schedule_.distances->sums.size();
    const size_t registers = target_.vector_bits >= 512 ? 24 : 12;
    return registers >= 4 * chains ? 4 : registers >= 2 * chains ? 2 : 1;
  }

  /// The passes over a row, and which of them but the first is busy with arithmetic for long.
  void find_passes() {
    if (schedule_.form != Schedule::Form::rows) return;
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      if (!kernel_.blocks[b].per_element || asks_for_distances(b)) continue;
      passes_.push_back(b);
    }
    for (size_t n = 1; n < passes_.size() && !busy_; ++n) {
      const int limit = n + 1 < passes_.size() ? busy_step : busy_last_step;
      if (vector_work(kernel_.blocks[passes_[n]]) > limit) busy_ = passes_[n];
    }
  }

  /// Memory has little to do while a pass is busy: the row before is written meanwhile. Where rows are asked
  /// for in advance, and none is busy, it is written within the pass that reads the next row, as in adding.
  void choose_late_pass() {
    if (choose_late_sums()) return;
    if (!busy_ && (!fetches_late() || passes_.size() < 2 || schedule_.grouped)) return;
    const size_t within = busy_.value_or(passes_.empty() ? 0 : passes_[0]);
    schedule_.late = find_late_pass(kernel_, schedule_, within);
    if (!schedule_.late) return;
    int& unroll = schedule_.unroll[within];
    unroll = std::max(unroll, least_unroll(kernel_.blocks[schedule_.late->block]));
    schedule_.unroll[schedule_.late->block] = unroll;
    choose_late_group();
  }

  /// Where the first pass asks for what it reads, rows of weights are what keeps it waiting: two rows share
  /// them.
  void choose_late_group() {
    Schedule::Late& late = *schedule_.late;
    if (busy_) return;
    const std::optional<Schedule::Grouped> group = find_late_group(kernel_, schedule_, late);
    if (!group) return;
    const int vectors = schedule_.unroll[late.within] / group->rows;
    const int least = std::max(least_unroll(kernel_.blocks[late.block]), schedule_.by_parity ? 2 : 1);
    if (vectors < least) return;
    late.rows = group->rows;
    schedule_.grouped = group;
  }

  /// Sums that only need a row's extremum are made while the next row is read, however busy they are: the two
  /// passes together read all the time, as one would.
  bool choose_late_sums() {
    if (!fetches_late() || passes_.size() != 2 || schedule_.grouped) return false;
    schedule_.late = find_late_sums(kernel_, schedule_, passes_[0], passes_[1]);
    if (!schedule_.late) return false;
    busy_.reset();
    schedule_.unroll[passes_[0]] = schedule_.unroll[passes_[1]];
    return true;
  }

  /// The pass that reads a row first waits for memory, others run in the caches: the next one (or, of what
  /// only the last one reads, itself) fetches the next row; where a pass is busy with arithmetic for long,
  /// that one. Of several inputs that one pass reads first, it fetches every other one itself, so that memory
  /// has something to do meanwhile.
  void plan_prefetch() {
    schedule_.prefetched.resize(kernel_.blocks.size());
    if (schedule_.form != Schedule::Form::rows || schedule_.outer_dims.empty()) return;
    if (passes_.size() < 2 || reads_and_writes_at_once()) return;
    std::vector<bool> known(kernel_.accesses.size(), false);
    for (size_t n = 0; n < passes_.size(); ++n) {
      const size_t fetching = busy_ ? *busy_ : passes_[std::min(n + 1, passes_.size() - 1)];
      std::vector<size_t> read_first;
      const kir::Block& block = kernel_.blocks[passes_[n]];
      for (uint32_t i = block.begin; i < block.end; ++i) {
        const Instruction& instruction = kernel_.instructions[i];
        if (!is_load(instruction.op) || known[instruction.imm]) continue;
        known[instruction.imm] = true;
        const Access& access = kernel_.accesses[instruction.imm];
        const bool along_row = access.strides[schedule_.vector_dim] == StrideClass::unit;
        const bool moves = access.strides[schedule_.outer_dims.back()] != StrideClass::zero;
        if (access.kind == Access::Kind::input && access.dynamic_indices == 0 && along_row && moves) {
          read_first.push_back(instruction.imm);
        }
      }
      for (size_t i = 0; i < read_first.size(); ++i) {
        const bool itself = !busy_ && i % 2 == 0 && read_first.size() > 1;
        schedule_.prefetched[itself ? passes_[n] : fetching].push_back(read_first[i]);
      }
    }
  }

  bool reads_and_writes_at_once() const { return fetches_late() && schedule_.late && !busy_; }

  void plan_asking_ahead() {
    schedule_.asked_ahead.resize(kernel_.blocks.size());
    const bool once = schedule_.form == Schedule::Form::elementwise ||
                      (schedule_.form == Schedule::Form::rows && passes_.size() == 1);
    if (!fetches_late() || schedule_.vector_dim < 0 || !(once || reads_and_writes_at_once())) return;
    std::vector<bool> known(kernel_.accesses.size(), false);
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      for (uint32_t i = kernel_.blocks[b].begin; i < kernel_.blocks[b].end; ++i) {
        const Instruction& instruction = kernel_.instructions[i];
        if (!is_load(instruction.op) || known[instruction.imm]) continue;
        known[instruction.imm] = true;
        const Access& access = kernel_.accesses[instruction.imm];
        const bool along = access.strides[schedule_.vector_dim] == StrideClass::unit;
        const bool moves =
            schedule_.outer_dims.empty() || access.strides[schedule_.outer_dims.back()] != StrideClass::zero;
        if (access.kind == Access::Kind::input && access.dynamic_indices == 0 && along && moves) {
          schedule_.asked_ahead[b].push_back(instruction.imm);
        }
      }
    }
  }

  /// Vectors a step that together fill a register in the narrowest type the block stores to a row.
  int least_unroll(const kir::Block& block) const {
    int least = 1;
    for (uint32_t i = block.begin; i < block.end; ++i) {
      const Instruction& instruction = kernel_.instructions[i];
      if (instruction.op != Opcode::store || !schedule_.is_vector[i]) continue;
      const Access& access = kernel_.accesses[instruction.imm];
      if (access.strides[schedule_.vector_dim] != StrideClass::unit || access.dynamic_indices > 0) continue;
      least = std::max(least, target_.vector_bytes() / (schedule_.lanes * access.dtype.size()));
    }
    return std::min(least, 4);
  }

  int unroll_of(const kir::Block& block) const { return std::max(chosen_unroll(block), least_unroll(block)); }

  int chosen_unroll(const kir::Block& block) const {
    const auto begin = kernel_.instructions.begin();
    const bool reduces =
        std::any_of(begin + block.begin, begin + block.end,
                    [](const Instruction& instruction) { return is_reduce(instruction.op); });
    const int work = vector_work(block);
    switch (schedule_.form) {
      case Schedule::Form::elementwise:
        break;
      case Schedule::Form::rows:  // a reduction's chains are what has to be hidden
        if (reduces && work <= 4) return 8;
        if (!reduces) return work <= long_step ? 2 : 1;
        break;
      case Schedule::Form::columns:  // no chains: results so far go through memory
        return block.per_element && work <= long_step ? 2 : 1;
    }
    return work <= 12 ? 4 : work <= long_step ? 2 : 1;
  }

  /// Whether an access finds each lane by an index of its own, not all of them by the same.
  bool picks_lanes(const Instruction& instruction) const {
    const auto& operands = instruction.operands;
    return std::any_of(operands.begin() + first_dynamic_operand(instruction.op), operands.end(),
                       [&](kir::ValueId id) { return schedule_.is_vector[id]; });
  }

  /// Vector instructions of a block, those in wider types counted by the registers they take.
  int vector_work(const kir::Block& block) const {
    int work = 0;
    for (uint32_t i = block.begin; i < block.end; ++i) {
      const Instruction& instruction = kernel_.instructions[i];
      if (!schedule_.is_vector[i] && !is_reduce(instruction.op)) continue;
      const int bytes = instruction.type.size() * schedule_.lanes;
      int cost = std::max(1, bytes / target_.vector_bytes());
      if (is_load(instruction.op) || is_store(instruction.op)) {
        const Access& access = kernel_.accesses[instruction.imm];
        const bool gathered =
            access.strides[schedule_.vector_dim] == StrideClass::any || picks_lanes(instruction);
        if (gathered) cost += long_step;  // lanes are moved one by one: that is long enough
      }
      work += cost;
    }
    return work;
  }

  const Kernel& kernel_;
  const Target& target_;
  Schedule schedule_;
  std::vector<int> level_of_dim_;
  std::vector<size_t> passes_;  // blocks of rows, in order
  std::optional<size_t> busy_;  // the one of these that is
};

}  // namespace

Schedule make_schedule(const Kernel& kernel, const Target& target) {
  return Scheduler(kernel, target).run();
}

}  // namespace lazuli
