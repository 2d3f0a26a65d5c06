#include <lazuli/graph/export/tell_trace.h>

namespace lazuli {

namespace {

using Described = std::vector<std::tuple<std::string, Shape, Dtype>>;

/// Values of symbols as they were when the function was traced.
class Telling {
 public:
  Telling(const StoredTrace& trace, const std::vector<array>& constants, const ExportCallback& callback)
      : trace_(trace),
        constants_(constants),
        callback_(callback),
        places_(trace.dims.evaluate(trace.symbol_values)) {}

  void run() {
    Described inputs;
    for (const StoredSpec& spec : trace_.inputs) inputs.push_back(describe_next(spec));
    callback_({{"type", std::string("inputs")}, {"inputs", inputs}});

    std::vector<std::pair<std::string, std::string>> keywords;
    const size_t positional = trace_.inputs.size() - trace_.keywords.size();
    for (size_t i = 0; i < trace_.keywords.size(); ++i) {
      keywords.emplace_back(trace_.keywords[i], std::get<0>(values_[positional + i]));
    }
    callback_({{"type", std::string("keyword_inputs")}, {"keywords", keywords}});

    std::vector<std::pair<std::string, array>> constants;
    for (const uint32_t place : trace_.constants) {
      const array& constant = constants_[place];
      values_.emplace_back(next_name(), constant.shape(), constant.dtype());
      constants.emplace_back(std::get<0>(values_.back()), constant);
    }
    callback_({{"type", std::string("constants")}, {"constants", constants}});

    for (const StoredNode& node : trace_.nodes) tell_node(node);
    callback_({{"type", std::string("outputs")}, {"outputs", described(trace_.outputs)}});
  }

 private:
  /// A, B, ..., Z, AA, ...
  std::string next_name() const {
    std::string name;
    for (size_t rest = values_.size() + 1; rest > 0; rest = (rest - 1) / 26) {
      name.insert(name.begin(), static_cast<char>('A' + (rest - 1) % 26));
    }
    return name;
  }
  Dim dim_of(const StoredExtent& extent) const {
    return Dim(extent.is_place ? places_[static_cast<size_t>(extent.value)] : extent.value);
  }
  Shape shape_of(const std::vector<StoredExtent>& extents) const {
    Shape shape;
    for (const StoredExtent& extent : extents) shape.push_back(dim_of(extent));
    return shape;
  }
  std::tuple<std::string, Shape, Dtype> describe_next(const StoredSpec& spec) {
    values_.emplace_back(next_name(), shape_of(spec.shape), spec.dtype);
    return values_.back();
  }
  Described described(const std::vector<uint32_t>& places) const {
    Described result;
    for (const uint32_t place : places) result.push_back(values_[place]);
    return result;
  }

  StateT state_of(const StoredAttribute& attribute) const {
    switch (attribute.kind) {
      case AttributeKind::whole:
        return static_cast<int>(attribute.integer);
      case AttributeKind::real:
        return attribute.number;
      case AttributeKind::text:
        return std::string(attribute.text);
      case AttributeKind::dtype:
        return dtype_from_value(static_cast<Dtype::Val>(attribute.integer));
      case AttributeKind::extent:
        return static_cast<int>(dim_of(attribute.extents[0]));
      case AttributeKind::shape:
        return shape_of(attribute.extents);
      case AttributeKind::wholes:
        break;
    }
    return attribute.integers;
  }

  void tell_node(const StoredNode& node) {
    std::vector<StateT> arguments;
    for (const StoredAttribute& attribute : parse_attributes(node.attributes)) {
      arguments.push_back(state_of(attribute));
    }
    const Described inputs = described(node.inputs);
    Described outputs;
    for (const StoredSpec& spec : node.outputs) outputs.push_back(describe_next(spec));
    callback_({{"type", std::string("primitive")},
               {"name", node.name},
               {"arguments", arguments},
               {"inputs", inputs},
               {"outputs", outputs}});
  }

  const StoredTrace& trace_;
  const std::vector<array>& constants_;
  const ExportCallback& callback_;
  std::vector<int64_t> places_;
  Described values_;
};

}  // namespace

void tell_trace(const StoredTrace& trace, const std::vector<array>& constants,
                const ExportCallback& callback) {
  Telling(trace, constants, callback).run();
}

}  // namespace lazuli
