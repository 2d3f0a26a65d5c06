#include <lazuli/compiler/interpreter/plan.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include <lazuli/compiler/interpreter/registers.h>

namespace lazuli::interpreter {
namespace {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Kernel;
using kir::Opcode;
using kir::Role;
using kir::StrideClass;
using kir::ValueId;

/// How often a value is computed.
enum class Level : uint8_t {
  uniform,  ///< once a run
  point,    ///< once for each parallel point
  element,  ///< at each point of the iteration space
};

size_t index_of(Dtype type) {
  return static_cast<size_t>(type.val());
}

/// Registers hold at most these many bytes in all, if blocks do not become too short by that.
constexpr int64_t cache_budget = 32 * 1024;
constexpr int64_t largest_block = 1024;
constexpr int64_t smallest_block = 256;

size_t align_up(size_t size) {
  return (size + 63) / 64 * 64;
}

/// Makes a plan in two passes: steps with virtual registers in program order, then places for those.
class Planner {
 public:
  Planner(const Kernel& kernel, const StepTable& table)
      : kernel_(kernel),
        table_(table),
        levels_(kernel.instructions.size(), Level::element),
        registers_of_(kernel.instructions.size()) {}

  Plan run() {
    if (kernel_.rank() > max_rank) throw std::invalid_argument("[InterpretedKernel] Too many dimensions.");
    describe_kernel();
    find_fused_comparisons();
    if (plan_.shape == Shape::elementwise) {
      plan_block({true, 0, static_cast<uint32_t>(kernel_.instructions.size())});
    } else {
      for (const Block& block : kernel_.blocks) plan_block(block);
    }
    place_registers();
    return std::move(plan_);
  }

 private:
  /// Steps of one kind of points, under construction.
  struct Phase {
    Level level;
    std::vector<Step>* steps;
    std::vector<Stream>* streams;
  };

  void describe_kernel() {
    if (kernel_.has_reduce()) plan_.shape = kernel_.reduces_innermost() ? Shape::rows : Shape::columns;
    plan_.dims = kernel_.dims;
    plan_.accesses = kernel_.accesses;
    size_t at = 0;
    for (const Access& access : kernel_.accesses) {
      if (access.dynamic_indices > 8)
        throw std::invalid_argument("[InterpretedKernel] Too many dynamic indices.");
      plan_.stride_offsets.push_back(at);
      at += kernel_.dims.size() + access.dynamic_indices;
      const bool moved_scratch = access.kind == Access::Kind::scratch && access.dynamic_indices > 0;
      if (moved_scratch || access.kind == Access::Kind::sums) plan_.one_row_a_group = true;
    }
  }

  const Instruction& instruction(ValueId id) const { return kernel_.instructions[id]; }
  Dtype operand_type(const Instruction& i, size_t k) const { return instruction(i.operands[k]).type; }

  static std::optional<size_t> comparison_row(Opcode op) {
    if (op < Opcode::eq || op > Opcode::le) return {};
    return static_cast<size_t>(op) - static_cast<size_t>(Opcode::eq);
  }

  /// The step that compares and selects at once, if there is one.
  StepFunction fused_step(const Instruction& select) const {
    const Instruction& comparison = instruction(select.operands[0]);
    const auto row = comparison_row(comparison.op);
    if (!row) return nullptr;
    return table_.compare_select[*row][index_of(operand_type(comparison, 0))][index_of(select.type)];
  }

  /// A comparison is left out if all its uses are selects that compare for themselves. Its operands have to
  /// be visible where those stand, so they have to be in the same block.
  void find_fused_comparisons() {
    needed_.assign(kernel_.instructions.size(), false);
    fused_.assign(kernel_.instructions.size(), false);
    for (const Block& block : kernel_.blocks) {
      for (ValueId id = block.begin; id < block.end; ++id) {
        const Instruction& i = instruction(id);
        fused_[id] = i.op == Opcode::select && i.operands[0] >= block.begin && fused_step(i) != nullptr;
        for (size_t k = fused_[id] ? 1 : 0; k < i.operands.size(); ++k) needed_[i.operands[k]] = true;
      }
    }
  }

  Level access_level(const Instruction& i, Level block_level) const {
    const Access& access = kernel_.accesses[i.imm];
    if (access.kind != Access::Kind::input) return block_level;
    Level level = Level::uniform;
    for (size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (access.strides[d] != StrideClass::zero) level = std::max(level, dim_level(d));
    }
    return level;
  }

  Level dim_level(size_t d) const {
    if (plan_.shape == Shape::elementwise || kernel_.dims[d] == Role::reduce) return Level::element;
    return Level::point;
  }

