#pragma once

#include <string_view>

#include <lazuli/lm/chat/runtime.h>
#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// A filter: what stands behind `|`.
using Filter = Value (*)(Runtime& runtime, const Value& input, const CallArgs& args);

/// The filter `name`; null if there is none. They are Jinja's, but for filesizeformat, pprint, random,
/// urlize, wordwrap and xmlattr; `tojson` is the one of Hugging Face's transformers, and
/// `from_json` reads JSON back, which some models' templates rely on.
Filter find_filter(std::string_view name);

/// The parts of the table: filters of texts and numbers, and those of lists and dicts.
Filter find_scalar_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);

}  // namespace lazuli::lm::chat
