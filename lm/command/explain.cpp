#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <lazuli/compiler/fusion/reasons.h>
#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/profiler.h>
#include <lazuli/compiler/program/program.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>

#include <lazuli/lm/command/command.h>
#include <lazuli/lm/command/explain_expression.h>

namespace lazuli::command {
namespace {

struct Example {
  const char* name;
  const char* expression;
  std::vector<std::string> inputs;
};

const std::vector<Example>& examples() {
  static const std::vector<Example> all_examples = {
      {"gelu", "x * (1 + erf(x / 1.4142135)) / 2", {"x=f32[1024,1024]"}},
      {"softmax", "softmax(x * w + b, -1)", {"x=f32[64,1024]", "w=f32[1024]", "b=f32[1024]"}},
      {"rms_norm", "rms_norm(x + r, w, 0.00001)", {"x=bf16[64,1024]", "r=bf16[64,1024]", "w=bf16[1024]"}},
      {"statistics", "mean(x, -1), var(x, -1)", {"x=f32[64,1024]"}},
      {"mlp",
       "g = x @ wg; h = g * sigmoid(g) * (x @ wu); x + h @ wd",
       {"x=f32[32,256]", "wg=f32[256,512]", "wu=f32[256,512]", "wd=f32[512,256]"}},
      {"attention",
       "softmax(q @ swapaxes(k, -1, -2) / 8, -1) @ v",
       {"q=f32[4,64,64]", "k=f32[4,64,64]", "v=f32[4,64,64]"}},
      {"rotate", "concatenate(x[:, 32:64], -x[:, 0:32], 1) * c", {"x=f32[128,64]", "c=f32[128,64]"}}};
  return all_examples;
}

constexpr std::array<const char*, 8> stages{"graph",    "simplified", "groups", "kernel",
                                            "expanded", "llvm",       "asm",    "cost"};

struct ExplainOptions {
  std::string what;
  std::vector<std::string> inputs;
  std::vector<std::string> shown{"graph", "simplified", "groups", "kernel", "cost"};
  std::string target;
  int threads = 0;
  bool list = false;

