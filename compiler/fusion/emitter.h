#pragma once

#include <vector>

#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// What an access of a lowered kernel refers to.
struct KernelOperand {
  enum class Kind : uint8_t {
    tensor,   ///< a value of the graph
    extent,   ///< an int64 that holds an extent
    scratch,  ///< a row of the thread's scratch memory
    block,    ///< a block of a host operation's result
    rows,     ///< rows of a host operation's operand, made when it needs them
    sums,     ///< rows of sums, one for each part of the rows, which add up to a value of the graph
  };
  /// A coordinate of the tensor: `scale * i[dim] + offset + dynamic_scale * x[dynamic]`.
  struct Coordinate {
    int dim = -1;  ///< a dimension of the kernel
    Dim scale = 1;
    Dim offset = 0;
    int dynamic = -1;  ///< which of the access's dynamic indices
    Dim dynamic_scale = 1;
  };
  Kind kind = Kind::tensor;
  Graph::ValueId value = Graph::none;
  std::vector<Coordinate> coordinates;  ///< one for each dimension of the value
  Dim extent = 0;
};

/// A kernel before shapes are known: a stride's class says only whether it is zero, extents are Dims.
struct LoweredKernel {
  kir::Kernel kernel;
  std::vector<Dim> extents;
  std::vector<KernelOperand> operands;  ///< one for each access
};

/// The kernel of a group, or of a host operation's epilogue.
LoweredKernel lower_unit(const FusionPlan& plan, const FusionUnit& unit);

/// The kernel of a host operation's prologue.
LoweredKernel lower_prologue(const FusionPlan& plan, const FusionUnit& unit);

}  // namespace lazuli
