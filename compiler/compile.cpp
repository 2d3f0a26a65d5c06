#include <lazuli/compiler/compile.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>

#include <lazuli/array/evaluator.h>
#include <lazuli/compiler/program/program.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>
#include <lazuli/graph/transforms/tracing.h>

namespace lazuli {

namespace {

std::atomic<CompileMode> mode{std::getenv("LAZULI_DISABLE_COMPILE") != nullptr ? CompileMode::disabled
                                                                               : CompileMode::enabled};
std::atomic<uint64_t> trace_hits{0}, trace_misses{0}, traces_evicted{0};
thread_local int tracing_depth = 0;

struct TracingScope {
  TracingScope() { ++tracing_depth; }
  ~TracingScope() { --tracing_depth; }
};

/// What a traced argument was: extents are symbols, but for 0 and 1, which stay what they are.
struct TracedArgument {
  Dtype dtype = float32;
  Shape shape;
};

struct Trace {
  std::vector<TracedArgument> arguments;
  uint32_t dim_base = 0;
  DimTable dims;
  std::shared_ptr<Program> program;
  CompileMode mode = CompileMode::enabled;

  /// The values of the symbols for these arguments, where the trace holds for them.
  std::optional<std::vector<int64_t>> match(const std::vector<array>& inputs) const {
    if (inputs.size() != arguments.size()) return std::nullopt;
    std::vector<int64_t> symbols;
    symbols.reserve(static_cast<size_t>(dims.symbols));
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Shape& shape = inputs[i].shape();
      const TracedArgument& argument = arguments[i];
      if (inputs[i].dtype() != argument.dtype || shape.size() != argument.shape.size()) return std::nullopt;
      for (size_t d = 0; d < shape.size(); ++d) {
        const int32_t extent = shape[d].hint();
        if (argument.shape[d].is_symbolic()) {
          if (extent < 2) return std::nullopt;
          symbols.push_back(extent);
        } else if (extent != argument.shape[d].hint()) {
          return std::nullopt;
        }
      }
    }
    if (!dims.guards.empty() && !dims.guards_hold(dims.evaluate(symbols))) return std::nullopt;
    return symbols;
  }
};

ProgramInput input_of(const array& input, bool given_up) {
  const Ref<Node>& node = input.node();
  const NodeOutput& output = node->outputs[input.output_index()];
  const bool donated =
      given_up && node->ref_count() == 1 && node->outputs.size() == 1 && output.buffer->ref_count() == 1;
  return {output.buffer, output.offset, output.shape, output.strides, donated};
}

}  // namespace

struct CompiledState {
  explicit CompiledState(ArrayFunction traced) : function(std::move(traced)) {}

  ArrayFunction function;
  std::mutex mutex;
  std::vector<std::shared_ptr<const Trace>> traces;  // the one used last first
  int trace_count = 0;

  /// The trace that serves these inputs, which are evaluated, and the values of its symbols.
  std::pair<std::shared_ptr<const Trace>, std::vector<int64_t>> trace_for(const std::vector<array>& inputs) {
    for (const array& input : inputs) {
      if (input.is_available()) continue;
      eval(inputs);
      break;
    }
    const CompileMode mode_now = compile_mode();
    const std::lock_guard lock(mutex);
    for (auto known = traces.begin(); known != traces.end(); ++known) {
      if ((*known)->mode != mode_now) continue;
      auto symbols = (*known)->match(inputs);
      if (!symbols) continue;
      trace_hits.fetch_add(1, std::memory_order_relaxed);
      std::rotate(traces.begin(), known, known + 1);
      return {traces.front(), std::move(*symbols)};
    }
    trace_misses.fetch_add(1, std::memory_order_relaxed);
    std::shared_ptr<const Trace> trace = trace_function(inputs, mode_now);
    auto symbols = trace->match(inputs);
    if (!symbols)
      throw std::logic_error("[compile] a trace does not hold for the arguments it was made with");
    if (traces.size() == traces_kept) {
      traces.pop_back();
      traces_evicted.fetch_add(1, std::memory_order_relaxed);
    }
    traces.insert(traces.begin(), trace);
    ++trace_count;
    return {std::move(trace), std::move(*symbols)};
  }

