#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/graph/array_function.h>

namespace lazuli {

struct CompiledState;

/// A function compiled by `compile`: callable like the original, and cheap to copy.
class CompiledFunction {
 public:
  explicit CompiledFunction(std::shared_ptr<CompiledState> state) : state_(std::move(state)) {}

  /// Evaluates the function. The results are in memory when it returns.
  std::vector<array> operator()(const std::vector<array>& inputs) const;
  /// The same, giving the inputs up: memory that nobody else holds is reused for results, so that
  /// `slice_update` of a moved-in array happens in place.
  std::vector<array> operator()(std::vector<array>&& inputs) const;
  /// How often the function has been traced.
  int trace_count() const;
  /// How many kernels and host operations a call runs, by the latest trace; 0 before the first.
  int kernel_count() const;
  /// The most bytes that a call with these inputs, which are not given up, takes for temporaries and results:
  /// known before it runs. Traces the function if it must.
  size_t peak_memory(const std::vector<array>& inputs) const;

 private:
  std::shared_ptr<CompiledState> state_;
};

/// Compiles `function`: it is traced at its first call, and the program is then called straight away.
///
/// While tracing, extents of 2 and more are symbols (see `Dim`): the program holds for other lengths too,
/// under the conditions that the trace met; where none holds, the function is traced again. Arrays that the
/// function uses besides its arguments are constants. `shapeless` changes nothing: every compiled function
/// is. Throws what the function throws; evaluating an argument inside of it is an error.
CompiledFunction compile(ArrayFunction function, bool shapeless = false);
/// The same for a function of one array.
std::function<array(const array&)> compile(std::function<array(const array&)> function,
                                           bool shapeless = false);

/// How much compilation does.
enum class CompileMode : std::uint8_t {
  disabled,     ///< nothing: compiled functions call the original
  no_simplify,  ///< the graph is fused as it was traced
  no_fuse,      ///< the graph is simplified, but every operation is a kernel of its own
  enabled,
};
/// For calls from now on, of functions compiled before too. LAZULI_DISABLE_COMPILE, if it is set, disables
/// compilation at the start.
void set_compile_mode(CompileMode mode);
CompileMode compile_mode();
/// The modes `disabled` and `enabled`.
void disable_compile();
void enable_compile();

/// Traces of all compiled functions. A function keeps the `traces_kept` that it used last; a call that none
/// of them serves is traced anew.
struct CompileStatistics {
  std::uint64_t hits = 0;     ///< calls that a trace served
  std::uint64_t misses = 0;   ///< calls that were traced
  std::uint64_t evicted = 0;  ///< traces that were given up for others
};
inline constexpr int traces_kept = 64;
CompileStatistics compile_statistics();

}  // namespace lazuli
