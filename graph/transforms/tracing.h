#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>
#include <lazuli/graph/operation.h>

/// How a function's computation is recorded for a transform: it is called with stand-ins for its arguments,
/// and the nodes between these and its results are its record.
namespace lazuli::transforms {

/// While one exists, this thread runs a function that is being transformed: evaluation keeps the graph
/// behind what it computes, and compiled functions run as part of the function that calls them.
class TracingScope {
 public:
  TracingScope();
  ~TracingScope();
  TracingScope(const TracingScope&) = delete;
  TracingScope& operator=(const TracingScope&) = delete;
};
/// Whether this thread is inside of such a scope.
bool is_tracing();

/// A node of its own with the value of `a`, so that what is computed from it can be told from what is
/// computed from `a`. It has data where `a` has.
array stand_in(const array& a);

/// The nodes on the way from some arrays to results.
class Record {
 public:
  /// Those between `from` and `results`, in an order in which they can run. What is behind `known` does not
  /// depend on `from`, so that it need not be looked at.
  Record(std::span<const array> results, std::span<const array> from, std::span<const array> known = {});

  const std::vector<Ref<Node>>& nodes() const { return nodes_; }
  /// Whether an array depends on those recorded from (or is one).
  bool reaches(const array& a) const { return reached_.contains(a.node().get()); }
  /// Lets the recorded nodes that are computed go of their inputs, as evaluation would have done.
  void release() const;

 private:
  std::vector<Ref<Node>> nodes_;
  std::unordered_set<const Node*> reached_;
};

inline const Operation& operation_of(const Node& node) {
  return static_cast<const Operation&>(*node.producer);
}
std::vector<array> outputs_of(const Ref<Node>& node);

/// Where a node's operation runs: rules' operations run there too.
inline StreamOrDevice stream_of(const Node& node) {
  if (node.stream == Node::no_stream) return {};
  return Stream{node.stream, default_device()};
}

/// Whether there are derivatives with respect to arrays of a dtype.
inline bool is_differentiable(Dtype dtype) {
  return issubdtype(dtype, inexact);
}

}  // namespace lazuli::transforms
