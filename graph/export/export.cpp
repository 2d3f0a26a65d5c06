#include <lazuli/graph/export/export.h>

#include <cstdio>
#include <map>
#include <stdexcept>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/file_writer.h>
#include <lazuli/graph/export/store_trace.h>
#include <lazuli/graph/export/tell_trace.h>
#include <lazuli/graph/trace.h>
#include <lazuli/graph/transforms/tracing.h>

namespace lazuli {

namespace {

using Function = std::function<std::vector<array>(const Args&, const Kwargs&)>;

/// What a function is called with while it is traced.
struct Arguments {
  std::vector<array> all;  ///< those without names, then those with, in the order of these
  std::vector<std::string> keywords;
};

Arguments ordered(const Args& args, const Kwargs& kwargs) {
  Arguments arguments{args, {}};
  for (const auto& [keyword, a] : std::map<std::string, array>(kwargs.begin(), kwargs.end())) {
    arguments.keywords.push_back(keyword);
    arguments.all.push_back(a);
  }
  return arguments;
}

std::vector<array> call(const Function& function, const std::vector<array>& all,
                        const std::vector<std::string>& keywords) {
  const size_t positional = all.size() - keywords.size();
  Kwargs kwargs;
  for (size_t i = 0; i < keywords.size(); ++i) kwargs.emplace(keywords[i], all[positional + i]);
  const transforms::TracingScope tracing;
  return function({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(positional)}, kwargs);
}

/// Whether a trace was made for arguments of the same dtypes and extents.
bool is_same_signature(const StoredTrace& a, const StoredTrace& b) {
  if (a.keywords != b.keywords || a.inputs.size() != b.inputs.size()) return false;
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    const StoredSpec& x = a.inputs[i];
    const StoredSpec& y = b.inputs[i];
    if (x.dtype != y.dtype || x.shape.size() != y.shape.size()) return false;
    for (size_t d = 0; d < x.shape.size(); ++d) {
      if (x.shape[d].is_place != y.shape[d].is_place) return false;
      if (!x.shape[d].is_place && x.shape[d].value != y.shape[d].value) return false;
    }
  }
  return true;
}

}  // namespace

struct FunctionExporter::State {
  std::string path;  ///< empty where a callback is told
  ExportCallback callback;
  Function function;
  bool shapeless = false;
  FunctionFile file;
  ConstantPlaces places;
  bool is_closed = false;

  void add(const Args& args, const Kwargs& kwargs) {
    if (is_closed) throw std::invalid_argument("[export_function] the exporter is closed");
    StoredTrace trace = traced(ordered(args, kwargs));
    for (const StoredTrace& other : file.traces) {
      // Shapeless traces may differ in their conditions.
      if (is_same_signature(other, trace) && (!shapeless || other.symbol_values == trace.symbol_values ||
                                              other.dims.guards == trace.dims.guards)) {
        throw std::invalid_argument(
            "[export_function] there is a trace for arguments of these dtypes and shapes already");
      }
    }
    if (callback) tell_trace(trace, file.constants, callback);
    file.traces.push_back(std::move(trace));
  }

  StoredTrace traced(const Arguments& arguments) {
    std::optional<DimScope> scope;
    if (shapeless) scope.emplace();
    std::vector<array> placeholders;
    std::vector<int64_t> symbol_values;
    for (const array& argument : arguments.all) {
      Shape shape;
      for (const Dim extent : argument.shape()) {
        if (extent.is_symbolic()) {
          throw std::invalid_argument(
              "[export_function] functions cannot be exported while others are traced");
        }
        shape.push_back(scope ? scope->new_symbol(extent.hint()) : extent);
        if (shape.back().is_symbolic()) symbol_values.push_back(extent.hint());
      }
      placeholders.emplace_back(Node::placeholder_of({std::move(shape), argument.dtype()}));
    }
    const std::vector<array> results = call(function, placeholders, arguments.keywords);
    Graph graph = build_function_graph(placeholders, results);
    if (scope) {
      graph.dim_base = scope->base();
      graph.dims = scope->table();
    }
    StoredTrace trace = store_trace(graph, file.constants, places);
    trace.keywords = arguments.keywords;
    trace.symbol_values = std::move(symbol_values);
    return trace;
  }

  void close() {
    if (is_closed) return;
    is_closed = true;
    if (path.empty()) return;
    eval(file.constants);
    try {
      FileWriter writer(path);
      write_function_file(writer, file);
      writer.commit();
    } catch (const std::exception& error) {
      throw std::runtime_error("[export_function] " + path + ": " + error.what());
    }
  }
};

