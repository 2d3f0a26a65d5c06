#include <lazuli/compiler/program/binding.h>

#include <algorithm>
#include <optional>

#include <lazuli/array/array.h>
#include <lazuli/compiler/program/binder.h>

namespace lazuli {

namespace {

/// Strides that walk `location` in row-major order as `shape`, where there are such.
std::optional<Strides> reshaped_strides(const Location& location, const Shape& shape) {
  // Dimensions of extent 1 say nothing; the others are matched in runs of equal products.
  std::vector<std::pair<int64_t, int64_t>> old;  // extent, stride
  for (size_t d = 0; d < location.shape.size(); ++d) {
    if (location.shape[d].hint() != 1) old.emplace_back(location.shape[d].hint(), location.strides[d]);
  }
  Strides strides(shape.size(), 0);
  if (element_count(shape) == 0) return row_major_strides(shape);
  size_t at = 0;
  for (size_t d = 0; d < shape.size();) {
    if (shape[d].hint() == 1) {
      strides[d++] = 1;
      continue;
    }
    size_t old_end = at + 1, new_end = d + 1;
    int64_t old_product = old[at].first, new_product = shape[d].hint();
    while (old_product != new_product) {
      if (old_product < new_product) {
        old_product *= old[old_end++].first;
      } else {
        new_product *= shape[new_end++].hint();
      }
    }
    for (size_t i = at; i + 1 < old_end; ++i) {
      if (old[i].second != old[i + 1].second * old[i + 1].first) return std::nullopt;
    }
    int64_t stride = old[old_end - 1].second;
    for (size_t i = new_end; i-- > d;) {
      strides[i] = stride;
      stride *= shape[i].hint();
    }
    at = old_end;
    d = new_end;
  }
  return strides;
}

}  // namespace

bool is_row_major(const Location& location) {
  int64_t expected = 1;
  for (size_t d = location.shape.size(); d-- > 0;) {
    const int64_t extent = location.shape[d].hint();
    if (extent != 1 && location.strides[d] != expected) return false;
    expected *= extent;
  }
  return true;
}

Binder::Binder(Binding& binding, const Program& program, std::span<const ProgramInput> inputs,
               std::span<const int64_t> symbols)
    : binding_(binding), program_(program), graph_(program.graph()), locations_(graph_.values.size()) {
  if (!symbols.empty() || graph_.dims.symbols > 0) dims_ = graph_.dims.evaluate(symbols);
  place_sources(inputs);
}

void Binder::run() {
  const auto& steps = program_.steps();
  for (size_t s = 0; s < steps.size(); ++s) place_step(static_cast<int>(s));
  find_lifetimes();
  for (size_t s = 0; s < steps.size(); ++s) take_over_memory(static_cast<int>(s));
  resolve_merged();
  std::vector<int> begins;  // the first run of each step
  for (size_t s = 0; s < steps.size(); ++s) {
    begins.push_back(static_cast<int>(binding_.runs_.size()));
    write_step(static_cast<int>(s));
  }
  begins.push_back(static_cast<int>(binding_.runs_.size()));
  plan_memory(begins);
  for (Graph::ValueId output : graph_.outputs) {
    Location location = locate(output);
    location.storage = find(location.storage);
    binding_.outputs_.push_back(std::move(location));
  }
  // Merged storages stand in for the one they were merged into.
  for (size_t s = 0; s < binding_.storages_.size(); ++s) {
    const int root = find(static_cast<int>(s));
    if (root != static_cast<int>(s)) binding_.storages_[s].bytes = 0;
  }
}

Shape Binder::concrete(const Shape& shape) const {
  Shape result;
  for (Dim dim : shape) result.push_back(Dim(concrete(dim)));
  return result;
}

int Binder::add_storage(Storage::Kind kind, int index, int64_t bytes) {
  Storage storage;
  storage.kind = kind;
  storage.index = index;
  storage.bytes = bytes;
  storage.first = static_cast<int>(program_.steps().size());
  storage.last = -1;
  binding_.storages_.push_back(storage);
  merged_.push_back(-1);
  return static_cast<int>(binding_.storages_.size() - 1);
}

Location Binder::fresh(Graph::ValueId value) {
  Location location;
  location.shape = concrete(graph_.spec(value).shape);
  location.strides = row_major_strides(location.shape);
  location.storage =
      add_storage(Storage::Kind::temporary, 0, element_count(location.shape) * item_size(value));
  return location;
}

void Binder::place_sources(std::span<const ProgramInput> inputs) {
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    Location location;
    location.storage = add_storage(Storage::Kind::input, static_cast<int>(i), 0);
    location.shape = inputs[i].shape;
    location.strides = inputs[i].strides;
    locations_[graph_.inputs[i]] = std::move(location);
  }
  for (Graph::ValueId value = 0; value < graph_.values.size(); ++value) {
    const array* constant = graph_.constant(value);
    if (constant == nullptr) continue;
    const NodeOutput& output = constant->node()->outputs[constant->output_index()];
    Location location;
    location.storage = add_storage(Storage::Kind::constant, static_cast<int>(binding_.constants_.size()), 0);
    location.offset = output.offset;
    location.shape = output.shape;
    location.strides = output.strides;
    binding_.constants_.push_back(output.buffer);
    locations_[value] = std::move(location);
  }
}

