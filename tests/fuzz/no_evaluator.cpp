#include <stdexcept>

#include <lazuli/array/evaluator.h>

// The targets are linked without the compiler: what is read is in memory, and nothing is computed.

namespace lazuli {

namespace {

class NoEvaluator final : public Evaluator {
 public:
  void eval(std::span<const array> arrays) override { require_computed(arrays); }
  void async_eval(std::span<const array> arrays) override { require_computed(arrays); }
  void synchronize(int) override {}
  void synchronize() override {}
  void forget_streams() override {}

 private:
  static void require_computed(std::span<const array> arrays) {
    for (const array& a : arrays) {
      if (!a.is_available()) throw std::logic_error("a reader left something to be computed");
    }
  }
};

}  // namespace

Evaluator& evaluator() {
  static NoEvaluator instance;
  return instance;
}

}  // namespace lazuli
