#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/array/dtype.h>

/// The kernel IR: what a fused group computes, as an iteration space, accesses to tensors and scalar
/// instructions. It says nothing of loops, vectors or threads: the interpreter and LLVM choose those.
namespace lazuli::kir {

/// A value: the number of the instruction that makes it.
using ValueId = uint32_t;
inline constexpr ValueId no_value = std::numeric_limits<ValueId>::max();

/// A dimension of the iteration space. Points along a `parallel` dimension are independent; a `reduce`
/// dimension is traversed, in order of stages, for each parallel point.
enum class Role : uint8_t { parallel, reduce };

/// What is known of a stride when code is generated. `any` is a run-time argument.
enum class StrideClass : uint8_t { zero, unit, any };

/// A tensor (or a scratch row) that the kernel reads or writes. The element at iteration point
/// (i0, i1, ...) with dynamic indices (x0, x1, ...) lies at
/// `pointer + sum(stride[d] * i[d]) + sum(dynamic_stride[j] * x[j])`, strides counted in elements.
struct Access {
  enum class Kind : uint8_t {
    input,    ///< read only
    output,   ///< written; also read where an earlier block of the same kernel wrote it
    scratch,  ///< a row private to a thread: strides are zero but along reduce dimensions, which are
              ///< innermost
    sums  ///< such a row that each run fills: it holds zeros at first, and every point adds to its element
  };
  Kind kind = Kind::input;
  Dtype dtype = float32;             ///< in memory
  std::vector<StrideClass> strides;  ///< one per dimension of the iteration space
  uint8_t dynamic_indices = 0;       ///< how many dynamic index operands its loads and stores take

  /// Whether it is a dense row over the reduce dimensions, whatever the parallel point.
  bool is_row() const { return kind == Kind::scratch || kind == Kind::sums; }
  bool operator==(const Access&) const = default;
};

/// The scalar instructions. `instruction_table()` has a row for each.
enum class Opcode : uint8_t {
  // Sources.
  constant,   ///< immediate, bits in `imm`
  index,      ///< int64 position along dimension `imm`
  load,       ///< access `imm`; operands: its dynamic indices (int64)
  load_imag,  ///< the imaginary part from a complex64 access; `load` gives the real part
  // Sinks.
  store,          ///< access `imm`; operands: value, then dynamic indices
  store_complex,  ///< access `imm` (complex64); operands: real, imaginary, then dynamic indices
  // Arithmetic. Integers wrap; integer division truncates, x/0 = 0, x%0 = 0, MIN/-1 = MIN, MIN%-1 = 0.
  add,
  sub,
  mul,
  div,
  rem,  ///< sign of the dividend (C's % and fmod)
  neg,
  abs,
  min,  ///< NaN if either is NaN
  max,  ///< NaN if either is NaN
  fma,  ///< a * b + c, rounded once; floating point only
  // Rounding and roots, floating point only.
  floor,
  ceil,
  trunc,
  rint,  ///< to nearest, ties to even
  sqrt,
  // Bits: integers and bool.
  bit_and,
  bit_or,
  bit_xor,
  bit_not,
  shift_left,   ///< a count of the width or more gives 0
  shift_right,  ///< arithmetic for signed types; a count of the width or more gives 0 or -1
  // Comparison to bool. Ordered: false with NaN, but `ne` is true.
  eq,
  ne,
  lt,
  le,
  select,    ///< operand 0 is bool
  cast,      ///< value conversion; float to integer truncates and saturates (NaN gives 0), to bool is `!= 0`
  bitcast,   ///< same size, same bits
  round_to,  ///< float32 rounded to the dtype in `imm` (float16 or bfloat16) and back
  table,     ///< the entry of table `imm` (math_tables.h) that an int32's low bits number, float32
  scalb,     ///< a * 2^floor(b), rounded once, for b from -252 to 252; float32
  // Reduction over all reduce dimensions of the block it stands in; its value is visible in later blocks.
  reduce_sum,
  reduce_prod,
  reduce_min,
  reduce_max,
  reduce_and,
  reduce_or,
  reduce_argmin,  ///< int64 position along the (single) reduce dimension of the first smallest; NaN wins
  reduce_argmax,
  // Math, expanded into the instructions above by `expand_math` before execution.
  exp,
  expm1,
  log,
  log2,
  log10,
  log1p,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  atan2,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  erf,
  erfinv,
  pow,
  rsqrt,
  sigmoid,
};
inline constexpr int opcode_count = static_cast<int>(Opcode::sigmoid) + 1;

/// One instruction; its number in the kernel is the value it makes. Types are compute types: bool_, the
/// integers, float32, float64 (see `compute_type`). Comparison's `type` is bool_; operands share a type.
struct Instruction {
  Opcode op = Opcode::constant;
  Dtype type = float32;  ///< of the result; for stores, of the stored operand
  uint64_t imm = 0;
  std::vector<ValueId> operands;

