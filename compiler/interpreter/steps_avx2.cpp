#if defined(__x86_64__)

#include <lazuli/compiler/interpreter/steps_reduce.h>

/// The steps for machines with the extensions that this file is compiled for, see
/// cmake/LazuliInterpreter.cmake.
namespace lazuli::interpreter {

const StepTable& step_table_avx2() {
  static const StepTable table = make_table();
  return table;
}

}  // namespace lazuli::interpreter

#endif
