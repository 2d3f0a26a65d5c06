#pragma once

#include <string>

#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// `object.name`: a method or else an entry of that name. Undefined if there is neither; methods that would
/// change a list or dict are undefined too. Throws EvalError if `object` is undefined.
Value get_attribute(const Value& object, const std::string& name);

/// `object[key]`: an entry or else a method of that name. Undefined if there is neither. Throws EvalError if
/// `object` is undefined.
Value get_item(const Value& object, const Value& key);

/// `object[start:stop:step]`, where None stands for a bound left out. Throws EvalError if `object` has no
/// slices.
Value get_slice(const Value& object, const Value& start, const Value& stop, const Value& step);

}  // namespace lazuli::lm::chat
