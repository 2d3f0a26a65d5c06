#include <lazuli/lm/tokenizer/byte_alphabet.h>

#include <lazuli/lm/text/utf8.h>

#include <algorithm>
#include <iterator>

namespace lazuli::lm {

const ByteAlphabet& ByteAlphabet::get() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

ByteAlphabet::ByteAlphabet() {
  std::fill(std::begin(bytes_), std::end(bytes_), std::int16_t{-1});
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const char32_t code = printable ? static_cast<char32_t>(byte) : next++;
    append_utf8(characters_[byte], code);
    bytes_[code] = static_cast<std::int16_t>(byte);
  }
}

void ByteAlphabet::append_encoded(std::string& out, std::string_view bytes) const {
  for (char byte : bytes) out += characters_[static_cast<unsigned char>(byte)];
}

bool ByteAlphabet::append_decoded(std::string& out, std::string_view text) const {
  const std::size_t before = out.size();
  for (std::size_t position = 0; position < text.size();) {
    const int decoded = byte(next_code_point(text, position));
    if (decoded < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(decoded));
  }
  return true;
}

}  // namespace lazuli::lm
