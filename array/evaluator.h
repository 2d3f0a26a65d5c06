#pragma once

#include <span>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli {

/// The seam between arrays and what computes them: the compiler implements it.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  /// Computes the arrays and returns when they are in memory.
  virtual void eval(std::span<const array> arrays) = 0;
  /// Hands them to their streams and returns.
  virtual void async_eval(std::span<const array> arrays) = 0;
  /// Waits until a stream has nothing left to do, or none has; throws the first error since the last time
  /// that nobody waited for.
  virtual void synchronize(int stream) = 0;
  virtual void synchronize() = 0;
  /// Lets go of what streams other than number 0, which have nothing left to do, keep.
  virtual void forget_streams() = 0;
};

/// The evaluator of this process, defined by the compiler layer.
Evaluator& evaluator();

/// Computes arrays, all in one program for each stream in turn, and returns when they are in memory.
void eval(std::vector<array> outputs);
template <typename... Arrays>
requires(std::is_same_v<std::remove_cvref_t<Arrays>, array>&&...) void eval(Arrays&&... outputs) {
  eval(std::vector<array>{std::forward<Arrays>(outputs)...});
}
/// Has arrays computed by their streams and returns at once. `item`, `data`, printing, `eval` and `wait` wait
/// for them, and throw what went wrong; `synchronize` waits for all.
void async_eval(std::vector<array> outputs);
template <typename... Arrays>
requires(std::is_same_v<std::remove_cvref_t<Arrays>, array>&&...) void async_eval(Arrays&&... outputs) {
  async_eval(std::vector<array>{std::forward<Arrays>(outputs)...});
}

}  // namespace lazuli
