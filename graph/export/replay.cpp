#include <lazuli/graph/export/replay.h>

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include <lazuli/graph/operation_registry.h>

namespace lazuli {

namespace {

bool is_symbolic(const std::vector<array>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [](const array& input) {
    return std::any_of(input.shape().begin(), input.shape().end(), [](Dim d) { return d.is_symbolic(); });
  });
}

/// The expressions of a table in Dim arithmetic.
std::vector<Dim> computed(const DimTable& table, const std::vector<Dim>& symbols) {
  using Kind = DimExpression::Kind;
  std::vector<Dim> dims(table.expressions.size());
  for (size_t place = 1; place < dims.size(); ++place) {
    const DimExpression& e = table.expressions[place];
    if (e.kind == Kind::symbol) {
      dims[place] = symbols[static_cast<size_t>(e.a)];
      continue;
    }
    if (e.kind == Kind::constant) {
      dims[place] = Dim(e.a);
      continue;
    }
    const Dim a = dims[static_cast<size_t>(e.a)];
    const Dim b = dims[static_cast<size_t>(e.b)];
    switch (e.kind) {
      case Kind::add:
        dims[place] = a + b;
        break;
      case Kind::sub:
        dims[place] = a - b;
        break;
      case Kind::mul:
        dims[place] = a * b;
        break;
      case Kind::div:
        dims[place] = b.hint() == 0 ? Dim(0) : a / b;
        break;
      case Kind::mod:
        dims[place] = b.hint() == 0 ? Dim(0) : a % b;
        break;
      case Kind::min:
        dims[place] = dim_min(a, b);
        break;
      default:
        dims[place] = dim_max(a, b);
        break;
    }
  }
  return dims;
}

bool holds(const DimGuard& guard, const std::vector<Dim>& dims) {
  const Dim a = dims[static_cast<size_t>(guard.a)];
  const Dim b = dims[static_cast<size_t>(guard.b)];
  switch (guard.kind) {
    case DimGuard::Kind::eq:
      return a == b;
    case DimGuard::Kind::ne:
      return !(a == b);
    case DimGuard::Kind::lt:
      return a < b;
    case DimGuard::Kind::le:
      break;
  }
  return a <= b;
}

/// The values of the symbols, where inputs are what the trace takes.
std::optional<std::vector<Dim>> match_symbols(const StoredTrace& trace, const std::vector<array>& inputs) {
  if (inputs.size() != trace.inputs.size()) return std::nullopt;
  std::vector<Dim> symbols(trace.symbol_values.size(), Dim(0));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const StoredSpec& spec = trace.inputs[i];
    const Shape& shape = inputs[i].shape();
    if (inputs[i].dtype() != spec.dtype || shape.size() != spec.shape.size()) return std::nullopt;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (!spec.shape[d].is_place) {
        if (shape[d] != spec.shape[d].value) return std::nullopt;
        continue;
      }
      const auto number =
          static_cast<size_t>(trace.dims.expressions[static_cast<size_t>(spec.shape[d].value)].a);
      if (shape[d] < 2) return std::nullopt;
      if (symbols[number].hint() != 0 && symbols[number] != shape[d]) return std::nullopt;
      symbols[number] = shape[d];
    }
  }
  return symbols;
}

std::string shape_text(const StoredTrace& trace, const StoredSpec& spec) {
  std::string text(dtype_name(spec.dtype));
  text += '(';
  for (size_t d = 0; d < spec.shape.size(); ++d) {
    if (d > 0) text += ',';
    const StoredExtent& extent = spec.shape[d];
    text += extent.is_place ? trace.dims.to_text(static_cast<uint32_t>(extent.value))
                            : std::to_string(extent.value);
  }
  return text + ')';
}

}  // namespace

std::optional<TraceExtents> TraceExtents::match(const StoredTrace& trace, const std::vector<array>& inputs) {
  const std::optional<std::vector<Dim>> symbols = match_symbols(trace, inputs);
  if (!symbols) return std::nullopt;
  TraceExtents extents;
  if (is_symbolic(inputs)) {
    extents.dims_ = computed(trace.dims, *symbols);
    for (const DimGuard& guard : trace.dims.guards) {
      if (!holds(guard, extents.dims_)) return std::nullopt;
    }
  } else {
    std::vector<int64_t> values;
    for (const Dim symbol : *symbols) values.push_back(symbol.hint());
    extents.numbers_ = trace.dims.evaluate(values);
    if (!trace.dims.guards_hold(extents.numbers_)) return std::nullopt;
  }
  return extents;
}

