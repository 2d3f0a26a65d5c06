#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/target.h>

namespace lazuli {

/// How code generation walks a kernel's iteration space. The nest of loops, from the outside in:
///
///     level 0            once a call
///     level 1            each outer point: the parallel dimensions but V, flattened
///     levels 2, 3, ...   `loops`, in order
///
/// `loops` are the reduce dimensions, in rows the innermost of which is the vector dimension; in columns they
/// are followed by V; elsewhere V is alone. Columns are walked a tile of V at a time, with what reductions
/// have so far in a buffer, so that memory is read along rows. Each instruction is emitted at the outermost
/// level at which its operands are known, and as a scalar where it is the same in all lanes.
struct Schedule {
  enum class Form : uint8_t { elementwise, rows, columns };

  Form form = Form::elementwise;
  std::vector<int> outer_dims;
  std::vector<int> loops;
  int vector_dim = -1;    ///< the dimension along which lanes run; -1 where there is none (rank 0)
  int vector_level = -1;  ///< the level of its loop

  int lanes = 1;
  std::vector<int> unroll;  ///< for each block: vectors a step; the same for all in elementwise kernels

  std::vector<int> level;       ///< for each instruction
  std::vector<bool> is_vector;  ///< for each instruction: its value differs between lanes
  std::vector<bool>
      is_reduced;  ///< for each instruction: its value differs between points of reduce dimensions

  /// For each access of an elementwise kernel: an input whose elements follow each other along the last of
  /// `outer_dims` instead of the vector dimension.
  std::vector<bool> transposed;
  bool has_transposed() const {
    return std::find(transposed.begin(), transposed.end(), true) != transposed.end();
  }

  /// Whether a step takes bfloat16 two vectors at a time, the first having the elements at even positions and
  /// the second the others: a shift and a mask unpack them, with no lane moved. Where nothing tells the order
  /// of lanes; scratch rows and rows of sums are then in that order too.
  bool by_parity = false;

  /// Sums over a row of squares of distances from a centre (and of products of distances with other values),
  /// where the centre is known only after a pass before: that pass can make them from distances from any
  /// other value, and they are put right when the centre is known.
  struct Distances {
    size_t made_in = 0;         ///< the block of the pass before
    size_t block = 0;           ///< the block that asks for them, and for nothing else
    kir::ValueId distance = 0;  ///< value - centre
    kir::ValueId value = 0;
    kir::ValueId centre = 0;
    std::vector<kir::ValueId> sums;   ///< the block's reductions
    size_t square = 0;                ///< which of them adds up squares of distances
    bool reads_what_is_made = false;  ///< by the pass before, element by element
  };
  std::optional<Distances> distances;
  bool makes_distances(size_t block) const { return distances && distances->made_in == block; }

  /// The last pass over a row, which writes it or adds it up, where that runs within a pass over the next
  /// row.
  struct Late {
    size_t block = 0;
    size_t within = 0;  ///< the block of the pass it runs within, a step with each of its steps
    std::vector<kir::ValueId> values;  ///< that are the same for a row, and used in its steps or after them
    bool adds_up = false;              ///< instead of writing
    int rows = 1;                      ///< that are written at once, as of `Grouped`, if more than one
  };
  std::optional<Late> late;

  /// The last pass over a row, which adds it to rows of sums or multiplies it by rows of weights, where that
  /// goes over some rows at once.
  struct Grouped {
    size_t block = 0;
    int rows = 1;
    std::vector<kir::ValueId> values;  ///< as of `Late`
  };
  std::optional<Grouped> grouped;

  /// Of rows that are gone over more than once, for each block the inputs whose next row is fetched
  /// meanwhile.
  std::vector<std::vector<size_t>> prefetched;

  /// For each block, the inputs it reads first, element after element, some of which to come are asked for
  /// then: those that are gone over once, or of rows that are written within the pass that reads the next
  /// one.
  std::vector<std::vector<size_t>> asked_ahead;

  /// The innermost level that a block reaches.
  int block_level(const kir::Block& block) const {
    if (form == Form::rows && !block.per_element) return 1;
    return 1 + static_cast<int>(loops.size());
  }
};

Schedule make_schedule(const kir::Kernel& kernel, const Target& target);

/// Of the operands of a load or store, the first dynamic index.
int first_dynamic_operand(kir::Opcode op);

}  // namespace lazuli
