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
  /// Starts computing them and returns.
  virtual void async_eval(std::span<const array> arrays) = 0;
  /// Waits until nothing is left of what `async_eval` started.
  virtual void synchronize() = 0;
};

/// The evaluator of this process, defined by the compiler layer.
Evaluator& evaluator();

/// Computes arrays, all in one program.
void eval(std::vector<array> outputs);
template <typename... Arrays>
requires(std::is_same_v<std::remove_cvref_t<Arrays>, array>&&...) void eval(Arrays&&... outputs) {
  eval(std::vector<array>{std::forward<Arrays>(outputs)...});
}
/// Starts computing arrays; `item`, `data`, printing or `eval` wait for them.
void async_eval(std::vector<array> outputs);
template <typename... Arrays>
requires(std::is_same_v<std::remove_cvref_t<Arrays>, array>&&...) void async_eval(Arrays&&... outputs) {
  async_eval(std::vector<array>{std::forward<Arrays>(outputs)...});
}

}  // namespace lazuli
