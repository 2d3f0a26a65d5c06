#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/loop.h>

#include <fmt/format.h>

namespace lazuli::lm::chat {

LoopState::LoopState(Evaluator& evaluator, const For& node, ScopePtr scope, std::vector<Value> items,
                     int level)
    : evaluator_(evaluator),
      node_(node),
      scope_(std::move(scope)),
      items_(Value::list(std::move(items))),
      level_(level) {}

std::string LoopState::repr() const {
  return fmt::format("<LoopContext {}/{}>", index_ + 1, size());
}

Value LoopState::neighbour(std::ptrdiff_t offset, const char* missing) const {
  const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(index_) + offset;
  if (at < 0 || at >= static_cast<std::ptrdiff_t>(size())) return Value::undefined(missing);
  return item(static_cast<std::size_t>(at));
}

std::optional<Value> LoopState::attribute(std::string_view name) const {
  auto number = [](std::size_t value) { return Value::integer(static_cast<std::int64_t>(value)); };
  if (name == "index") return number(index_ + 1);
  if (name == "index0") return number(index_);
  if (name == "revindex") return number(size() - index_);
  if (name == "revindex0") return number(size() - index_ - 1);
  if (name == "first") return Value::boolean(index_ == 0);
  if (name == "last") return Value::boolean(index_ + 1 == size());
  if (name == "length") return number(size());
  if (name == "depth") return Value::integer(level_ + 1);
  if (name == "depth0") return Value::integer(level_);
  if (name == "previtem") return neighbour(-1, "there is no previous item");
  if (name == "nextitem") return neighbour(1, "there is no next item");
  const auto self = std::const_pointer_cast<LoopState>(shared_from_this());
  if (name == "cycle") {
    return make_function(
        "cycle",
        [self](Runtime&, const CallArgs& args) {
          if (args.positional.empty()) throw EvalError("no items for cycling given");
          return args.positional[self->index_ % args.positional.size()];
        },
        depth());
  }
  if (name == "changed") {
    return make_function(
        "changed",
        [self](Runtime&, const CallArgs& args) {
          // Remembered as text, since the values could hold this loop.
          std::string now = to_repr(Value::tuple(args.positional));
          const bool changed = self->last_changed_ != now;
          self->last_changed_ = std::move(now);
          return Value::boolean(changed);
        },
        depth());
  }
  return {};
}

Value LoopState::call(Runtime&, const CallArgs& args) {
  if (!node_.recursive) {
    throw EvalError("The loop must have the 'recursive' marker to be called recursively.");
  }
  return evaluator_.call_loop(node_, scope_, Arguments("loop", args, {"iterable"}, 1)[0], level_ + 1);
}

}  // namespace lazuli::lm::chat