/// Makes exporters.
struct ExporterAccess {
  static FunctionExporter make(const std::string& path, ExportCallback callback, Function function,
                               bool shapeless, const ExportMetadata& metadata) {
    auto state = std::make_unique<FunctionExporter::State>();
    state->path = path;
    state->callback = std::move(callback);
    state->function = std::move(function);
    state->shapeless = shapeless;
    state->file.metadata = metadata;
    return FunctionExporter(std::move(state));
  }
};

namespace {

Function of_args(ArgsFunction fun) {
  return [fun = std::move(fun)](const Args& args, const Kwargs& kwargs) {
    if (!kwargs.empty()) throw std::invalid_argument("[export_function] the function takes no keywords");
    return fun(args);
  };
}
Function of_kwargs(KwargsFunction fun) {
  return [fun = std::move(fun)](const Args& args, const Kwargs& kwargs) {
    if (!args.empty()) throw std::invalid_argument("[export_function] the function takes keywords only");
    return fun(kwargs);
  };
}

void export_once(FunctionExporter exporter, const Args& args, const Kwargs& kwargs) {
  exporter(args, kwargs);
  exporter.close();
}

}  // namespace

FunctionExporter::FunctionExporter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FunctionExporter::FunctionExporter(FunctionExporter&& other) noexcept = default;
FunctionExporter& FunctionExporter::operator=(FunctionExporter&& other) noexcept = default;

FunctionExporter::~FunctionExporter() {
  // Without a trace (the function has thrown, say) there is nothing to write.
  if (!state_ || state_->file.traces.empty()) return;
  try {
    close();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
}

void FunctionExporter::operator()(const Args& args) {
  state_->add(args, {});
}
void FunctionExporter::operator()(const Kwargs& kwargs) {
  state_->add({}, kwargs);
}
void FunctionExporter::operator()(const Args& args, const Kwargs& kwargs) {
  state_->add(args, kwargs);
}
void FunctionExporter::close() {
  state_->close();
}

FunctionExporter exporter(const std::string& file, const ArgsFunction& fun, bool shapeless,
                          const ExportMetadata& metadata) {
  return ExporterAccess::make(file, nullptr, of_args(fun), shapeless, metadata);
}
FunctionExporter exporter(const std::string& file, const KwargsFunction& fun, bool shapeless,
                          const ExportMetadata& metadata) {
  return ExporterAccess::make(file, nullptr, of_kwargs(fun), shapeless, metadata);
}
FunctionExporter exporter(const std::string& file, const ArgsKwargsFunction& fun, bool shapeless,
                          const ExportMetadata& metadata) {
  return ExporterAccess::make(file, nullptr, fun, shapeless, metadata);
}
FunctionExporter exporter(const ExportCallback& callback, const ArgsFunction& fun, bool shapeless) {
  return ExporterAccess::make({}, callback, of_args(fun), shapeless, {});
}
FunctionExporter exporter(const ExportCallback& callback, const KwargsFunction& fun, bool shapeless) {
  return ExporterAccess::make({}, callback, of_kwargs(fun), shapeless, {});
}
FunctionExporter exporter(const ExportCallback& callback, const ArgsKwargsFunction& fun, bool shapeless) {
  return ExporterAccess::make({}, callback, fun, shapeless, {});
}

void export_function(const std::string& file, const ArgsFunction& fun, const Args& args, bool shapeless,
                     const ExportMetadata& metadata) {
  export_once(exporter(file, fun, shapeless, metadata), args, {});
}
void export_function(const std::string& file, const KwargsFunction& fun, const Kwargs& kwargs, bool shapeless,
                     const ExportMetadata& metadata) {
  export_once(exporter(file, fun, shapeless, metadata), {}, kwargs);
}
void export_function(const std::string& file, const ArgsKwargsFunction& fun, const Args& args,
                     const Kwargs& kwargs, bool shapeless, const ExportMetadata& metadata) {
  export_once(exporter(file, fun, shapeless, metadata), args, kwargs);
}
void export_function(const ExportCallback& callback, const ArgsFunction& fun, const Args& args,
                     bool shapeless) {
  export_once(exporter(callback, fun, shapeless), args, {});
}
void export_function(const ExportCallback& callback, const KwargsFunction& fun, const Kwargs& kwargs,
                     bool shapeless) {
  export_once(exporter(callback, fun, shapeless), {}, kwargs);
}
void export_function(const ExportCallback& callback, const ArgsKwargsFunction& fun, const Args& args,
                     const Kwargs& kwargs, bool shapeless) {
  export_once(exporter(callback, fun, shapeless), args, kwargs);
}

}  // namespace lazuli
