#pragma once

#include <string_view>

#include <lazuli/lm/chat/ast.h>

namespace lazuli::lm::chat {

/// Parses a template. Throws std::runtime_error `[chat template] line 12: message` if it is malformed, nests
/// too deeply or needs other templates (include, import, extends).
Block parse(std::string_view source);

}  // namespace lazuli::lm::chat
