#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/graph/attributes.h>

namespace lazuli {

/// What the compiler can do with an operation. Each kind but `elementwise` and `host` is one class.
enum class OperationKind : uint8_t {
  elementwise,  ///< each output element from the operands' elements at its place, broadcast
                ///< (ElementwiseOperation)
  view,         ///< output elements are input elements found by an index map (ViewOperation)
  reshape,      ///< the same elements in row-major order under another shape (ReshapeOperation)
  reduction,    ///< along axes, which keep extent 1 (ReductionOperation)
  update,       ///< a copy of operand 0 with elements replaced, found by an index map (UpdateOperation)
  concatenate,  ///< operands behind one another along an axis (ConcatenateOperation)
  host,         ///< a function over whole tensors: templates and library calls (HostOperation)
  forward,      ///< hands inputs on unchanged, for transforms to see; simplification removes it
                ///< (ForwardOperation)
};

/// An operation at its place in a computation: what it was applied to, and what came of it.
struct Application {
  std::span<const array> inputs;
  std::span<const array> outputs;
};

/// Tangents or cotangents, one for each of several arrays; where there is none it is zero.
using Differentials = std::vector<std::optional<array>>;

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

  /// The gradient rule: cotangents of the inputs that are wanted, for cotangents of the outputs (at least one
  /// is there; each has its output's shape and dtype). Linear in the cotangents, and written in operations
  /// that have rules themselves, so that it can be differentiated again. Throws std::invalid_argument where
  /// the operation has no gradient.
  virtual Differentials vjp(const Application& at, const Differentials& cotangents,
                            const std::vector<bool>& wanted) const;
  /// Tangents of the outputs for tangents of inputs. Unless a class knows better, this is `vjp` transposed
  /// by itself.
  virtual Differentials jvp(const Application& at, const Differentials& tangents) const;
  /// The batching rule: the operation applied to each member of a batch. Inputs that are batched have the
  /// batch as their first axis, and so do the results. Throws std::invalid_argument where there is no rule.
  virtual std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                  Dim batch) const;

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

/// Hands inputs on unchanged. It exists while functions are traced and transformed.
class ForwardOperation : public Operation {
 public:
  OperationKind kind() const final { return OperationKind::forward; }
  /// The input that an output is.
  virtual size_t source(size_t output) const = 0;
  /// How many inputs, from the first, its rules look at; transforms don't see what makes the others.
  virtual size_t inputs_of_rules() const { return 1; }
};

/// The lazy result of an operation with one output.
array apply(Ref<const Operation> operation, std::vector<array> inputs);
/// The lazy results of an operation with several.
std::vector<array> apply_multiple(Ref<const Operation> operation, std::vector<array> inputs);

}  // namespace lazuli
