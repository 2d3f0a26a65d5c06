#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <lazuli/compiler/holes.h>
#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/graph/index_map.h>
#include <lazuli/graph/operation.h>

/// The kinds of operation the compiler knows, by what each tells it.
namespace lazuli {

/// What an elementwise expression may ask about the place it is computed at.
class ExpressionContext {
 public:
  virtual ~ExpressionContext() = default;
  virtual kir::Builder& builder() = 0;
  /// The coordinate along a dimension of the operation's output, int64.
  virtual kir::Value coordinate(int dim) = 0;
  /// The place of the element in row-major order, int64.
  virtual kir::Value linear_index() = 0;
  /// An extent as an int64 value, whether it is known when the kernel is built or not.
  virtual kir::Value extent(Dim dim) = 0;
};

/// Each output element is an expression of the operands' elements at the same place. Operands broadcast as
/// in NumPy. With no operands it is a source: constants, ranges.
class ElementwiseOperation : public Operation {
 public:
  OperationKind kind() const final { return OperationKind::elementwise; }
  /// Emits the expression. `inputs` have the compute types of the operands' dtypes, the result that of the
  /// output's.
  virtual kir::Value expression(ExpressionContext& context, std::span<const kir::Value> inputs) const = 0;
  /// Roughly how many simple instructions it takes: what recomputing it costs.
  virtual int cost() const { return 1; }
};

/// Output element at o is operand 0's element at map(o). Further operands are dynamic indices, or arrays that
/// are to be computed before the view is read.
class ViewOperation : public Operation {
 public:
  OperationKind kind() const final { return OperationKind::view; }
  /// From output coordinates to operand 0's.
  virtual IndexMap map(const Shape& input, const Shape& output) const = 0;
  /// The dynamic indices that the map's terms name, if any.
  virtual std::vector<DynamicIndex> dynamic_indices(const Shape&, const Shape&) const { return {}; }
};

/// Operand 0's elements in row-major order under another shape.
class ReshapeOperation : public Operation {
 public:
  explicit ReshapeOperation(Shape shape) : shape_(std::move(shape)) {}
  OperationKind kind() const override { return OperationKind::reshape; }
  std::string_view name() const override { return "reshape"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void attributes(AttributeWriter& writer) const override { writer.write("shape", shape_); }
  const Shape& shape() const { return shape_; }

 private:
  Shape shape_;
};

/// Reduces along axes by an instruction; they keep extent 1.
class ReductionOperation : public Operation {
 public:
  /// `op` is one of the reduce instructions; the result has dtype `output`, whose compute type is that of
  /// the operand (arg-reductions: int64 positions, converted to `output`). `axes` ascending, not negative.
  ReductionOperation(kir::Opcode op, std::vector<int> axes, Dtype output)
      : op_(op), axes_(std::move(axes)), output_(output) {}
  OperationKind kind() const override { return OperationKind::reduction; }
  std::string_view name() const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void attributes(AttributeWriter& writer) const override;

  kir::Opcode op() const { return op_; }
  const std::vector<int>& axes() const { return axes_; }
  Dtype output_dtype() const { return output_; }

 private:
  kir::Opcode op_;
  std::vector<int> axes_;
  Dtype output_;
};

/// A copy of operand 0 in which the element at map(u) is operand 1's element at u, for every u. Further
/// operands are dynamic indices. Done in place where operand 0 dies.
class UpdateOperation : public Operation {
 public:
  OperationKind kind() const final { return OperationKind::update; }
  /// From operand 1's coordinates to the output's.
  virtual IndexMap map(const Shape& output, const Shape& update) const = 0;
  virtual std::vector<DynamicIndex> dynamic_indices(const Shape&, const Shape&) const { return {}; }
};

/// Operands behind one another along an axis. They have one dtype, and agree in all other extents.
class ConcatenateOperation : public Operation {
 public:
  explicit ConcatenateOperation(int axis) : axis_(axis) {}
  OperationKind kind() const override { return OperationKind::concatenate; }
  std::string_view name() const override { return "concatenate"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  void attributes(AttributeWriter& writer) const override { writer.write("axis", axis_); }
  int axis() const { return axis_; }

 private:
  int axis_;
};

/// A tensor in memory while a program runs.
struct TensorView {
  std::byte* data = nullptr;  ///< the first element
  Dtype dtype = float32;
  Shape shape;      ///< numbers, nothing symbolic
  Strides strides;  ///< in elements

  bool is_row_contiguous() const;
};

/// A function over whole tensors, run by the host: kernel templates and library calls.
class HostOperation : public Operation {
 public:
  OperationKind kind() const final { return OperationKind::host; }
  /// Computes the outputs (row-major, allocated). Inputs come with any strides, unless `needs_contiguous`.
  virtual void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const = 0;
  /// Whether the result (the only one) can be had in blocks, for elementwise work to be done on them before
  /// they are stored.
  virtual bool makes_blocks() const { return false; }
  /// Whether operand 0 can be made in rows when they are needed, each of them once, so that it need not be in
  /// memory. (Its rows are those of the result, or other operands tell; see `MakeRows`.)
  virtual bool asks_for_rows() const { return false; }
  /// Where `makes_blocks` or `asks_for_rows`: computes the results with holes filled. With `take` the result
  /// is handed on in blocks that cover it once, their elements of the compute type of its dtype; with `make`
  /// the rows of operand 0 are made by it. Where that is so, the operand and the result say shape and dtype,
  /// and have no memory.
  virtual void execute_fused(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                             const Holes& holes) const;
  /// How much arithmetic that is, a multiply-add counted as two: for profiles. 0 where nobody has counted.
  virtual double operation_count(std::span<const TensorView> /*inputs*/,
                                 std::span<const TensorView> /*outputs*/) const {
    return 0;
  }
  /// Whether an operand must be row-major; it is copied where it isn't.
  virtual bool needs_contiguous(int operand) const { return operand < 0; }
  /// Whether an operand's conversion from this dtype may be left to the operation.
  virtual bool accepts(int /*operand*/, Dtype /*dtype*/) const { return false; }
  /// Whether, applied to constants only, it is worth computing once while a function is compiled.
  virtual bool fold_constants() const { return false; }
};

}  // namespace lazuli
