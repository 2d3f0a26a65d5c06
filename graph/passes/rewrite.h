#pragma once

#include <string_view>
#include <vector>

#include <lazuli/graph/graph.h>

namespace lazuli {

/// The operation of that name, which takes no attributes. Defined by the layer of operations, for rules that
/// replace one by another.
Ref<const Operation> operation_named(std::string_view name);

/// What a node about to be added to a graph shall be instead: a value that is there, or another node.
struct Rewritten {
  Graph::ValueId value = Graph::none;
  Ref<const Operation> operation;  ///< of the node, where `value` is none
  std::vector<Graph::ValueId> inputs;
};

/// Applies the first of the rules (see RewriteRule) that matches a node, if one does: true, with what the
/// node becomes. Constants that the rule computes are added to the graph.
bool rewrite(Graph& graph, const Ref<const Operation>& operation, const std::vector<Graph::ValueId>& inputs,
             const ArraySpec& result, Rewritten& rewritten);

}  // namespace lazuli