  Level level_of(const Instruction& i, Level block_level) const {
    if (kir::is_store(i.op) || kir::is_reduce(i.op)) return block_level;
    Level level = Level::uniform;
    if (i.op == Opcode::index) level = dim_level(i.imm);
    if (kir::is_load(i.op)) level = access_level(i, block_level);
    for (ValueId operand : i.operands) level = std::max(level, levels_[operand]);
    return level;
  }

  void plan_block(const Block& block) {
    plan_.blocks.emplace_back();
    PlanBlock& planned = plan_.blocks.back();
    planned.per_element = block.per_element;
    const Level block_level = planned.per_element ? Level::element : Level::point;
    // Point steps run before the elements', so their time comes first.
    std::vector<ValueId> order;
    for (Level level : {Level::uniform, Level::point, Level::element}) {
      for (ValueId id = block.begin; id < block.end; ++id) {
        if (level == Level::uniform) levels_[id] = level_of(instruction(id), block_level);
        if (levels_[id] == level) order.push_back(id);
      }
    }
    expanded_.clear();
    copies_.clear();
    bool among_elements = false;
    for (ValueId id : order) {
      if (levels_[id] == Level::element && !std::exchange(among_elements, true)) element_start_ = now_++;
      if (!needed_[id] && comparison_row(instruction(id).op)) continue;
      plan_instruction(id, planned);
    }
    ++now_;
    // What elements see of the group stays until the last chunk.
    for (const auto& [value, reg] : expanded_) registers_.use(reg, now_);
    for (ValueId id = block.begin; id < block.end; ++id) {
      if (kir::is_reduce(instruction(id).op)) finish_reduction(id, planned);
    }
    ++now_;
  }

  void plan_instruction(ValueId id, PlanBlock& planned) {
    const Instruction& i = instruction(id);
    const Level level = levels_[id];
    if (i.op == Opcode::constant) return make_constant(id);
    Phase phase{level, &planned.element_steps, &plan_.element_streams};
    if (level == Level::point) phase = {level, &planned.point_steps, &plan_.point_streams};
    if (level == Level::uniform) phase = {level, &plan_.uniform_steps, &plan_.uniform_streams};
    if (i.op == Opcode::bitcast) {
      registers_of_[id] = registers_of_[i.operands[0]];
      return;
    }
    Step step;
    step.may_be_empty = planned.per_element && plan_.shape != Shape::elementwise;
    if (i.op == Opcode::index) {
      step.kind = Step::Kind::index;
      step.stream = stream(phase, {-1, static_cast<int>(i.imm), 0});
    } else if (kir::is_load(i.op)) {
      plan_load(i, step, phase);
    } else if (kir::is_store(i.op)) {
      return plan_store(i, step, phase);
    } else if (kir::is_reduce(i.op)) {
      step.kind = Step::Kind::reduce;
      step.operands[0].offset = in_block(i.operands[0], phase);
      pending_reductions_[id] = static_cast<uint32_t>(planned.element_steps.size());
      return append(step, phase);
    } else {
      plan_compute(id, step, phase);
    }
    step.result = make_register(i.type, level);
    registers_of_[id] = {level == Level::uniform ? Source::uniform : Source::block, step.result};
    append(step, phase);
  }

  void append(const Step& step, const Phase& phase) {
    phase.steps->push_back(step);
    ++now_;
  }

  uint32_t make_register(Dtype type, Level level) {
    if (level != Level::uniform) return registers_.make(type.size(), now_);
    const auto offset = static_cast<uint32_t>(uniform_size_);
    uniform_size_ += align_up(static_cast<size_t>(unit) * type.size());
    return offset;
  }

  void make_constant(ValueId id) {
    const Instruction& i = instruction(id);
    const size_t size = i.type.size();
    const auto [entry, fresh] = constants_.try_emplace({i.imm, size}, plan_.constants.size() * sizeof(Cell));
    if (fresh) {
      const size_t first = plan_.constants.size();
      plan_.constants.resize(first + align_up(unit * size) / sizeof(Cell));
      std::byte* at = plan_.constants[first].bytes.data();
      for (int k = 0; k < unit; ++k) std::memcpy(at + static_cast<size_t>(k) * size, &i.imm, size);
    }
    registers_of_[id] = {Source::constant, static_cast<uint32_t>(entry->second)};
  }

  static uint32_t stream(const Phase& phase, Stream wanted) {
    std::vector<Stream>& streams = *phase.streams;
    for (uint32_t s = 0; s < streams.size(); ++s) {
      const Stream& have = streams[s];
      if (have.access == wanted.access && have.dim == wanted.dim && have.part == wanted.part) return s;
    }
    streams.push_back(wanted);
    return static_cast<uint32_t>(streams.size() - 1);
  }

