#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/program/split_reduction.h>

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

/// Fewer elements than this lie in the caches, where going over them twice costs little.
constexpr int64_t least_elements = 1 << 18;
/// Elements that a part sums up. Squares of distances from one of them add up to at most so many times the
/// squares of distances from their mean, and that only where this one lies far from all others: so distances
/// are taken from the average of a few. What is lost when the one sum is taken from the other is then little
/// more than what adding loses anyway.
constexpr int64_t part_size = 128;
/// Where there are more than two of these: what is done once for a part is less beside it.
constexpr int64_t long_part_size = 256;
constexpr int64_t most_in_part = 1024;
constexpr size_t samples = 4;

uint64_t bits_of(double number, Dtype type) {
  return type == float64 ? std::bit_cast<uint64_t>(number)
                         : std::bit_cast<uint32_t>(static_cast<float>(number));
}

/// A kernel that sums up, uses the sum, and sums up the squares of what lies between the same elements and
/// some value for all of them, such as their mean.
class VarianceSplitter {
 public:
  VarianceSplitter(const Kernel& kernel, std::span<const int64_t> extents,
                   std::span<const std::vector<int64_t>> strides)
      : kernel_(kernel), extents_(extents), strides_(strides) {}

  std::optional<SplitReduction> run() {
    if (kernel_.reduces_innermost() || !find_passes() || !find_extents()) return std::nullopt;
    SplitReduction split;
    split.split_dim = split_dim_;
    split.results = results_;
    const Dtype type = kernel_.instructions[sum_].type;
    split.partial_dtypes = {type, type};
    const auto dim = static_cast<size_t>(split_dim_);
    const int64_t inner = reduced_ / extents_[dim];
    const int64_t wanted = reduced_ > 2 * long_part_size ? long_part_size : part_size;
    const int64_t size = std::max<int64_t>(wanted / inner, 1);
    split.parts = extents_[dim] / size;
    split.counts.assign(static_cast<size_t>(split.parts), size * inner);
    split.first = make_first(split.parts, size);
    split.rest_offset = split.parts * size;
    if (split.rest_offset < extents_[dim]) {
      const int64_t left = extents_[dim] - split.rest_offset;
      split.rest = make_first(1, left);
      split.counts.push_back(left * inner);
      ++split.parts;
    }
    split.second = make_second(split.parts);
    return split;
  }

 private:
  bool reduces(size_t dim) const { return kernel_.dims[dim] == Role::reduce; }
  const Instruction& at(ValueId id) const { return kernel_.instructions[id]; }
  static bool is_in(const Block& block, ValueId id) { return id >= block.begin && id < block.end; }