const Location& Binder::locate(Graph::ValueId value) {
  Location& location = locations_[value];
  if (location.storage >= 0) return location;
  const Graph::GraphNode& node = *graph_.producer(value);
  const auto& view = static_cast<const ViewOperation&>(*node.operation);
  const Shape& input = graph_.spec(node.inputs[0]).shape;
  const IndexMap map = view.map(input, graph_.spec(value).shape);
  const Location& from = locate(node.inputs[0]);
  Location result;
  result.storage = from.storage;
  result.offset = from.offset;
  result.shape = concrete(graph_.spec(value).shape);
  result.strides = Strides(result.shape.size(), 0);
  for (size_t d = 0; d < map.size(); ++d) {
    result.offset += concrete(map[d].offset) * from.strides[d] * item_size(value);
    if (map[d].dim >= 0)
      result.strides[static_cast<size_t>(map[d].dim)] += concrete(map[d].scale) * from.strides[d];
  }
  return location = std::move(result);
}

void Binder::place_step(int s) {
  const ProgramStep& step = program_.steps()[static_cast<size_t>(s)];
  switch (step.kind) {
    case FusionUnit::Kind::group:
    case FusionUnit::Kind::host:
      for (Graph::ValueId value : step.writes) {
        if (locations_[value].storage < 0) locations_[value] = fresh(value);
      }
      break;
    case FusionUnit::Kind::begin:
      for (Graph::ValueId value : step.writes) locations_[value] = fresh(value);
      break;
    case FusionUnit::Kind::reshape: {
      const Graph::ValueId value = step.writes[0];
      const Location from = locate(graph_.nodes[step.node].inputs[0]);
      Shape shape = concrete(graph_.spec(value).shape);
      if (const auto strides = reshaped_strides(from, shape)) {
        locations_[value] = {from.storage, from.offset, std::move(shape), *strides};
      } else {
        locations_[value] = fresh(value);
        copies_.push_back(s);
      }
      break;
    }
  }
}

void Binder::find_lifetimes() {
  const auto& steps = program_.steps();
  for (int s = 0; s < static_cast<int>(steps.size()); ++s) {
    const auto touch = [&](Graph::ValueId value) {
      Storage& storage = storage_of(value);
      storage.first = std::min(storage.first, s);
      storage.last = std::max(storage.last, s);
    };
    const ProgramStep& step = steps[static_cast<size_t>(s)];
    std::for_each(step.reads.begin(), step.reads.end(), touch);
    std::for_each(step.writes.begin(), step.writes.end(), touch);
  }
  for (Graph::ValueId output : graph_.outputs) {
    Storage& storage = storage_of(output);
    storage.last = static_cast<int>(steps.size());
    if (storage.kind == Storage::Kind::temporary) storage.kind = Storage::Kind::output;
  }
}

void Binder::resolve_merged() {
  for (Location& location : locations_) {
    if (location.storage >= 0) location.storage = find(location.storage);
  }
}

Binding::Binding(const Program& program, std::span<const ProgramInput> inputs,
                 std::span<const int64_t> symbols) {
  Binder(*this, program, inputs, symbols).run();
}

}  // namespace lazuli
