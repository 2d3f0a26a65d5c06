#include "support/scalar_kernel.h"

#include <cstring>
#include <map>
#include <vector>

#include <lazuli/compiler/kernel_ir/fold.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

namespace lazuli::testing {
namespace {

using kir::Access;
using kir::Instruction;
using kir::Opcode;
using kir::Role;
using kir::StrideClass;
using kir::ValueId;

class ScalarRun {
 public:
  ScalarRun(const kir::Kernel& kernel, const kir::KernelArguments& arguments, std::byte* scratch)
      : kernel_(kernel),
        arguments_(arguments),
        scratch_(scratch),
        point_(kernel.dims.size(), 0),
        values_(kernel.instructions.size(), 0) {
    size_t at = 0;
    for (const Access& access : kernel_.accesses) {
      strides_of_.push_back(at);
      at += kernel_.dims.size() + access.dynamic_indices;
    }
  }

  void start_sums() const {
    size_t size = 1;
    for (size_t d = 0; d < point_.size(); ++d) {
      if (kernel_.dims[d] == Role::reduce) size *= static_cast<size_t>(arguments_.extents[d]);
    }
    for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
      const Access& access = kernel_.accesses[a];
      if (access.kind != Access::Kind::sums) continue;
      std::memset(arguments_.pointers[a], 0, size * static_cast<size_t>(access.dtype.size()));
    }
  }

  /// One parallel point, whose coordinates are set.
  void run_point() {
    for (const kir::Block& block : kernel_.blocks) {
      gathered_.clear();
      for (size_t d = 0; d < point_.size(); ++d) {
        if (kernel_.dims[d] == Role::reduce) point_[d] = 0;
      }
      if (block.per_element && kernel_.has_reduce()) {
        run_elements(block, 0);
      } else {
        run_block(block);
      }
      for (ValueId id = block.begin; id < block.end; ++id) {
        if (kir::is_reduce(kernel_.instructions[id].op)) values_[id] = reduced(id);
      }
    }
  }

  std::vector<int64_t>& point() { return point_; }

 private:
  void run_elements(const kir::Block& block, size_t dim) {
    if (dim == point_.size()) return run_block(block);
    if (kernel_.dims[dim] != Role::reduce) return run_elements(block, dim + 1);
    for (int64_t i = 0; i < arguments_.extents[dim]; ++i) {
      point_[dim] = i;
      run_elements(block, dim + 1);
    }
  }

  void run_block(const kir::Block& block) {
    for (ValueId id = block.begin; id < block.end; ++id) run_instruction(id);
  }

  Dtype operand_type(const Instruction& instruction, size_t k) const {
    return kernel_.instructions[instruction.operands[k]].type;
  }

  void run_instruction(ValueId id) {
    const Instruction& instruction = kernel_.instructions[id];
    switch (instruction.op) {
      case Opcode::constant:
        values_[id] = instruction.imm;
        return;
      case Opcode::index:
        values_[id] = static_cast<uint64_t>(point_[instruction.imm]);
        return;
      case Opcode::load:
        values_[id] = load(instruction, 0);
        return;
      case Opcode::load_imag:
        values_[id] = load(instruction, 1);
        return;
      case Opcode::store:
        return store(instruction, 1);
      case Opcode::store_complex:
        return store(instruction, 2);
      default:
        break;
    }
    if (kir::is_reduce(instruction.op)) return gathered_[id].push_back(values_[instruction.operands[0]]);
    std::vector<uint64_t> operands;
    for (ValueId operand : instruction.operands) operands.push_back(values_[operand]);
    const Dtype type = operand_type(instruction, instruction.op == Opcode::select ? 1 : 0);
    values_[id] = kir::fold(instruction, type, operands).value();
  }

  std::byte* address(const Instruction& instruction, size_t first_index) const {
    const Access& access = kernel_.accesses[instruction.imm];
    const int64_t* strides = arguments_.strides + strides_of_[instruction.imm];
    int64_t offset = 0;
    for (size_t d = 0; d < point_.size(); ++d) {
      const StrideClass known = access.strides[d];
      offset += point_[d] * (known == StrideClass::zero ? 0 : known == StrideClass::unit ? 1 : strides[d]);
    }
    for (size_t j = 0; j < access.dynamic_indices; ++j) {
      offset +=
          strides[point_.size() + j] * static_cast<int64_t>(values_[instruction.operands[first_index + j]]);
    }
    std::byte* base = arguments_.pointers[instruction.imm];
    if (access.kind == Access::Kind::scratch) base = scratch_ + reinterpret_cast<uintptr_t>(base);
    return base + offset * access.dtype.size();
  }

  uint64_t load(const Instruction& instruction, int part) const {
    const Dtype dtype = kernel_.accesses[instruction.imm].dtype;
    const std::byte* from = address(instruction, 0) + part * 4;
    uint64_t bits = 0;
    std::memcpy(&bits, from, dtype == complex64 ? 4 : dtype.size());
    if (dtype == float16)
      return kir::scalar::to_bits(half_detail::float16_bits_to_float(static_cast<uint16_t>(bits)));
    if (dtype == bfloat16) return bits << 16;
    return bits;
  }

