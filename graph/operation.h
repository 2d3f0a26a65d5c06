#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/graph/attributes.h>

namespace lazuli {

/// What the compiler can do with an operation. Each kind but `elementwise` and `host` is one class.
enum class OperationKind : uint8_t {
  elementwise,  ///< each output element from the operands' elements at its place, broadcast (ElementwiseOperation)
  view,         ///< output elements are input elements found by an index map (ViewOperation)
  reshape,      ///< the same elements in row-major order under another shape (ReshapeOperation)
  reduction,    ///< along axes, which keep extent 1 (ReductionOperation)
  update,       ///< a copy of operand 0 with elements replaced, found by an index map (UpdateOperation)
  concatenate,  ///< operands behind one another along an axis (ConcatenateOperation)
  host,         ///< a function over whole tensors: templates and library calls (HostOperation)
};

/// An operation as a node of the graph: immutable, and equal to another with the same name and attributes.
/// Everything about it (types, shapes, kernel expression) stands in its class.
class Operation : public Producer {
 public:
  virtual OperationKind kind() const = 0;
  /// Shapes and dtypes of the outputs for given inputs; throws std::invalid_argument `[name] what is wrong`.
  /// Only Dim arithmetic may lead from input extents to output extents.
  virtual std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const = 0;
  /// Describes everything, besides the name, that tells this operation from others.
  virtual void attributes(AttributeWriter&) const {}

  /// Equal for equal operations.
  uint64_t hash() const;
  bool equals(const Operation& other) const;
  /// Whether an attribute depends on an extent that is a symbol.
  bool has_symbols() const;
  /// "name(attribute=value, ...)"
  std::string to_string() const;

 private:
  mutable std::atomic<uint64_t> hash_{0};
};

/// The lazy result of an operation with one output.
array apply(Ref<const Operation> operation, std::vector<array> inputs);
/// The lazy results of an operation with several.
std::vector<array> apply_multiple(Ref<const Operation> operation, std::vector<array> inputs);

}  // namespace lazuli
