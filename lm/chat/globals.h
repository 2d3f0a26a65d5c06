#pragma once

#include <string>
#include <utility>
#include <vector>

#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// The functions that templates can call: range, dict, namespace, cycler, joiner, raise_exception,
/// strftime_now.
std::vector<std::pair<std::string, Value>> global_functions();

}  // namespace lazuli::lm::chat