Dim TraceExtents::at(int32_t place) const {
  const size_t count = std::max(numbers_.size(), dims_.size());
  if (place <= 0 || static_cast<size_t>(place) >= count) throw std::runtime_error("an extent is not there");
  return dims_.empty() ? Dim(numbers_[static_cast<size_t>(place)]) : dims_[static_cast<size_t>(place)];
}

namespace {

using Visit = void (*)(const StoredNode& node, const std::vector<array>& outputs,
                       const TraceExtents& extents);

std::vector<array> replay_visiting(const StoredTrace& trace, const std::vector<array>& constants,
                                   const std::vector<array>& inputs, const TraceExtents& extents,
                                   Visit visit) {
  std::vector<array> values = inputs;
  for (const uint32_t constant : trace.constants) values.push_back(constants[constant]);
  const std::function<Dim(int32_t)> dim_at = [&](int32_t place) { return extents.at(place); };
  for (size_t i = 0; i < trace.nodes.size(); ++i) {
    const StoredNode& node = trace.nodes[i];
    try {
      std::vector<array> operands;
      std::vector<ArraySpec> specs;
      for (const uint32_t input : node.inputs) {
        operands.push_back(values[input]);
        specs.push_back({values[input].shape(), values[input].dtype()});
      }
      AttributeReader reader(node.name, node.attributes, specs, dim_at);
      const std::vector<array> outputs =
          apply_multiple(read_operation(node.key, reader), std::move(operands));
      if (outputs.size() != node.outputs.size()) throw std::runtime_error("it has other outputs");
      visit(node, outputs, extents);
      values.insert(values.end(), outputs.begin(), outputs.end());
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("operation {} ({}): {}", i, node.name, error.what()));
    }
  }
  std::vector<array> results;
  for (const uint32_t output : trace.outputs) results.push_back(values[output]);
  return results;
}

void check_outputs(const StoredNode& node, const std::vector<array>& outputs, const TraceExtents& extents) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const StoredSpec& spec = node.outputs[i];
    bool is_same = outputs[i].dtype() == spec.dtype && outputs[i].ndim() == spec.shape.size();
    for (size_t d = 0; is_same && d < spec.shape.size(); ++d) {
      is_same = outputs[i].shape()[d].hint() == extents.of(spec.shape[d]).hint();
    }
    if (!is_same) throw std::runtime_error("its result is " + shape_to_string(outputs[i].shape()));
    element_count(outputs[i].shape());  // throws for what is out of all bounds
  }
}

}  // namespace

std::vector<array> replay(const StoredTrace& trace, const std::vector<array>& constants,
                          const std::vector<array>& inputs, const TraceExtents& extents) {
  return replay_visiting(trace, constants, inputs, extents,
                         [](const StoredNode&, const std::vector<array>&, const TraceExtents&) {});
}

void check_trace(const StoredTrace& trace, const std::vector<array>& constants) {
  const std::vector<int64_t> places = trace.dims.evaluate(trace.symbol_values);
  std::vector<array> inputs;
  for (const StoredSpec& spec : trace.inputs) {
    Shape shape;
    for (const StoredExtent& extent : spec.shape) {
      shape.push_back(extent.is_place ? Dim(places[static_cast<size_t>(extent.value)]) : Dim(extent.value));
    }
    element_count(shape);
    inputs.emplace_back(Node::placeholder_of({std::move(shape), spec.dtype}));
  }
  const std::optional<TraceExtents> extents = TraceExtents::match(trace, inputs);
  if (!extents) throw std::runtime_error("a trace does not hold for the arguments it was made with");
  replay_visiting(trace, constants, inputs, *extents, check_outputs);
}

std::string signature_text(const StoredTrace& trace) {
  std::string text = "(";
  const size_t positional = trace.inputs.size() - trace.keywords.size();
  for (size_t i = 0; i < trace.inputs.size(); ++i) {
    if (i > 0) text += ", ";
    if (i >= positional) text += trace.keywords[i - positional] + "=";
    text += shape_text(trace, trace.inputs[i]);
  }
  return text + ")";
}

}  // namespace lazuli
