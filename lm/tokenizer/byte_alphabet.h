#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lazuli::lm {

/// The characters that stand for bytes in byte-level tokens (GPT-2's `bytes_to_unicode`): printable Latin-1
/// characters stand for themselves, the other 68 bytes for U+0100 onwards.
class ByteAlphabet {
 public:
  static const ByteAlphabet& get();

  /// The character that stands for `byte`, as UTF-8.
  std::string_view character(unsigned char byte) const { return characters_[byte]; }

  /// The byte for which `code` stands, or -1.
  int byte(char32_t code) const { return code < kLimit ? bytes_[code] : -1; }

  /// Appends the characters that stand for `bytes`.
  void append_encoded(std::string& out, std::string_view bytes) const;

  /// Appends the bytes for which the characters of `text` stand. If one of them stands for none: appends
  /// nothing and returns false.
  bool append_decoded(std::string& out, std::string_view text) const;

 private:
  static constexpr char32_t kLimit = 0x144;
  ByteAlphabet();

  std::string characters_[256];
  std::int16_t bytes_[kLimit];
};

}  // namespace lazuli::lm
