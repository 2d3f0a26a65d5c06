#include <lazuli/lm/tokenizer/pattern.h>

#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/json_node.h>

#include <stdexcept>

namespace lazuli::lm {

Pattern::Pattern(const JsonNode& node) {
  if (node.value().is_string()) {
    literal_ = node.as_string();
  } else if (const auto text = node.find("String")) {
    literal_ = text->as_string();
  } else if (const auto expression = node.find("Regex")) {
    try {
      regex_.emplace(expression->as_string());
    } catch (const std::invalid_argument& error) {
      expression->fail(error.what());
    }
  } else {
    node.fail("must hold \"String\" or \"Regex\"");
  }
  if (!regex_ && literal_.empty()) node.fail("must not be empty");
}

bool Pattern::search(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const {
  if (regex_) return regex_->search(text, from, begin, end);
  begin = text.find(literal_, from);
  if (begin == std::string_view::npos) return false;
  end = begin + literal_.size();
  return true;
}

std::string Pattern::replace_all(std::string_view text, std::string_view content) const {
  std::string out;
  out.reserve(text.size());
  std::size_t copied = 0;
  std::size_t from = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  while (from <= text.size() && search(text, from, begin, end)) {
    // No empty match right behind another match.
    if (begin < end || begin == 0 || begin > copied) {
      out += text.substr(copied, begin - copied);
      out += content;
      copied = end;
    }
    from = end;
    if (begin == end) from += end < text.size() ? utf8_length(text[end]) : 1;
  }
  out += text.substr(copied);
  return out;
}

}  // namespace lazuli::lm
