#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <lazuli/compiler/interpreter/space.h>
#include <lazuli/compiler/interpreter/steps.h>
#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::interpreter {

/// What a kernel's blocks of elements look like.
enum class Shape : uint8_t {
  elementwise,  ///< no reduction: all points alike
  rows,         ///< reduced innermost: a group is some whole rows, or one long row in several chunks
  columns,      ///< a group is some columns, in chunks of one or more rows
};

/// Where an operand lies.
enum class Source : uint8_t {
  constant,  ///< in the plan: one unit
  uniform,   ///< one unit, the same for the whole run
  block,     ///< a register of the phase's own points
  expanded,  ///< a value of the group's points (rows or columns), brought to the elements
};

struct Operand {
  Source source = Source::block;
  uint32_t offset = 0;  ///< in bytes, within the plan's constants or the arena
};

struct Step {
  enum class Kind : uint8_t { compute, load, store, gather, scatter, index, reduce };
  Kind kind = Kind::compute;
  uint8_t operand_count = 0;
  uint32_t moving = 0;    ///< operands that advance with the elements
  uint32_t expanded = 0;  ///< operands that do so unless there is one row a group
  uint32_t result = 0;
  std::array<Operand, 4> operands{};
  uint32_t stream = 0;       ///< which stream of the phase's space, or which reduction
  uint32_t first_index = 0;  ///< its dynamic indices in `Plan::indices`
  uint32_t index_count = 0;
  bool may_be_empty = false;  ///< stems from a per-element block: there may be no element to load
  StepFunction compute = nullptr;
  LoadFunction load = nullptr;
  StoreFunction store = nullptr;
  GatherFunction gather = nullptr;
  ScatterFunction scatter = nullptr;
};

/// Brings a value of the group's points to its elements.
struct Expansion {
  uint32_t from = 0;
  uint32_t to = 0;
  int size = 0;
};

struct Reduction {
  ReduceFunctions functions;
  uint32_t accumulators = 0;  ///< in the arena
  uint32_t result = 0;
};

/// A tensor or coordinate that steps of a space refer to.
struct Stream {
  int access = -1;  ///< or -1 for a coordinate
  int dim = -1;     ///< the coordinate's
  int part = 0;     ///< 1 for imaginary parts
};

struct PlanBlock {
  bool per_element = true;
  std::vector<Step> point_steps;  ///< once a group: those of the block if it is not per element, else what
                                  ///< its elements have in common
  std::vector<Expansion> expansions;
  std::vector<Step> element_steps;
  std::vector<Reduction> reductions;
};

/// Memory aligned for vectors.
struct alignas(64) Cell {
  std::array<std::byte, 64> bytes{};
};

/// A kernel prepared for interpretation: steps, and where registers lie in a thread's arena.
struct Plan {
  Shape shape = Shape::elementwise;
  std::vector<kir::Role> dims;
  std::vector<kir::Access> accesses;
  std::vector<size_t> stride_offsets;  ///< of each access in `KernelArguments::strides`
  std::vector<Stream> element_streams;
  std::vector<Stream> point_streams;
  std::vector<Stream> uniform_streams;
  std::vector<Step> uniform_steps;
  std::vector<PlanBlock> blocks;
  std::vector<uint32_t> indices;       ///< registers of dynamic indices
  std::vector<uint32_t> scratch_rows;  ///< for each access: private rows in the arena, for groups of rows
  bool one_row_a_group = false;        ///< scratch with dynamic indices cannot be private, nor can sums
  int64_t block_size = 1024;           ///< elements a register holds
  size_t arena_size = 0;
  std::vector<Cell> constants;
};

/// Compiles a kernel without math instructions.
Plan make_plan(const kir::Kernel& kernel, const StepTable& table);

}  // namespace lazuli::interpreter
