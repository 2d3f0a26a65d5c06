#include <lazuli/graph/export/store_trace.h>

#include <stdexcept>
#include <string>

#include <lazuli/graph/operation_registry.h>

namespace lazuli {

namespace {

class Storing {
 public:
  explicit Storing(const Graph& graph) : graph_(graph) { stored_.dims = graph.dims; }

  StoredTrace run(std::vector<array>& constants, ConstantPlaces& places) {
    place_.assign(graph_.values.size(), Graph::none);
    for (const Graph::ValueId input : graph_.inputs) {
      place_[input] = next_++;
      stored_.inputs.push_back(spec_of(graph_.spec(input)));
    }
    for (Graph::ValueId value = 0; value < graph_.values.size(); ++value) {
      const array* constant = graph_.constant(value);
      if (constant == nullptr) continue;
      place_[value] = next_++;
      const auto fresh = static_cast<uint32_t>(constants.size());
      const auto [known, is_new] = places.emplace(constant->id(), fresh);
      if (is_new) constants.push_back(*constant);
      stored_.constants.push_back(known->second);
    }
    for (const Graph::GraphNode& node : graph_.nodes) add(node);
    for (const Graph::ValueId output : graph_.outputs) stored_.outputs.push_back(place_[output]);
    return std::move(stored_);
  }

 private:
  StoredExtent extent_of(Dim extent) const {
    if (!extent.is_symbolic()) return {false, extent.hint()};
    const uint32_t place = extent.symbol() - graph_.dim_base;
    if (place >= graph_.dims.expressions.size()) {
      throw std::invalid_argument("[export_function] an extent belongs to another function that is traced");
    }
    return {true, static_cast<int32_t>(place)};
  }

  StoredSpec spec_of(const ArraySpec& spec) const {
    StoredSpec stored{spec.dtype, {}};
    for (const Dim extent : spec.shape) stored.shape.push_back(extent_of(extent));
    return stored;
  }

  void add(const Graph::GraphNode& node) {
    const RegisteredOperation* registered = registration_of(*node.operation);
    if (registered == nullptr && node.operation->kind() == OperationKind::forward) {
      // What rules are for derivatives alone does not outlive the program.
      const auto& forward = static_cast<const ForwardOperation&>(*node.operation);
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        place_[node.outputs[i]] = place_[node.inputs[forward.source(i)]];
      }
      return;
    }
    if (registered == nullptr) {
      throw std::invalid_argument("[export_function] the operation '" + std::string(node.operation->name()) +
                                  "' cannot be stored");
    }
    StoredNode stored;
    stored.key = registered->key;
    stored.name = node.operation->name();
    AttributeWriter writer(AttributeWriter::Form::file, graph_.dim_base);
    node.operation->attributes(writer);
    stored.attributes = writer.result();
    for (const StoredAttribute& attribute : parse_attributes(stored.attributes)) {
      for (const StoredExtent& extent : attribute.extents) {
        if (extent.is_place && static_cast<size_t>(extent.value) >= graph_.dims.expressions.size()) {
          throw std::invalid_argument(
              "[export_function] an extent belongs to another function that is traced");
        }
      }
    }
    for (const Graph::ValueId input : node.inputs) stored.inputs.push_back(place_[input]);
    for (const Graph::ValueId output : node.outputs) {
      place_[output] = next_++;
      stored.outputs.push_back(spec_of(graph_.spec(output)));
    }
    stored_.nodes.push_back(std::move(stored));
  }

  const Graph& graph_;
  StoredTrace stored_;
  std::vector<uint32_t> place_;  // of each value of the graph
  uint32_t next_ = 0;
};

}  // namespace

StoredTrace store_trace(const Graph& graph, std::vector<array>& constants, ConstantPlaces& places) {
  return Storing(graph).run(constants, places);
}

}  // namespace lazuli
