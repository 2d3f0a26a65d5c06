#include <lazuli/lm/text/utf8.h>

#include <cstdint>
#include <cstring>

namespace lazuli::lm {
namespace {

enum class Form { kValid, kInvalid, kIncomplete };

struct Scanned {
  Form form;
  /// Bytes of the character, or of the maximal ill-formed part, or what there is of an unfinished character.
  std::size_t length;
};

/// Looks at the one character that begins at `position`, by table 3-7 of The Unicode Standard.
Scanned scan_character(std::string_view text, std::size_t position) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(position);
  if (lead < 0x80) return {Form::kValid, 1};
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {Form::kInvalid, 1};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (position + i >= text.size()) return {Form::kIncomplete, i};
    const unsigned char next = byte(position + i);
    if (next < low || next > high) return {Form::kInvalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Form::kValid, length};
}

/// The end of the run of ASCII that begins at `position`.
std::size_t skip_ascii(std::string_view text, std::size_t position) {
  while (position + 8 <= text.size()) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + position, sizeof(word));
    if ((word & 0x8080808080808080u) != 0) break;
    position += 8;
  }
  while (position < text.size() && static_cast<unsigned char>(text[position]) < 0x80) ++position;
  return position;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t position = 0;
  while ((position = skip_ascii(text, position)) < text.size()) {
    const Scanned scanned = scan_character(text, position);
    if (scanned.form != Form::kValid) return position;
    position += scanned.length;
  }
  return position;
}

bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  Utf8Repairer repairer;
  repairer.push(text, out);
  repairer.finish(out);
  return out;
}

void Utf8Repairer::push(std::string_view bytes, std::string& out) {
  if (!pending_.empty()) {
    // At most three bytes wait here, so the character that they begin ends within the next three.
    while (!bytes.empty()) {
      pending_.push_back(bytes.front());
      bytes.remove_prefix(1);
      const Scanned scanned = scan_character(pending_, 0);
      if (scanned.form == Form::kIncomplete) continue;
      if (scanned.form == Form::kValid) {
        out += pending_;
        pending_.clear();
        break;
      }
      out += kReplacementCharacter;
      // The byte that broke the character off may itself begin one.
      pending_.erase(0, scanned.length);
      if (pending_.empty()) break;
      const Scanned rest = scan_character(pending_, 0);
      if (rest.form == Form::kIncomplete) continue;
      if (rest.form == Form::kValid) {
        out += pending_;
      } else {
        out += kReplacementCharacter;
      }
      pending_.clear();
      break;
    }
    if (!pending_.empty()) return;
  }
  while (!bytes.empty()) {
    const std::size_t valid = valid_utf8_prefix(bytes);
    out += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) return;
    const Scanned scanned = scan_character(bytes, 0);
    if (scanned.form == Form::kIncomplete) {
      pending_ = bytes;
      return;
    }
    out += kReplacementCharacter;
    bytes.remove_prefix(scanned.length);
  }
}

void Utf8Repairer::finish(std::string& out) {
  if (!pending_.empty()) out += kReplacementCharacter;
  pending_.clear();
}

char32_t previous_code_point(std::string_view text, std::size_t& position) {
  do {
    --position;
  } while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0u) == 0x80u);
  std::size_t forward = position;
  return next_code_point(text, forward);
}

void append_utf8(std::string& out, char32_t code) {
  auto put = [&](char32_t byte) { out.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace lazuli::lm
