#pragma once

#include <string_view>

#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// A test: what stands behind `is`.
using Test = bool (*)(const Value& value, const CallArgs& args);

/// Jinja's test `name`; null if there is none.
Test find_test(std::string_view name);

}  // namespace lazuli::lm::chat
