#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/graph/graph.h>

namespace lazuli {

/// The nodes behind some arrays that are still to be computed, each before those that use it.
struct PendingNodes {
  struct Entry {
    Node* node;
    uint32_t uses = 0;     ///< how often nodes in here use it (or its outputs are asked for)
    bool is_leaf = false;  ///< not lazy: it is used, but computed elsewhere or before
    bool is_kept = false;  ///< its value must outlive the traversal: it is asked for, or held from outside
  };
  std::vector<Entry> entries;  ///< lazy nodes and the leaves that they use
  std::vector<uint32_t>
      inputs;  ///< for each entry in order, the entries of its node's inputs; none for leaves
  std::vector<uint32_t> outputs;  ///< entries of the arrays asked for

  /// Whether someone outside of the traversal holds a leaf by now.
  bool is_held(uint32_t entry) const { return entries[entry].node->ref_count() > entries[entry].uses; }
};

/// Walks the graph behind `outputs`, without recursion. Where other threads may evaluate parts of it, under
/// `graph_mutex`.
PendingNodes collect_pending(std::span<const array> outputs);

/// What `build_graph` made of arrays.
struct TracedGraph {
  Graph graph;
  std::vector<array> leaves;             ///< the arrays behind the graph's inputs
  std::vector<uint32_t> output_entries;  ///< for each graph output, the entry it belongs to...
  std::vector<uint32_t> output_indices;  ///< ...and which of its outputs it is
};

/// The graph that computes all that is kept. Its inputs are the leaves.
TracedGraph build_evaluation_graph(const PendingNodes& pending);

/// The graph of a traced function: `arguments` are its inputs, other leaves its constants. Parts that do not
/// depend on arguments are computed now, unless they are mere views and ranges.
Graph build_function_graph(std::span<const array> arguments, std::span<const array> results);

}  // namespace lazuli
