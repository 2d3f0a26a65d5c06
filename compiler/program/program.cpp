#include <lazuli/compiler/program/program.h>

#include <algorithm>

#include <lazuli/compiler/operations.h>
#include <lazuli/compiler/program/binding.h>
#include <lazuli/compiler/program/step_order.h>
#include <lazuli/compiler/settings.h>

namespace lazuli {

namespace {

constexpr size_t bindings_kept = 8;

void add_once(std::vector<Graph::ValueId>& values, Graph::ValueId value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

}  // namespace

Program::~Program() = default;

std::shared_ptr<Program> Program::create(const Graph& graph, const std::string& title, DimScope* scope,
                                         bool fuse) {
  std::shared_ptr<Program> program(new Program);
  program->plan_ = plan_fusion(prepare_for_fusion(graph), num_threads(), fuse);
  if (prints(Stage::groups)) print_stage(Stage::groups, title, program->plan_.to_text());
  const Graph& prepared = program->graph();
  for (const FusionUnit& unit : program->plan_.units) {
    ProgramStep step;
    step.kind = unit.kind;
    step.node = unit.node;
    step.made = unit.made;
    step.has_epilogue = unit.has_epilogue();
    const auto add_kernel = [&](LoweredKernel& kernel, const FusionGroup& group, LoweredKernel lowered) {
      kernel = std::move(lowered);
      step.members.insert(step.members.end(), group.members.begin(), group.members.end());
      kir::verify(kernel.kernel);
      if (prints(Stage::kernel_ir)) print_stage(Stage::kernel_ir, title, kir::to_text(kernel.kernel));
      for (size_t a = 0; a < kernel.operands.size(); ++a) {
        const KernelOperand& operand = kernel.operands[a];
        if (operand.kind == KernelOperand::Kind::sums) add_once(step.writes, operand.value);
        if (operand.kind != KernelOperand::Kind::tensor) continue;
        const bool output = kernel.kernel.accesses[a].kind == kir::Access::Kind::output;
        add_once(output ? step.writes : step.reads, operand.value);
      }
    };
    if (unit.has_prologue()) {
      add_kernel(step.prologue, unit.prologue, lower_prologue(program->plan_, unit));
    }
    if (unit.kind == FusionUnit::Kind::group || unit.has_epilogue()) {
      if (unit.group.outputs.empty()) continue;
      add_kernel(step.kernel, unit.group, lower_unit(program->plan_, unit));
    }
    if (unit.kind != FusionUnit::Kind::group) {
      const Graph::GraphNode& node = prepared.nodes[unit.node];
      if (unit.kind != FusionUnit::Kind::begin) {
        for (size_t i = unit.has_prologue() ? 1 : 0; i < node.inputs.size(); ++i) {
          add_once(step.reads, value_under_views(prepared, node.inputs[i]));
        }
      } else if (node.operation->kind() == OperationKind::update) {
        add_once(step.reads, value_under_views(prepared, node.inputs[0]));
      }
      if (!unit.has_epilogue()) {
        for (Graph::ValueId output : node.outputs) add_once(step.writes, output);
      }
    }
    program->steps_.push_back(std::move(step));
  }
  program->order_steps();
  // Planning computes with extents, so the table is complete only now.
  if (scope != nullptr) program->plan_.prepared.graph.dims = scope->table();
  return program;
}

void Program::order_steps() {
  std::vector<ProgramStep> ordered;
  ordered.reserve(steps_.size());
  for (int step : StepMemory(plan_, steps_).good_order()) {
    ordered.push_back(std::move(steps_[static_cast<size_t>(step)]));
  }
  steps_ = std::move(ordered);
}

int64_t Program::memory(std::span<const ProgramInput> inputs, std::span<const int64_t> symbols) {
  return bind(inputs, symbols)->memory();
}

size_t Program::kernel_count() const {
  return static_cast<size_t>(std::count_if(steps_.begin(), steps_.end(), [](const ProgramStep& step) {
    return step.kind == FusionUnit::Kind::group || step.kind == FusionUnit::Kind::host;
  }));
}

std::shared_ptr<Binding> Program::bind(std::span<const ProgramInput> inputs,
                                       std::span<const int64_t> symbols) {
  static thread_local std::vector<int64_t> key;
  key.assign(symbols.begin(), symbols.end());
  for (const ProgramInput& input : inputs) {
    for (size_t d = 0; d < input.shape.size(); ++d) {
      key.push_back(input.shape[d].hint());
      key.push_back(input.strides[d]);
    }
  }
  key.push_back(num_threads());
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < bindings_.size(); ++i) {
    if (bindings_[i].first != key) continue;
    std::rotate(bindings_.begin(), bindings_.begin() + static_cast<std::ptrdiff_t>(i),
                bindings_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    return bindings_.front().second;
  }
  auto binding = std::make_shared<Binding>(*this, inputs, symbols);
  if (bindings_.size() == bindings_kept) bindings_.pop_back();
  bindings_.emplace(bindings_.begin(), key, binding);
  return binding;
}

std::vector<ProgramOutput> Program::run(std::span<ProgramInput> inputs, std::span<const int64_t> symbols) {
  return bind(inputs, symbols)->run(inputs);
}

}  // namespace lazuli