  /// An operand of a computing step.
  void set_operand(Step& step, ValueId value, const Phase& phase) {
    const uint32_t k = step.operand_count++;
    const Operand at = registers_of_[value];
    step.operands[k] = at;
    if (at.source != Source::block) return;
    if (phase.level == Level::element && levels_[value] == Level::point) {
      step.operands[k] = {Source::expanded, expanded(value)};
      step.expanded |= 1u << k;
    } else {
      step.moving |= 1u << k;
      registers_.use(at.offset, now_);
    }
  }

  /// The register in which a point's value is brought to the elements of this block.
  uint32_t expanded(ValueId value) {
    const uint32_t from = registers_of_[value].offset;
    const auto [entry, fresh] = expanded_.try_emplace(from, 0);
    if (fresh) {
      // Filled before the block's first element step, so its place is taken from then on.
      const int size = instruction(value).type.size();
      entry->second = registers_.make(size, element_start_);
      plan_.blocks.back().expansions.push_back({from, entry->second, size});
    }
    registers_.use(from, now_);
    return entry->second;
  }

  /// A register of the phase that holds the value for each of its points: memory steps take no other.
  uint32_t in_block(ValueId value, const Phase& phase) {
    const Operand at = registers_of_[value];
    const bool same_level = levels_[value] == phase.level || phase.level == Level::uniform;
    if (same_level && at.source != Source::constant) {
      if (phase.level != Level::uniform) registers_.use(at.offset, now_);
      return at.offset;
    }
    const auto key = std::make_tuple(at.source, at.offset, phase.level);
    if (const auto found = copies_.find(key); found != copies_.end()) {
      if (phase.level != Level::uniform) registers_.use(found->second, now_);
      return found->second;
    }
    Step copy;
    const Dtype type = instruction(value).type;
    copy.compute = table_.copy[type.size()];
    set_operand(copy, value, phase);
    copy.result = make_register(type, phase.level);
    copies_[key] = copy.result;
    append(copy, phase);
    if (phase.level != Level::uniform) registers_.use(copy.result, now_);
    return copy.result;
  }

  void set_dynamic_indices(const Instruction& i, size_t first, Step& step, const Phase& phase) {
    std::vector<uint32_t> found;
    for (size_t k = first; k < i.operands.size(); ++k) found.push_back(in_block(i.operands[k], phase));
    step.index_count = static_cast<uint32_t>(found.size());
    step.first_index = static_cast<uint32_t>(plan_.indices.size());
    plan_.indices.insert(plan_.indices.end(), found.begin(), found.end());
    // A later copy moved time on; all of them are read by the step that comes now.
    if (phase.level == Level::uniform) return;
    for (uint32_t reg : found) registers_.use(reg, now_);
  }

  /// The dtype that an access's loads and stores move: complex numbers go by parts.
  Dtype moved_dtype(const Instruction& i) const {
    const Dtype dtype = kernel_.accesses[i.imm].dtype;
    return dtype == complex64 ? Dtype(float32) : dtype;
  }

  void plan_load(const Instruction& i, Step& step, const Phase& phase) {
    const size_t dtype = index_of(moved_dtype(i));
    step.kind = i.operands.empty() ? Step::Kind::load : Step::Kind::gather;
    step.load = table_.load[dtype];
    step.gather = table_.gather[dtype];
    step.stream = stream(phase, {static_cast<int>(i.imm), -1, i.op == Opcode::load_imag ? 1 : 0});
    set_dynamic_indices(i, 0, step, phase);
  }

  void plan_store(const Instruction& i, Step step, const Phase& phase) {
    const size_t dtype = index_of(moved_dtype(i));
    const size_t parts = i.op == Opcode::store_complex ? 2 : 1;
    step.kind = i.operands.size() == parts ? Step::Kind::store : Step::Kind::scatter;
    step.store = table_.store[dtype];
    step.scatter = table_.scatter[dtype];
    for (size_t part = 0; part < parts; ++part) {
      step.stream = stream(phase, {static_cast<int>(i.imm), -1, static_cast<int>(part)});
      const uint32_t value = in_block(i.operands[part], phase);
      set_dynamic_indices(i, parts, step, phase);
      registers_.use(value, now_);
      step.operands[0].offset = value;
      append(step, phase);
    }
  }

