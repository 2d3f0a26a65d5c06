#include <lazuli/compiler/interpreter/steps_reduce.h>

/// The steps for any machine of the target's kind.
namespace lazuli::interpreter {

const StepTable& step_table_baseline() {
  static const StepTable table = make_table();
  return table;
}

}  // namespace lazuli::interpreter
