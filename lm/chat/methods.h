#pragma once

#include <string_view>

#include <lazuli/lm/chat/runtime.h>
#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// A method of a text, list or dict.
using Method = Value (*)(Runtime&, const Value& self, const CallArgs&);

/// The method `name` of `self`; null if there is none.
Method find_method(const Value& self, std::string_view name);

/// Whether `name` is one of Python's methods that change a list or dict, which templates must not call.
bool is_changing_method(const Value& self, std::string_view name);

}  // namespace lazuli::lm::chat