  bool shows(const char* stage) const { return std::find(shown.begin(), shown.end(), stage) != shown.end(); }
};

void print_list() {
  std::string text = "Examples:\n";
  for (const Example& example : examples()) {
    text += fmt::format("  {:<12} {}\n", example.name, example.expression);
    for (const std::string& input : example.inputs) text += "               " + input + "\n";
  }
  text += "Functions:\n ";
  size_t column = 1;
  for (const std::string& name : expression_functions()) {
    if (column + name.size() > 100) {
      text += "\n ";
      column = 1;
    }
    text += " " + name;
    column += 1 + name.size();
  }
  print(text + "\nOperators: + - * / % @ < <= > >= == != and indices such as x[0, 2:8]\n");
}

void print_section(const std::string& title, const std::string& text) {
  print(fmt::format("== {}\n{}{}", title, text, text.empty() || text.back() != '\n' ? "\n" : ""));
}

/// Each unit with the reasons for it.
std::string groups_text(const FusionPlan& plan) {
  std::string text;
  for (const FusionUnit& unit : plan.units) {
    text += plan.to_text(unit);
    std::istringstream reasons(fusion_reasons(plan, unit));
    for (std::string line; std::getline(reasons, line);) text += "  # " + line + "\n";
  }
  return text;
}

ProgramInput input_of(const array& input) {
  const NodeOutput& output = input.node()->outputs[input.output_index()];
  return {output.buffer, output.offset, output.shape, output.strides, false};
}

/// Runs the program and tells what each kernel took: the fastest of some runs, since others are disturbed.
std::vector<profiler::Record> measure(Program& program, const std::vector<array>& arrays) {
  std::vector<ProgramInput> inputs;
  for (const array& input : arrays) inputs.push_back(input_of(input));
  const JitMode before = jit_mode();
  if (before != JitMode::off) set_jit_mode(JitMode::sync);
  program.run(inputs);  // compiles
  std::vector<profiler::Record> best;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  do {
    profiler::start();
    program.run(inputs);
    profiler::stop();
    std::vector<profiler::Record> run = profiler::report();
    std::sort(run.begin(), run.end(), [](const auto& a, const auto& b) { return a.order < b.order; });
    if (best.empty()) best = run;
    for (size_t i = 0; i < std::min(run.size(), best.size()); ++i) {
      if (run[i].seconds < best[i].seconds) best[i] = run[i];
    }
  } while (std::chrono::steady_clock::now() < end);
  set_jit_mode(before);
  return best;
}

std::string cost_text(const std::vector<profiler::Record>& records) {
  const profiler::Limits limits = profiler::limits();
  std::string text = fmt::format("{:>10} {:>10} {:>10} {:>10} {:>6}  {}\n", "KB", "Kop", "at least us",
                                 "took us", "limit", "kernel or operation");
  for (const profiler::Record& record : records) {
    const double least =
        std::max(record.bytes / limits.bytes_per_second, record.operations / limits.operations_per_second);
    text +=
        fmt::format("{:10.1f} {:10.1f} {:11.2f} {:10.2f} {:5.0f}%  {}{}\n", record.bytes / 1e3,
                    record.operations / 1e3, least * 1e6, record.seconds * 1e6, 100 * record.share_of_limit,
                    record.name, record.is_interpreted ? " (interpreted)" : "");
  }
  return text +
         fmt::format(
             "Limits measured now: {:.1f} GB/s of memory, {:.0f} GFLOP/s. Small arrays stay in caches, "
             "which are faster.\n",
             limits.bytes_per_second * 1e-9, limits.operations_per_second * 1e-9);
}

Target target_of(const std::string& name) {
  if (name.empty()) return host_target();
  if (name == "neon") return target_for("cortex-a72", "", "aarch64-linux-gnu");
  const size_t comma = name.find(',');
  return target_for(name.substr(0, comma), comma == std::string::npos ? "" : name.substr(comma + 1));
}

void show_machine_stages(const ExplainOptions& options, const std::vector<profiler::Record>& records) {
  for (const profiler::Record& record : records) {
    if (record.kernel == nullptr) continue;
    const Target target = target_of(options.target);
    const kir::Kernel expanded = kir::expand_math(record.kernel->kernel(), target.math_form());
    if (options.shows("expanded")) {
      print_section("expanded kernel: " + record.name + ", bound to strides, math expanded",
                    kir::to_text(expanded));
    }
    if (options.shows("llvm")) {
      print_section("llvm: " + record.name, kernel_text(target, expanded, CodeText::llvm_ir));
    }
    if (options.shows("asm")) {
      print_section("asm: " + record.name, kernel_text(target, expanded, CodeText::assembly));
    }
  }
}

void run(ExplainOptions options) {
  if (options.list) return print_list();
  if (options.what.empty()) throw CLI::RequiredError("EXPRESSION");
  if (options.threads > 0) set_num_threads(options.threads);
  for (const Example& example : examples()) {
    if (options.what != example.name || !options.inputs.empty()) continue;
    options.what = example.expression;
    options.inputs = example.inputs;
    break;
  }
  // As in a compiled function: inputs are arguments, all else constants. Extents are numbers, to be read
  // easily.
  std::vector<array> inputs, arguments;
  std::map<std::string, array> names;
  for (const std::string& text : options.inputs) {
    auto [name, input] = make_input(text, inputs.size() + 1);
    arguments.emplace_back(Node::placeholder_of({input.shape(), input.dtype()}));
    inputs.push_back(std::move(input));
    if (!names.emplace(name, arguments.back()).second) {
      throw std::invalid_argument("[explain] There are two inputs '" + name + "'");
    }
  }
  const Graph graph = build_function_graph(arguments, evaluate_expression(options.what, names));
  if (graph.nodes.empty())
    throw std::invalid_argument("[explain] In '" + options.what + "' nothing is left to compute");
  if (options.shows("graph")) print_section("graph, as built", graph.to_text());
  const Graph simplified = simplify(graph);
  if (options.shows("simplified")) print_section("graph, simplified", simplified.to_text());
  const std::shared_ptr<Program> program = Program::create(simplified, "explain");
  if (options.shows("groups")) print_section("groups", groups_text(program->plan()));
  if (options.shows("kernel")) {
    int number = 0;
    for (const ProgramStep& step : program->steps()) {
      const auto print_kernel = [&](const LoweredKernel& kernel) {
        print_section(fmt::format("kernel {}", ++number), kir::to_text(kernel.kernel));
      };
      if (step.has_prologue()) print_kernel(step.prologue);
      if (step.kind == FusionUnit::Kind::group || step.has_epilogue) print_kernel(step.kernel);
    }
  }
  const bool machine = options.shows("expanded") || options.shows("llvm") || options.shows("asm");
  if (!machine && !options.shows("cost")) return;
  const std::vector<profiler::Record> records = measure(*program, inputs);
  show_machine_stages(options, records);
  if (options.shows("cost")) print_section("cost: estimated and measured", cost_text(records));
}

}  // namespace

void add_explain(CLI::App& app) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command =
      app.add_subcommand("explain", "Shows a small expression, or an example, at each stage of compilation.");
  command->add_option("what", options->what, "Such as \"softmax(x * w + b, -1)\", or an example's name")
      ->type_name("EXPRESSION");
  command->add_option("--input", options->inputs, "An array of the expression, such as x=float32[64,1024]")
      ->type_name("NAME=DTYPE[SHAPE]");
  std::vector<std::string> names(stages.begin(), stages.end());
  command
      ->add_option("--stage", options->shown,
                   "What to show: graph, simplified, groups, kernel, expanded, llvm, asm, cost")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  command
      ->add_option("--target", options->target,
                   "CPU for expanded, llvm and asm, as LLVM calls it, or neon; by default this one")
      ->type_name("CPU");
  command->add_option("--threads", options->threads, "Threads to compute with")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--list", options->list, "List the examples, functions and operators there are");
  command->callback([options] { run(*options); });
}

}  // namespace lazuli::command
