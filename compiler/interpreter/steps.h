#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/math_tables.h>

/// The interpreter's steps: precompiled loops over a block of elements, one table of them an instruction
/// set. Values lie in registers, arrays in L1 padded to a whole number of units of 16 elements.
namespace lazuli::interpreter {

inline constexpr int unit = 16;

/// A computation on whole units. Operands that do not move hold one unit with the same value throughout.
struct StepArguments {
  std::byte* result;
  std::array<const std::byte*, 4> operands;
  uint32_t moving;  ///< bit i: operand i advances
  int64_t units;
};
using StepFunction = void (*)(const StepArguments&);

/// Copies a run of n elements, `stride` elements apart in memory, to or from a register, converting between
/// the memory dtype and the compute type.
using LoadFunction = void (*)(std::byte* result, const std::byte* memory, int64_t stride, int64_t n);
using StoreFunction = void (*)(std::byte* memory, int64_t stride, const std::byte* value, int64_t n);

/// Positions given by registers of int64: element i of a run lies `stride * i + sum(strides[j] * x[j][i])`
/// elements from its start.
struct DynamicIndices {
  std::array<const int64_t*, 8> x;
  const int64_t* strides;
  int count;
};
using GatherFunction = void (*)(std::byte* result, const std::byte* memory, int64_t stride,
                                const DynamicIndices& indices, int64_t n);
using ScatterFunction = void (*)(std::byte* memory, int64_t stride, const DynamicIndices& indices,
                                 const std::byte* value, int64_t n);

/// A reduction into an array of accumulators.
struct ReduceFunctions {
  int accumulator_size = 0;
  void (*start)(std::byte* accumulators, int64_t count);
  /// `rows` rows of `length` values, one accumulator a row. Positions count from `position`.
  void (*rows)(std::byte* accumulators, const std::byte* values, int64_t rows, int64_t length,
               int64_t position);
  /// `rows` rows of `width` values, one accumulator a column.
  void (*columns)(std::byte* accumulators, const std::byte* values, int64_t rows, int64_t width,
                  int64_t position);
  void (*finish)(std::byte* result, const std::byte* accumulators, int64_t count);
};

inline constexpr int reduce_count =
    static_cast<int>(kir::Opcode::reduce_argmax) - static_cast<int>(kir::Opcode::reduce_sum) + 1;
inline constexpr int compare_count = 4;  ///< eq, ne, lt, le

/// All steps of an instruction set; null where an operation is not defined for a type. Indexed by
/// `Dtype::Val` in the order given.
struct StepTable {
  template <typename T>
  using ByType = std::array<T, dtype_count>;

  std::array<ByType<StepFunction>, kir::opcode_count> arithmetic{};  ///< by the operands' type
  std::array<ByType<StepFunction>, dtype_count> cast{};              ///< from, to
  ByType<StepFunction> round_to{};
  std::array<StepFunction, kir::table_count> look_up{};  ///< by table
  std::array<StepFunction, 9> copy{};                    ///< by size of the value in bytes
  /// select(a ? b, x, y) in one step: by comparison, type of a and b, type of x and y.
  std::array<std::array<ByType<StepFunction>, dtype_count>, compare_count> compare_select{};
  ByType<LoadFunction> load{};  ///< by the dtype in memory; complex64 is read by parts, as float32
  ByType<StoreFunction> store{};
  ByType<GatherFunction> gather{};
  ByType<ScatterFunction> scatter{};
  std::array<ByType<ReduceFunctions>, reduce_count> reduce{};
};

/// The table for the best instruction set of this CPU.
const StepTable& step_table();

// One for each set; callable only where the CPU has it.
const StepTable& step_table_baseline();
#if defined(__x86_64__)
const StepTable& step_table_avx2();
const StepTable& step_table_avx512();
#endif

}  // namespace lazuli::interpreter