  void plan_compute(ValueId id, Step& step, const Phase& phase) {
    const Instruction& i = instruction(id);
    if (fused_[id]) {
      step.compute = fused_step(i);
      for (ValueId operand : instruction(i.operands[0]).operands) set_operand(step, operand, phase);
      set_operand(step, i.operands[1], phase);
      set_operand(step, i.operands[2], phase);
      return;
    }
    const Dtype type = operand_type(i, i.op == Opcode::select ? 1 : 0);
    switch (i.op) {
      case Opcode::cast:
        step.compute = table_.cast[index_of(type)][index_of(i.type)];
        break;
      case Opcode::round_to:
        step.compute = table_.round_to[i.imm];
        break;
      case Opcode::table:
        step.compute = table_.look_up[i.imm];
        break;
      default:
        step.compute = table_.arithmetic[static_cast<size_t>(i.op)][index_of(type)];
        break;
    }
    if (step.compute == nullptr) throw std::logic_error("[InterpretedKernel] No step for an instruction.");
    for (ValueId operand : i.operands) set_operand(step, operand, phase);
  }

  void finish_reduction(ValueId id, PlanBlock& planned) {
    const Instruction& i = instruction(id);
    const auto row = static_cast<size_t>(i.op) - static_cast<size_t>(Opcode::reduce_sum);
    const uint32_t result = registers_.make(i.type.size(), now_);
    registers_of_[id] = {Source::block, result};
    levels_[id] = Level::point;
    planned.element_steps[pending_reductions_.at(id)].stream =
        static_cast<uint32_t>(planned.reductions.size());
    planned.reductions.push_back({table_.reduce[row][index_of(operand_type(i, 0))], 0, result});
  }

  /// Turns virtual registers into offsets in the arena: uniforms, registers, accumulators, private scratch.
  void place_registers() {
    registers_.assign();
    const int64_t size = std::max(registers_.element_size(), 1);
    plan_.block_size = largest_block;
    while (plan_.block_size > smallest_block && plan_.block_size * size > cache_budget) plan_.block_size /= 2;
    const size_t begin = uniform_size_;
    const auto place = [&](uint32_t& reg) {
      reg = static_cast<uint32_t>(registers_.offset(reg, begin, plan_.block_size));
    };
    size_t end = begin + static_cast<size_t>(registers_.element_size() * plan_.block_size);

    for (PlanBlock& block : plan_.blocks) {
      for (std::vector<Step>* steps : {&block.point_steps, &block.element_steps}) {
        for (Step& step : *steps) place_step(step, place);
      }
      for (Expansion& expansion : block.expansions) {
        place(expansion.from);
        place(expansion.to);
      }
      for (Reduction& reduction : block.reductions) {
        place(reduction.result);
        reduction.accumulators = static_cast<uint32_t>(end);
        end += align_up(static_cast<size_t>(reduction.functions.accumulator_size * plan_.block_size));
      }
    }
    for (const Access& access : kernel_.accesses) {
      plan_.scratch_rows.push_back(static_cast<uint32_t>(end));
      if (access.kind == Access::Kind::scratch)
        end += static_cast<size_t>(access.dtype.size() * plan_.block_size);
    }
    plan_.arena_size = end;
  }

  template <typename Place>
  void place_step(Step& step, const Place& place) {
    const bool computes = step.kind == Step::Kind::compute;
    const bool has_result = computes || step.kind == Step::Kind::load || step.kind == Step::Kind::gather ||
                            step.kind == Step::Kind::index;
    if (has_result) place(step.result);
    for (size_t k = 0; k < (computes ? step.operand_count : 1u); ++k) {
      const Source source = step.operands[k].source;
      const bool read = computes || !has_result;
      if (read && (source == Source::block || source == Source::expanded)) place(step.operands[k].offset);
    }
    for (uint32_t k = 0; k < step.index_count; ++k) place(plan_.indices[step.first_index + k]);
  }

  const Kernel& kernel_;
  const StepTable& table_;
  Plan plan_;
  std::vector<Level> levels_;
  std::vector<Operand> registers_of_;  ///< where values lie; offsets of block registers are their numbers
  std::vector<bool> needed_;           ///< values that a step reads
  std::vector<bool> fused_;            ///< selects that compare for themselves
  Registers registers_;
  uint32_t now_ = 0;
  uint32_t element_start_ = 0;  ///< when the current block's element steps begin
  size_t uniform_size_ = 0;
  std::map<std::pair<uint64_t, size_t>, size_t> constants_;
  std::map<ValueId, uint32_t> pending_reductions_;
  std::map<uint32_t, uint32_t> expanded_;
  std::map<std::tuple<Source, uint32_t, Level>, uint32_t> copies_;
};

}  // namespace

Plan make_plan(const kir::Kernel& kernel, const StepTable& table) {
  return Planner(kernel, table).run();
}

}  // namespace lazuli::interpreter
