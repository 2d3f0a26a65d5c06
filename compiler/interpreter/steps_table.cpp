#include <lazuli/compiler/interpreter/steps.h>
#include <lazuli/compiler/llvm/target.h>

namespace lazuli::interpreter {
namespace {

const StepTable& choose() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::avx512:
      return step_table_avx512();
    case InstructionSet::avx2:
      return step_table_avx2();
    case InstructionSet::baseline:
      break;
  }
#endif
  return step_table_baseline();
}

}  // namespace

const StepTable& step_table() {
  static const StepTable& table = choose();
  return table;
}

}  // namespace lazuli::interpreter
