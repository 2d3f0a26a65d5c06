#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/lm/chat/evaluator.h>

namespace lazuli::lm::chat {

/// The variable `loop` inside of a loop.
class LoopState : public Object, public std::enable_shared_from_this<LoopState> {
 public:
  /// `scope` is the one around the loop; only recursive loops need it.
  LoopState(Evaluator& evaluator, const For& node, ScopePtr scope, std::vector<Value> items, int level);

  std::string type_name() const override { return "LoopContext"; }
  std::string repr() const override;
  std::optional<Value> attribute(std::string_view name) const override;
  bool callable() const override { return node_.recursive; }
  /// Runs the loop over other items, in a template that says `recursive`.
  Value call(Runtime& runtime, const CallArgs& args) override;
  int depth() const override { return items_.depth() + 1; }

  std::size_t size() const { return items_.as_sequence().items.size(); }
  const Value& item(std::size_t i) const { return items_.as_sequence().items[i]; }
  void move_to(std::size_t index) { index_ = index; }

 private:
  Value neighbour(std::ptrdiff_t offset, const char* missing) const;

  Evaluator& evaluator_;
  const For& node_;
  ScopePtr scope_;
  Value items_;
  int level_;
  std::size_t index_ = 0;
  std::optional<std::string> last_changed_;
};

}  // namespace lazuli::lm::chat
