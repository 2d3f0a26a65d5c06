#include <lazuli/compiler/program/split_reduction.h>

#include <algorithm>
#include <bit>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Kernel;
using kir::Opcode;
using kir::Role;
using kir::StrideClass;
using kir::ValueId;

namespace {

/// Fewer elements than this are no work for a second thread.
constexpr int64_t least_elements = 1 << 16;
/// Parts for each thread: enough that threads of different speed end together. Sums of parts are also nearer
/// to the exact value than one long sum.
constexpr int64_t parts_a_thread = 8;
constexpr int64_t least_part = 1024;
/// Results of so many columns lie in the first-level cache; and so many rows are read for each time that they
/// are stored.
constexpr int64_t most_columns = 4096;
constexpr int64_t rows_a_part = 64 * parts_a_thread;
/// Rows of fewer columns than that are taken several at a time, as one row of about so many columns.
constexpr int64_t few_columns = 128;
constexpr int64_t folded_columns = 512;

class Splitter {
 public:
  Splitter(const Kernel& kernel, std::span<const int64_t> extents,
           std::span<const std::vector<int64_t>> strides)
      : kernel_(kernel), extents_(extents), strides_(strides) {}

  std::optional<SplitReduction> run(int threads) {
    if (!is_one_pass() || !pays(threads)) return std::nullopt;
    fold_ = rows_at_once(threads);
    SplitReduction split;
    split.split_dim = split_dim_;
    split.results = results_;
    for (const ValueId id : reduces_) split.partial_dtypes.push_back(kernel_.instructions[id].type);
    for (const ValueId id : positions_) split.partial_dtypes.push_back(best_type(id));
    const int64_t extent = extents_[static_cast<size_t>(split_dim_)] / fold_;
    const int64_t elements_a_row = reduced_ / extents_[static_cast<size_t>(split_dim_)];
    const int64_t most = std::max<int64_t>(2, extent * elements_a_row * results_ / least_part);
    int64_t whole = std::min({extent, threads * parts_a_thread, most});
    int64_t size = extent / whole;
    if (!positions_.empty()) {
      // A constant of the second kernel: few different ones, so that other extents find it compiled.
      size = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(size)));
      whole = extent / size;
      log2_size_ = std::countr_zero(static_cast<uint64_t>(size));
    }
    split.first = make_first(whole, size, fold_);
    split.parts = whole * fold_;
    split.rest_offset = whole * size * fold_;
    if (const int64_t left = extents_[static_cast<size_t>(split_dim_)] - split.rest_offset; left > 0) {
      split.rest = make_first(1, left, 1);
      ++split.parts;
    }
    split.second = make_second(split.parts);
    return split;
  }

 private:
  bool reduces(size_t dim) const { return kernel_.dims[dim] == Role::reduce; }

  /// Whether one block goes over the elements and leaves nothing but its reductions.
  bool is_one_pass() {
    bool found = false;
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      if (!kernel_.blocks[b].per_element || kernel_.blocks[b].begin == kernel_.blocks[b].end) continue;
      if (found) return false;
      found = true;
      pass_ = b;
    }
    if (!found || !kernel_.has_reduce()) return false;
    for (const Access& access : kernel_.accesses) {
      if (access.kind == Access::Kind::scratch) return false;
    }
    const Block& pass = kernel_.blocks[pass_];
    for (ValueId id = 0; id < kernel_.instructions.size(); ++id) {
      const Instruction& instruction = kernel_.instructions[id];
      const bool in_pass = id >= pass.begin && id < pass.end;
      if (in_pass && is_store(instruction.op)) return false;
      if (is_load(instruction.op) && kernel_.accesses[instruction.imm].kind != Access::Kind::input)
        return false;
      if (instruction.op == Opcode::index && reduces(instruction.imm)) return false;
      if (is_reduce(instruction.op)) {
        if (!in_pass) return false;
        reduces_.push_back(id);
        if (finds_position(instruction.op)) positions_.push_back(id);
      }
      // A value of the pass that another block sees would have to be kept.
      for (const ValueId operand : instruction.operands) {
        const bool made_in_pass = operand >= pass.begin && operand < pass.end;
        if (made_in_pass && !in_pass && !is_reduce(kernel_.instructions[operand].op)) return false;
      }
    }
    return !reduces_.empty();
  }

  bool pays(int threads) {
    int64_t rows = 1;
    int64_t columns = 1;
    for (size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (reduces(d)) {
        if (split_dim_ < 0 && extents_[d] > 1) split_dim_ = static_cast<int>(d);
        reduced_ *= extents_[d];
      } else {
        const bool innermost = d + 1 == kernel_.dims.size();
        (innermost ? columns : rows) *= extents_[d];
        results_ *= extents_[d];
      }
    }
    if (threads <= 1 || split_dim_ < 0 || results_ == 0 || reduced_ * results_ < least_elements) return false;
    const int64_t extent = extents_[static_cast<size_t>(split_dim_)];
    // Threads that share the columns out skip from row to row; with whole rows they read on and on.
    const bool whole_rows = columns > 1 && columns <= most_columns && extent >= rows_a_part * threads;
    // Columns are handed out by cache lines.
    return rows * ((columns + 63) / 64) < 4 * threads ? extent >= 2 * threads
                                                      : whole_rows && rows < 4 * threads;
  }

  /// Of rows of few columns that lie one after the other, how many are one row of more columns, so that
  /// vectors are full and memory is read as a stream; each of them then has partial results of its own.
  int64_t rows_at_once(int threads) const {
    const size_t rank = kernel_.dims.size();
    if (rank != 2 || split_dim_ != 0 || reduces(1) || !positions_.empty()) return 1;
    const int64_t columns = extents_[1];
    if (columns < 2 || columns >= few_columns) return 1;
    const auto fold = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(folded_columns / columns)));
    if (extents_[0] < fold * threads * parts_a_thread) return 1;
    const Block& pass = kernel_.blocks[pass_];
    for (ValueId id = 0; id < pass.end; ++id) {
      const Instruction& instruction = kernel_.instructions[id];
      if (instruction.op == Opcode::index) return 1;
      if (!is_load(instruction.op)) continue;
      const std::vector<int64_t>& strides = strides_[instruction.imm];
      const bool plain = kernel_.accesses[instruction.imm].dynamic_indices == 0;
      const bool dense = plain && strides[1] == 1 && strides[0] == columns;
      if (!dense && !std::all_of(strides.begin(), strides.end(), [](int64_t n) { return n == 0; })) return 1;
    }
    return fold;
  }

  static bool finds_position(Opcode op) { return op == Opcode::reduce_argmin || op == Opcode::reduce_argmax; }
  Dtype best_type(ValueId position) const {
    return kernel_.instructions[kernel_.instructions[position].operands[0]].type;
  }
  static Instruction make(Opcode op, Dtype type, uint64_t imm, std::vector<ValueId> operands) {
    Instruction instruction;
    instruction.op = op;
    instruction.type = type;
    instruction.imm = imm;
    instruction.operands = std::move(operands);
    return instruction;
  }

  /// Strides of a dense tensor over the parallel dimensions; 0 along the others.
  std::vector<int64_t> dense() const {
    std::vector<int64_t> strides(kernel_.dims.size(), 0);
    int64_t stride = 1;
    for (size_t d = kernel_.dims.size(); d-- > 0;) {
      if (reduces(d)) continue;
      strides[d] = stride;
      stride *= extents_[d];
    }
    return strides;
  }

  static Access partial_access(Access::Kind kind, Dtype dtype, size_t rank) {
    Access access;
    access.kind = kind;
    access.dtype = dtype;
    access.strides.assign(rank, StrideClass::any);
    return access;
  }

  /// `parts` parts of `size` along the split dimension, as a new outermost dimension. `fold` elements of that
  /// dimension are one, and the innermost dimension so many times as long.
  SplitReduction::Half make_first(int64_t parts, int64_t size, int64_t fold) const {
    SplitReduction::Half half;
    const size_t rank = kernel_.dims.size() + 1;
    half.kernel.dims = kernel_.dims;
    half.kernel.dims.insert(half.kernel.dims.begin(), Role::parallel);
    half.extents.assign(extents_.begin(), extents_.end());
    half.extents[static_cast<size_t>(split_dim_)] = size;
    half.extents.back() *= fold;
    half.extents.insert(half.extents.begin(), parts);
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
      Access access = kernel_.accesses[a];
      if (access.kind == Access::Kind::output) continue;
      access.strides.insert(access.strides.begin(), StrideClass::any);
      std::vector<int64_t> strides = strides_[a];
      strides[static_cast<size_t>(split_dim_)] *= fold;
      strides.insert(strides.begin(), strides[static_cast<size_t>(split_dim_)] * size);
      half.operands.push_back(static_cast<int>(a));
      half.kernel.accesses.push_back(std::move(access));
      half.strides.push_back(std::move(strides));
    }
    const std::vector<size_t> access_of = positions(half.operands);
    const Block& pass = kernel_.blocks[pass_];
    half.kernel.instructions.assign(kernel_.instructions.begin(), kernel_.instructions.begin() + pass.end);
    half.kernel.blocks.assign(kernel_.blocks.begin(),
                              kernel_.blocks.begin() + static_cast<std::ptrdiff_t>(pass_) + 1);
    for (Instruction& instruction : half.kernel.instructions) {
      if (instruction.op == Opcode::index) ++instruction.imm;
      if (is_load(instruction.op)) instruction.imm = access_of[instruction.imm];
    }
    std::vector<ValueId> partials = reduces_;
    // With a part's position goes what was found there, so that the parts can be compared.
    for (const ValueId id : positions_) {
      const Opcode extremum =
          kernel_.instructions[id].op == Opcode::reduce_argmax ? Opcode::reduce_max : Opcode::reduce_min;
      partials.push_back(static_cast<ValueId>(half.kernel.instructions.size()));
      half.kernel.instructions.push_back(
          make(extremum, best_type(id), 0, half.kernel.instructions[id].operands));
    }
    const auto end_of_pass = static_cast<uint32_t>(half.kernel.instructions.size());
    half.kernel.blocks.back().end = end_of_pass;
    Block stores{false, end_of_pass, end_of_pass};
    for (size_t k = 0; k < partials.size(); ++k) {
      const Dtype dtype = half.kernel.instructions[partials[k]].type;
      half.operands.push_back(-1 - static_cast<int>(k));
      std::vector<int64_t> strides = dense();
      strides.insert(strides.begin(), results_ * fold);
      half.strides.push_back(std::move(strides));
      half.kernel.instructions.push_back(
          make(Opcode::store, dtype, half.kernel.accesses.size(), {partials[k]}));
      half.kernel.accesses.push_back(partial_access(Access::Kind::output, dtype, rank));
      ++stores.end;
    }
    half.kernel.blocks.push_back(stores);
    zero_reduce_strides(half.kernel);
    return half;
  }

  SplitReduction::Half make_second(int64_t parts) const {
    SplitReduction::Half half;
    const size_t rank = kernel_.dims.size();
    half.kernel.dims = kernel_.dims;
    for (size_t d = 0; d < rank; ++d) half.extents.push_back(reduces(d) ? 1 : extents_[d]);
    half.extents[static_cast<size_t>(split_dim_)] = parts;
    const std::vector<bool> used = used_outside_pass();
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
      if (!used[a]) continue;
      half.operands.push_back(static_cast<int>(a));
      half.kernel.accesses.push_back(kernel_.accesses[a]);
      half.strides.push_back(strides_[a]);
    }
    const std::vector<size_t> access_of = positions(half.operands);
    std::vector<ValueId> renamed(kernel_.instructions.size(), kir::no_value);
    std::vector<Instruction>& instructions = half.kernel.instructions;
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      Block block{b == pass_, static_cast<uint32_t>(instructions.size()), 0};
      if (b == pass_) {
        add_second_pass(half, block, renamed);
      } else {
        for (ValueId id = kernel_.blocks[b].begin; id < kernel_.blocks[b].end; ++id) {
          Instruction instruction = kernel_.instructions[id];
          for (ValueId& operand : instruction.operands) operand = renamed[operand];
          if (is_load(instruction.op) || is_store(instruction.op))
            instruction.imm = access_of[instruction.imm];
          renamed[id] = static_cast<ValueId>(instructions.size());
          instructions.push_back(std::move(instruction));
        }
      }
      block.end = static_cast<uint32_t>(instructions.size());
      half.kernel.blocks.push_back(block);
    }
    zero_reduce_strides(half.kernel);
    return half;
  }

  /// Reduces the parts' results. Of positions: finds the part with the best value, then what its position is
  /// in the whole. `block` becomes the last of the blocks, which the caller adds.
  void add_second_pass(SplitReduction::Half& half, Block& block, std::vector<ValueId>& renamed) const {
    std::vector<Instruction>& instructions = half.kernel.instructions;
    const size_t rank = kernel_.dims.size();
    const auto add = [&](Instruction instruction) {
      instructions.push_back(std::move(instruction));
      return static_cast<ValueId>(instructions.size() - 1);
    };
    const auto access = [&](size_t partial, Dtype type, bool by_part) {
      half.operands.push_back(-1 - static_cast<int>(partial));
      half.kernel.accesses.push_back(partial_access(Access::Kind::input, type, rank));
      std::vector<int64_t> strides = dense();
      if (by_part) {
        half.kernel.accesses.back().dynamic_indices = 1;
        strides.push_back(results_);
        for (size_t d = 0; d < rank; ++d) {
          if (reduces(d)) half.kernel.accesses.back().strides[d] = StrideClass::zero;
        }
      } else {
        strides[static_cast<size_t>(split_dim_)] = results_;
      }
      half.strides.push_back(std::move(strides));
      return half.kernel.accesses.size() - 1;
    };
    std::vector<ValueId> loads;
    size_t found = 0;
    for (size_t k = 0; k < reduces_.size(); ++k) {
      const Instruction& reduce = kernel_.instructions[reduces_[k]];
      const bool position = finds_position(reduce.op);
      const Dtype type = position ? best_type(reduces_[k]) : reduce.type;
      loads.push_back(
          add(make(Opcode::load, type, access(position ? reduces_.size() + found++ : k, type, false), {})));
    }
    for (size_t k = 0; k < reduces_.size(); ++k) {
      Instruction reduce = kernel_.instructions[reduces_[k]];
      reduce.operands = {loads[k]};
      renamed[reduces_[k]] = add(std::move(reduce));
    }
    if (positions_.empty()) return;
    block.end = static_cast<uint32_t>(instructions.size());
    half.kernel.blocks.push_back(block);
    block = {false, block.end, 0};
    const ValueId shift = add(make(Opcode::constant, int64, static_cast<uint64_t>(log2_size_), {}));
    for (size_t k = 0; k < reduces_.size(); ++k) {
      if (!finds_position(kernel_.instructions[reduces_[k]].op)) continue;
      const ValueId part = renamed[reduces_[k]];
      const ValueId within = add(make(Opcode::load, int64, access(k, int64, true), {part}));
      const ValueId before = add(make(Opcode::shift_left, int64, 0, {part, shift}));
      renamed[reduces_[k]] = add(make(Opcode::add, int64, 0, {before, within}));
    }
  }

  std::vector<bool> used_outside_pass() const {
    std::vector<bool> used(kernel_.accesses.size(), false);
    const Block& pass = kernel_.blocks[pass_];
    for (ValueId id = 0; id < kernel_.instructions.size(); ++id) {
      if (id >= pass.begin && id < pass.end) continue;
      const Instruction& instruction = kernel_.instructions[id];
      if (is_load(instruction.op) || is_store(instruction.op)) used[instruction.imm] = true;
    }
    return used;
  }

  std::vector<size_t> positions(const std::vector<int>& operands) const {
    std::vector<size_t> position(kernel_.accesses.size(), 0);
    for (size_t i = 0; i < operands.size(); ++i) {
      if (operands[i] >= 0) position[static_cast<size_t>(operands[i])] = i;
    }
    return position;
  }

  /// What is stored once a row does not move along reduce dimensions.
  static void zero_reduce_strides(Kernel& kernel) {
    for (Access& access : kernel.accesses) {
      if (access.kind != Access::Kind::output) continue;
      for (size_t d = 0; d < kernel.dims.size(); ++d) {
        if (kernel.dims[d] == Role::reduce) access.strides[d] = StrideClass::zero;
      }
    }
  }

  const Kernel& kernel_;
  std::span<const int64_t> extents_;
  std::span<const std::vector<int64_t>> strides_;
  size_t pass_ = 0;
  std::vector<ValueId> reduces_;
  std::vector<ValueId> positions_;  ///< of the reductions, those that find a position
  int log2_size_ = 0;               ///< of the elements in a part, where positions are found
  int split_dim_ = -1;
  int64_t fold_ = 1;  ///< rows that are taken as one
  int64_t reduced_ = 1;
  int64_t results_ = 1;
};

}  // namespace

std::optional<SplitReduction> split_reduction(const Kernel& kernel, std::span<const int64_t> extents,
                                              std::span<const std::vector<int64_t>> strides, int threads) {
  return Splitter(kernel, extents, strides).run(threads);
}

}  // namespace lazuli