  static std::vector<ProgramInput> inputs_of(const std::vector<array>& inputs, bool given_up) {
    std::vector<ProgramInput> program_inputs;
    program_inputs.reserve(inputs.size());
    for (const array& input : inputs) program_inputs.push_back(input_of(input, given_up));
    return program_inputs;
  }

  std::vector<array> call(const std::vector<array>& inputs, bool given_up) {
    // Inside of another function's trace, or of one that is being transformed, this one is a part of it.
    if (tracing_depth > 0 || transforms::is_tracing() || compile_mode() == CompileMode::disabled)
      return function(inputs);
    const auto [trace, symbols] = trace_for(inputs);
    std::vector<ProgramInput> program_inputs = inputs_of(inputs, given_up);
    std::vector<ProgramOutput> outputs = trace->program->run(program_inputs, symbols);

    const Graph& graph = trace->program->graph();
    std::vector<array> results;
    results.reserve(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      ProgramOutput& output = outputs[i];
      results.emplace_back(Node::of_data(std::move(output.buffer), output.offset, std::move(output.shape),
                                         std::move(output.strides), graph.spec(graph.outputs[i]).dtype));
    }
    return results;
  }

  std::shared_ptr<const Trace> trace_function(const std::vector<array>& inputs, CompileMode mode_now) const {
    DimScope scope;
    auto trace = std::make_shared<Trace>();
    std::vector<array> placeholders;
    for (const array& input : inputs) {
      TracedArgument argument{input.dtype(), {}};
      for (Dim extent : input.shape()) argument.shape.push_back(scope.new_symbol(extent.hint()));
      placeholders.emplace_back(Node::placeholder_of({argument.shape, argument.dtype}));
      trace->arguments.push_back(std::move(argument));
    }
    std::vector<array> results;
    {
      const TracingScope tracing;
      results = function(placeholders);
    }
    Graph graph = build_function_graph(placeholders, results);
    graph.dim_base = scope.base();
    graph.dims = scope.table();
    if (prints(Stage::graph)) print_stage(Stage::graph, "compile, as traced", graph.to_text());
    trace->mode = mode_now;
    if (trace->mode != CompileMode::no_simplify) {
      graph = simplify(graph);
      if (prints(Stage::graph)) print_stage(Stage::graph, "compile, simplified", graph.to_text());
    }
    trace->program = Program::create(graph, "compile", &scope, trace->mode != CompileMode::no_fuse);
    trace->dim_base = scope.base();
    trace->dims = scope.table();
    return trace;
  }
};

std::vector<array> CompiledFunction::operator()(const std::vector<array>& inputs) const {
  return state_->call(inputs, false);
}

std::vector<array> CompiledFunction::operator()(std::vector<array>&& inputs) const {
  const std::vector<array> given_up = std::move(inputs);
  return state_->call(given_up, true);
}

int CompiledFunction::trace_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->trace_count;
}

size_t CompiledFunction::peak_memory(const std::vector<array>& inputs) const {
  const auto [trace, symbols] = state_->trace_for(inputs);
  return static_cast<size_t>(trace->program->memory(CompiledState::inputs_of(inputs, false), symbols));
}

int CompiledFunction::kernel_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->traces.empty() ? 0 : static_cast<int>(state_->traces.front()->program->kernel_count());
}

CompiledFunction compile(ArrayFunction function, bool /*shapeless*/) {
  return CompiledFunction(std::make_shared<CompiledState>(std::move(function)));
}

std::function<array(const array&)> compile(std::function<array(const array&)> function, bool shapeless) {
  CompiledFunction compiled =
      compile(ArrayFunction([function = std::move(function)](const std::vector<array>& inputs) {
                return std::vector<array>{function(inputs[0])};
              }),
              shapeless);
  return
      [compiled = std::move(compiled)](const array& input) { return compiled(std::vector<array>{input})[0]; };
}

void set_compile_mode(CompileMode new_mode) {
  mode.store(new_mode, std::memory_order_relaxed);
}
CompileMode compile_mode() {
  return mode.load(std::memory_order_relaxed);
}
void disable_compile() {
  set_compile_mode(CompileMode::disabled);
}
void enable_compile() {
  set_compile_mode(CompileMode::enabled);
}

CompileStatistics compile_statistics() {
  return {trace_hits.load(), trace_misses.load(), traces_evicted.load()};
}

}  // namespace lazuli