  void store(const Instruction& instruction, size_t parts) const {
    const Dtype dtype = kernel_.accesses[instruction.imm].dtype;
    std::byte* to = address(instruction, parts);
    for (size_t part = 0; part < parts; ++part) {
      uint64_t bits = values_[instruction.operands[part]];
      const float number = kir::scalar::from_bits<float>(bits);
      if (dtype == float16) bits = half_detail::float_to_float16_bits(number);
      if (dtype == bfloat16) bits = half_detail::float_to_bfloat16_bits(number);
      std::memcpy(to + part * 4, &bits, dtype == complex64 ? 4 : dtype.size());
    }
  }

  uint64_t reduced(ValueId id) {
    const Instruction& instruction = kernel_.instructions[id];
    const std::vector<uint64_t>& all = gathered_[id];
    return kir::dispatch_compute_type(operand_type(instruction, 0), [&]<typename T>(std::type_identity<T>) {
      std::vector<T> numbers;
      for (uint64_t bits : all) numbers.push_back(kir::scalar::from_bits<T>(bits));
      return reduce_numbers<T>(instruction.op, numbers);
    });
  }

  template <typename T>
  static uint64_t reduce_numbers(Opcode op, const std::vector<T>& numbers) {
    using Limits = std::numeric_limits<T>;
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    const T highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
    const T lowest = Limits::has_infinity ? static_cast<T>(-Limits::infinity()) : Limits::lowest();
    Sum sum = 0;
    Sum product = 1;
    T least = highest;
    T most = lowest;
    uint64_t all_bits = ~uint64_t{0};
    uint64_t any_bits = 0;
    size_t first_least = 0;
    size_t first_most = 0;
    for (size_t i = 0; i < numbers.size(); ++i) {
      const T x = numbers[i];
      sum += static_cast<Sum>(x);
      product *= static_cast<Sum>(x);
      least = kir::scalar::Min::apply(least, x);
      most = kir::scalar::Max::apply(most, x);
      all_bits &= kir::scalar::to_bits(x);
      any_bits |= kir::scalar::to_bits(x);
      const auto beats = [&](T best, bool less) {
        if (kir::scalar::is_nan(best)) return false;
        return kir::scalar::is_nan(x) || (less ? x < best : best < x);
      };
      if (beats(numbers[first_least], true)) first_least = i;
      if (beats(numbers[first_most], false)) first_most = i;
    }
    switch (op) {
      case Opcode::reduce_sum:
        return kir::scalar::to_bits(static_cast<T>(sum));
      case Opcode::reduce_prod:
        return kir::scalar::to_bits(static_cast<T>(product));
      case Opcode::reduce_min:
        return kir::scalar::to_bits(least);
      case Opcode::reduce_max:
        return kir::scalar::to_bits(most);
      case Opcode::reduce_and:
        if (kir::scalar::is_bool<T>) return all_bits & 1;
        return sizeof(T) == 8 ? all_bits : all_bits & ((uint64_t{1} << (8 * sizeof(T) % 64)) - 1);
      case Opcode::reduce_or:
        return any_bits;
      case Opcode::reduce_argmin:
        return first_least;
      default:
        return first_most;
    }
  }

  const kir::Kernel& kernel_;
  const kir::KernelArguments& arguments_;
  std::byte* scratch_;
  std::vector<size_t> strides_of_;
  std::vector<int64_t> point_;
  std::vector<uint64_t> values_;
  std::map<ValueId, std::vector<uint64_t>> gathered_;  ///< what the block's reductions have seen
};

}  // namespace

void run_scalar(const kir::Kernel& kernel, const kir::KernelArguments& arguments, std::byte* scratch,
                int64_t outer_begin, int64_t outer_end, int64_t inner_begin, int64_t inner_end) {
  const kir::Kernel expanded = kir::expand_math(kernel);
  ScalarRun run(expanded, arguments, scratch);
  run.start_sums();
  const size_t rank = kernel.dims.size();
  const bool has_vector_dim = rank > 0 && kernel.dims.back() == Role::parallel;
  for (int64_t outer = outer_begin; outer < outer_end; ++outer) {
    for (int64_t inner = has_vector_dim ? inner_begin : 0; inner < (has_vector_dim ? inner_end : 1);
         ++inner) {
      int64_t left = outer;
      for (size_t d = rank - (has_vector_dim ? 1 : 0); d-- > 0;) {
        if (kernel.dims[d] == Role::reduce) continue;
        run.point()[d] = left % arguments.extents[d];
        left /= arguments.extents[d];
      }
      if (has_vector_dim) run.point()[rank - 1] = inner;
      run.run_point();
    }
  }
}

}  // namespace lazuli::testing
