#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// The variables of one stretch of a template. What is not found here is looked up in the scope around it.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent = nullptr) : parent_(std::move(parent)) {}

  void set(const std::string& name, Value value) {
    for (auto& [key, old] : variables_) {
      if (key == name) {
        old = std::move(value);
        return;
      }
    }
    variables_.emplace_back(name, std::move(value));
  }

  const Value* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      for (const auto& [key, value] : scope->variables_) {
        if (key == name) return &value;
      }
    }
    return nullptr;
  }

  void clear() { variables_.clear(); }

 private:
  std::shared_ptr<Scope> parent_;
  // Few enough that a list is faster than a map.
  std::vector<std::pair<std::string, Value>> variables_;
};

using ScopePtr = std::shared_ptr<Scope>;

}  // namespace lazuli::lm::chat