  bool operator==(const Instruction&) const = default;
};

/// Instructions [begin, end) that run together. A `per_element` block runs at every point of the iteration
/// space; any other runs once for each parallel point. A per-element block's values are visible only within
/// it, except those of its reduce instructions.
struct Block {
  bool per_element = true;
  uint32_t begin = 0;
  uint32_t end = 0;

  bool operator==(const Block&) const = default;
};

/// A kernel. Reduce dimensions lie next to each other: either innermost (rows: vectors run along the last
/// reduce dimension) or followed by exactly one parallel dimension (columns: vectors run along that).
struct Kernel {
  std::vector<Role> dims;
  std::vector<Access> accesses;
  std::vector<Instruction> instructions;
  std::vector<Block> blocks;

  int rank() const { return static_cast<int>(dims.size()); }
  bool has_reduce() const;
  /// Whether vectors run along a reduce dimension.
  bool reduces_innermost() const { return !dims.empty() && dims.back() == Role::reduce; }

  bool operator==(const Kernel&) const = default;
};

/// The type in which elements of dtype `t` are computed: float16 and bfloat16 in float32, the rest as they
/// are. (complex64 is a pair of float32 values.)
Dtype compute_type(Dtype t);

/// Checks that the kernel is well formed; throws std::logic_error that names the instruction otherwise.
void verify(const Kernel& kernel);

/// The text form, one line an instruction; `parse` reads it back.
std::string to_text(const Kernel& kernel);
Kernel parse(std::string_view text);

/// What the kernel does in a few words: its form and its instructions in order, such as `rows_exp_add_div`.
/// Different kernels may have the same name.
std::string kernel_name(const Kernel& kernel);

/// A byte string equal for equal kernels only: the key of caches in memory and on disk.
std::string serialize(const Kernel& kernel);

/// How float32 math is expanded: polynomials serve every machine; tables are shorter where vectors of
/// indices are looked up by one instruction.
enum class MathForm : uint8_t { polynomials, tables };

/// Replaces math instructions by their expansions into basic ones (the same for every tier, so that tiers
/// agree), contracts single-use multiply-add pairs into `fma`, removes dead code and duplicates.
Kernel expand_math(const Kernel& kernel, MathForm form = MathForm::polynomials);

/// Arguments of a run, shared by all threads.
struct KernelArguments {
  const int64_t* extents;      ///< [rank]
  std::byte* const* pointers;  ///< [accesses]: the element at iteration point 0; for a scratch access, the
                               ///< byte offset of its row within `scratch`, as a pointer
  const int64_t* strides;      ///< for each access: its `rank` strides, then its dynamic strides
};

/// How tiers are called, and how work is split. Let V be the vector dimension: the last one if it is
/// parallel, else none. The others, flattened in an order that is the function's own, count `outer` points.
/// Runs the points [outer_begin, outer_end) x [inner_begin, inner_end), the latter along V (ignored where
/// there is no V: then every reduce row is whole). With no other parallel dimension, `outer` is 1.
/// `scratch` is this thread's memory, aligned to 64 bytes; null where the kernel has no scratch access.
using KernelFunction = void (*)(const KernelArguments* arguments, std::byte* scratch, int64_t outer_begin,
                                int64_t outer_end, int64_t inner_begin, int64_t inner_end);

}  // namespace lazuli::kir