  bool find_passes() {
    std::vector<size_t> passes;
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      if (kernel_.blocks[b].per_element && kernel_.blocks[b].begin < kernel_.blocks[b].end)
        passes.push_back(b);
    }
    if (passes.size() != 2) return false;
    first_pass_ = passes[0];
    second_pass_ = passes[1];
    const Block& first = kernel_.blocks[first_pass_];
    const Block& second = kernel_.blocks[second_pass_];
    std::vector<ValueId> reductions;
    for (ValueId id = 0; id < kernel_.instructions.size(); ++id) {
      const Instruction& instruction = at(id);
      const bool in_pass = is_in(first, id) || is_in(second, id);
      if (is_store(instruction.op) && id < second.end && (in_pass || id < first.begin)) return false;
      if (in_pass && instruction.op == Opcode::index) return false;
      if (is_load(instruction.op)) {
        const Access& access = kernel_.accesses[instruction.imm];
        if (access.kind != Access::Kind::input || (in_pass && access.dynamic_indices > 0)) return false;
      }
      if (is_reduce(instruction.op)) reductions.push_back(id);
    }
    if (reductions.size() != 2 || !is_in(first, reductions[0]) || !is_in(second, reductions[1])) return false;
    sum_ = reductions[0];
    squares_ = reductions[1];
    for (const ValueId id : reductions) {
      if (at(id).op != Opcode::reduce_sum || !issubdtype(at(id).type, floating)) return false;
    }
    const Instruction& square = at(at(squares_).operands[0]);
    if (square.op != Opcode::mul || square.operands[0] != square.operands[1]) return false;
    const Instruction& distance = at(square.operands[0]);
    if (distance.op != Opcode::sub || !is_in(second, square.operands[0])) return false;
    centre_ = distance.operands[1];
    return centre_ < second.begin && is_in(second, distance.operands[0]) &&
           same(at(sum_).operands[0], distance.operands[0]);
  }

  /// Whether two values of the passes are made from the same in the same way.
  bool same(ValueId a, ValueId b) const {
    if (!is_in(kernel_.blocks[first_pass_], a) || !is_in(kernel_.blocks[second_pass_], b)) return a == b;
    const Instruction& x = at(a);
    const Instruction& y = at(b);
    return x.op == y.op && x.type == y.type && x.imm == y.imm && x.operands.size() == y.operands.size() &&
           std::equal(x.operands.begin(), x.operands.end(), y.operands.begin(),
                      [&](ValueId of_x, ValueId of_y) { return same(of_x, of_y); });
  }

  bool find_extents() {
    for (size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (reduces(d)) {
        if (split_dim_ < 0 && extents_[d] > 1) split_dim_ = static_cast<int>(d);
        reduced_ *= extents_[d];
      } else {
        results_ *= extents_[d];
      }
    }
    if (split_dim_ < 0 || reduced_ * results_ < least_elements) return false;
    return reduced_ >= 2 * part_size && reduced_ / extents_[static_cast<size_t>(split_dim_)] <= most_in_part;
  }

  // --- Kernels ---------------------------------------------------------------------------------------

  /// A half under construction.
  struct Draft {
    SplitReduction::Half half;
    ValueId add(Opcode op, Dtype type, std::vector<ValueId> operands, uint64_t imm = 0) {
      half.kernel.instructions.push_back({op, type, imm, std::move(operands)});
      return static_cast<ValueId>(half.kernel.instructions.size() - 1);
    }
    void begin(bool per_element) {
      const auto at = static_cast<uint32_t>(half.kernel.instructions.size());
      end();
      half.kernel.blocks.push_back({per_element, at, at});
    }
    void end() {
      if (half.kernel.blocks.empty()) return;
      half.kernel.blocks.back().end = static_cast<uint32_t>(half.kernel.instructions.size());
    }
    uint64_t access(Access access, std::vector<int64_t> strides, int operand, bool is_first = false,
                    int64_t moved = 0) {
      half.at_first.push_back(is_first);
      half.moved.push_back(moved);
      half.kernel.accesses.push_back(std::move(access));
      half.strides.push_back(std::move(strides));
      half.operands.push_back(operand);
      return half.kernel.accesses.size() - 1;
    }
  };

  static Access access_of(Access::Kind kind, Dtype dtype, const std::vector<int64_t>& strides) {
    Access access;
    access.kind = kind;
    access.dtype = dtype;
    for (const int64_t stride : strides) {
      access.strides.push_back(stride == 0 ? StrideClass::zero : StrideClass::any);
    }
    return access;
  }

  /// Strides of a part's results over the parallel dimensions.
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

  /// Makes what `id` needs again, its loads from other accesses.
  ValueId copy(Draft& draft, ValueId id, const std::vector<uint64_t>& accesses,
               std::map<ValueId, ValueId>& known, int more_dims) const {
    if (const auto found = known.find(id); found != known.end()) return found->second;
    Instruction instruction = at(id);
    for (ValueId& operand : instruction.operands) operand = copy(draft, operand, accesses, known, more_dims);
    if (is_load(instruction.op)) instruction.imm = accesses[instruction.imm];
    if (instruction.op == Opcode::index) instruction.imm += static_cast<uint64_t>(more_dims);
    return known[id] = draft.add(instruction.op, instruction.type, instruction.operands, instruction.imm);
  }

  /// Of each part the sum of distances from the first element of all, and that of squares of distances from
  /// the part's own mean; both from distances from the average of a few of its elements, so that it is gone
  /// over once. (Sums of the elements themselves would lose what parts differ by, where that is little beside
  /// them.)
  SplitReduction::Half make_first(int64_t parts, int64_t size) const {
    Draft draft;
    Kernel& kernel = draft.half.kernel;
    kernel.dims = kernel_.dims;
    kernel.dims.insert(kernel.dims.begin(), Role::parallel);
    draft.half.extents.assign(extents_.begin(), extents_.end());
    draft.half.extents[static_cast<size_t>(split_dim_)] = size;
    draft.half.extents.insert(draft.half.extents.begin(), parts);
    // For each access, those to all elements, to some of a part, and to the first of all.
    std::vector<uint64_t> all, first;
    std::array<std::vector<uint64_t>, samples> own;
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
      Access access = kernel_.accesses[a];
      all.push_back(0);
      first.push_back(0);
      for (std::vector<uint64_t>& accesses : own) accesses.push_back(0);
      if (access.kind != Access::Kind::input) continue;
      std::vector<int64_t> strides = strides_[a];
      strides.insert(strides.begin(), strides[static_cast<size_t>(split_dim_)] * size);
      access.strides.insert(access.strides.begin(), StrideClass::any);
      const auto stand_still = [&](size_t d) {
        access.strides[d] = StrideClass::zero;
        strides[d] = 0;
      };
      all.back() = draft.access(access, strides, static_cast<int>(a));
      for (size_t d = 0; d < kernel_.dims.size(); ++d) {
        if (reduces(d)) stand_still(d + 1);
      }
      for (size_t n = 0; n < samples; ++n) {
        const int64_t moved = static_cast<int64_t>(n) * size / static_cast<int64_t>(samples);
        own[n].back() = draft.access(access, strides, static_cast<int>(a), false, moved);
      }
      stand_still(0);
      first.back() = draft.access(access, strides, static_cast<int>(a), true);
    }
    const Dtype type = at(sum_).type;
    std::vector<int64_t> of_part = dense();
    of_part.insert(of_part.begin(), results_);
    std::vector<int64_t> by_part(kernel.dims.size(), 0);
    by_part[0] = 1;
    const uint64_t counts =
        draft.access(access_of(Access::Kind::input, int64, by_part), by_part, SplitReduction::part_counts);
    Access partial = access_of(Access::Kind::output, type, of_part);
    const uint64_t sums = draft.access(partial, of_part, -1);
    const uint64_t squares = draft.access(partial, of_part, -2);

    const ValueId value = at(sum_).operands[0];
    draft.begin(false);
    std::map<ValueId, ValueId> shared;  // what is the same for all elements
    const auto made_of = [&](const std::vector<uint64_t>& accesses) {
      std::map<ValueId, ValueId> known = shared;
      const ValueId made = copy(draft, value, accesses, known, 1);
      for (const auto& [id, other] : known) {
        if (!is_in(kernel_.blocks[first_pass_], id)) shared.emplace(id, other);
      }
      return made;
    };
    const ValueId start = made_of(first);
    ValueId origin = made_of(own[0]);
    for (size_t n = 1; n < samples; ++n) origin = draft.add(Opcode::add, type, {origin, made_of(own[n])});
    const ValueId share = draft.add(Opcode::constant, type, {}, bits_of(1.0 / samples, type));
    origin = draft.add(Opcode::mul, type, {origin, share});
    draft.begin(true);
    const ValueId distance = draft.add(Opcode::sub, type, {made_of(all), origin});
    const ValueId sum = draft.add(Opcode::reduce_sum, type, {distance});
    const ValueId square =
        draft.add(Opcode::reduce_sum, type, {draft.add(Opcode::mul, type, {distance, distance})});
    draft.begin(false);
    const ValueId count = draft.add(Opcode::cast, type, {draft.add(Opcode::load, int64, {}, counts)});
    const ValueId mean = draft.add(Opcode::div, type, {sum, count});
    const ValueId between = draft.add(Opcode::sub, type, {origin, start});
    const ValueId whole = draft.add(Opcode::add, type, {sum, draft.add(Opcode::mul, type, {count, between})});
    draft.add(Opcode::store, type, {whole}, sums);
    const ValueId around_mean =
        draft.add(Opcode::sub, type, {square, draft.add(Opcode::mul, type, {sum, mean})});
    const ValueId zero = draft.add(Opcode::constant, type, {});
    draft.add(Opcode::store, type, {draft.add(Opcode::max, type, {around_mean, zero})}, squares);
    draft.end();
    return std::move(draft.half);
  }

  /// Adds up the parts; around another value than its mean, a part's squares grow by that distance's, once
  /// for each of its elements.
  SplitReduction::Half make_second(int64_t parts) const {
    Draft draft;
    draft.half.kernel.dims = kernel_.dims;
    const size_t rank = kernel_.dims.size();
    for (size_t d = 0; d < rank; ++d) draft.half.extents.push_back(reduces(d) ? 1 : extents_[d]);
    draft.half.extents[static_cast<size_t>(split_dim_)] = parts;
    std::vector<uint64_t> accesses, first;
    const std::vector<bool> used = used_outside_passes();
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
      accesses.push_back(0);
      first.push_back(0);
      Access access = kernel_.accesses[a];
      if (access.kind == Access::Kind::input) {
        Access standing = access;
        std::vector<int64_t> strides = strides_[a];
        for (size_t d = 0; d < rank; ++d) {
          if (!reduces(d)) continue;
          standing.strides[d] = StrideClass::zero;
          strides[d] = 0;
        }
        first.back() = draft.access(std::move(standing), std::move(strides), static_cast<int>(a));
      }
      if (!used[a]) continue;
      for (size_t d = 0; access.kind == Access::Kind::output && d < rank; ++d) {
        if (reduces(d)) access.strides[d] = StrideClass::zero;
      }
      accesses.back() = draft.access(std::move(access), strides_[a], static_cast<int>(a));
    }
    const Dtype type = at(sum_).type;
    std::vector<int64_t> of_part = dense();
    of_part[static_cast<size_t>(split_dim_)] = results_;
    std::vector<int64_t> by_part(rank, 0);
    by_part[static_cast<size_t>(split_dim_)] = 1;
    const Access partial = access_of(Access::Kind::input, type, of_part);
    const uint64_t sums = draft.access(partial, of_part, -1);
    const uint64_t squares = draft.access(partial, of_part, -2);
    const uint64_t counts =
        draft.access(access_of(Access::Kind::input, int64, by_part), by_part, SplitReduction::part_counts);
    std::vector<ValueId> renamed(kernel_.instructions.size(), kir::no_value);
    ValueId start = kir::no_value;  // the first element
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      draft.begin(b == first_pass_ || b == second_pass_);
      if (b == first_pass_) {
        const ValueId count = draft.add(Opcode::cast, type, {draft.add(Opcode::load, int64, {}, counts)});
        const ValueId all = draft.add(Opcode::reduce_sum, type, {count});
        const ValueId sum = draft.add(Opcode::reduce_sum, type, {draft.add(Opcode::load, type, {}, sums)});
        draft.begin(false);
        std::map<ValueId, ValueId> known;
        for (ValueId id = 0; id < kernel_.blocks[b].begin; ++id) {
          if (renamed[id] != kir::no_value) known.emplace(id, renamed[id]);
        }
        start = copy(draft, at(sum_).operands[0], first, known, 0);
        renamed[sum_] = draft.add(Opcode::add, type, {sum, draft.add(Opcode::mul, type, {all, start})});
      } else if (b == second_pass_) {
        const ValueId count = draft.add(Opcode::cast, type, {draft.add(Opcode::load, int64, {}, counts)});
        const ValueId mean = draft.add(Opcode::div, type, {draft.add(Opcode::load, type, {}, sums), count});
        const ValueId centre = draft.add(Opcode::sub, type, {renamed[centre_], start});
        const ValueId distance = draft.add(Opcode::sub, type, {mean, centre});
        const ValueId square = draft.add(Opcode::mul, type, {distance, distance});
        const ValueId moved = draft.add(Opcode::mul, type, {count, square});
        const ValueId own = draft.add(Opcode::load, type, {}, squares);
        renamed[squares_] = draft.add(Opcode::reduce_sum, type, {draft.add(Opcode::add, type, {own, moved})});
      } else {
        for (ValueId id = kernel_.blocks[b].begin; id < kernel_.blocks[b].end; ++id) {
          Instruction instruction = at(id);
          for (ValueId& operand : instruction.operands) operand = renamed[operand];
          if (is_load(instruction.op) || is_store(instruction.op))
            instruction.imm = accesses[instruction.imm];
          renamed[id] = draft.add(instruction.op, instruction.type, instruction.operands, instruction.imm);
        }
      }
    }
    draft.end();
    return std::move(draft.half);
  }

  std::vector<bool> used_outside_passes() const {
    std::vector<bool> used(kernel_.accesses.size(), false);
    for (ValueId id = 0; id < kernel_.instructions.size(); ++id) {
      if (is_in(kernel_.blocks[first_pass_], id) || is_in(kernel_.blocks[second_pass_], id)) continue;
      if (is_load(at(id).op) || is_store(at(id).op)) used[at(id).imm] = true;
    }
    return used;
  }

  const Kernel& kernel_;
  std::span<const int64_t> extents_;
  std::span<const std::vector<int64_t>> strides_;
  size_t first_pass_ = 0, second_pass_ = 0;
  ValueId sum_ = 0, squares_ = 0;  ///< the two reductions
  ValueId centre_ = 0;             ///< what the second one takes distances from
  int split_dim_ = -1;
  int64_t reduced_ = 1;
  int64_t results_ = 1;
};

}  // namespace

std::optional<SplitReduction> split_variance(const Kernel& kernel, std::span<const int64_t> extents,
                                             std::span<const std::vector<int64_t>> strides) {
  return VarianceSplitter(kernel, extents, strides).run();
}

}  // namespace lazuli
