#include <lazuli/compiler/interpreter/interpreter.h>

#include <lazuli/compiler/interpreter/plan.h>
#include <lazuli/compiler/interpreter/run.h>
#include <lazuli/compiler/llvm/target.h>

namespace lazuli {

InterpretedKernel::InterpretedKernel(const kir::Kernel& kernel)
    : plan_(std::make_unique<const interpreter::Plan>(interpreter::make_plan(
          kir::expand_math(kernel, host_target().math_form()), interpreter::step_table()))) {}

InterpretedKernel::~InterpretedKernel() = default;

void InterpretedKernel::run(const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
                            int64_t outer_end, int64_t inner_begin, int64_t inner_end) const {
  interpreter::Run(*plan_, arguments, scratch, outer_begin, outer_end, inner_begin, inner_end).execute();
}

}  // namespace lazuli
