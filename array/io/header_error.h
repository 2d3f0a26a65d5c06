#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace lazuli::io {

/// Says what is wrong with a file; whoever opened it puts its name before that.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw std::runtime_error(fmt::format(text, std::forward<Args>(args)...));
}

/// A name from a file, cut to a length fit for a message.
inline std::string in_quotes(const std::string& name) {
  constexpr size_t longest = 200;
  return "'" + (name.size() > longest ? name.substr(0, longest) + "..." : name) + "'";
}

}  // namespace lazuli::io
