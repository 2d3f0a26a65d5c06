#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/dim.h>
#include <lazuli/graph/operation.h>

namespace lazuli {

/// A computation in static single assignment form: values, each an input, a constant or the output of a
/// node, and the nodes in an order in which they can run.
struct Graph {
  using ValueId = uint32_t;
  using NodeId = uint32_t;
  static constexpr uint32_t none = std::numeric_limits<uint32_t>::max();

  struct Value {
    ArraySpec spec;
    NodeId node = none;        ///< what makes it; none for inputs and constants
    uint32_t output = 0;       ///< which output of the node
    uint32_t constant = none;  ///< its place in `constants`
  };
  struct GraphNode {
    Ref<const Operation> operation;
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
  };

  std::vector<Value> values;
  std::vector<GraphNode> nodes;
  std::vector<ValueId> inputs;
  std::vector<array> constants;  ///< evaluated arrays
  std::vector<ValueId> outputs;
  DimTable dims;  ///< what the Dims of shapes and attributes mean; `dim_base` is the symbol of its place 0
  uint32_t dim_base = 0;

  ValueId add_input(ArraySpec spec);
  ValueId add_constant(const array& constant);
  /// Adds a node; its outputs are new values.
  NodeId add_node(Ref<const Operation> operation, std::vector<ValueId> inputs,
                  std::vector<ArraySpec> outputs);

  const ArraySpec& spec(ValueId value) const { return values[value].spec; }
  const GraphNode* producer(ValueId value) const {
    return values[value].node == none ? nullptr : &nodes[values[value].node];
  }
  /// The constant behind a value, or null.
  const array* constant(ValueId value) const {
    return values[value].constant == none ? nullptr : &constants[values[value].constant];
  }

  std::string to_text() const;
  std::string value_text(ValueId value) const;
};

/// The value of a scalar constant of a real dtype, where `value` is one.
std::optional<double> scalar_constant(const Graph& graph, Graph::ValueId value);

}  // namespace lazuli
