#include <lazuli/lm/text/unicode.h>

#include <lazuli/lm/text/utf8.h>

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

namespace lazuli::lm {
namespace {

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

/// Decomposes, orders and (for NFC and NFKC) composes `text`, appending to `out`. Marks are ordered by a
/// stable sort of each run, so that a long run costs no more than n log n.
void normalize_span(std::string_view text, NormalForm form, std::string& out,
                    std::vector<utf8proc_int32_t>& codes) {
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const int compatibility = compatible ? UTF8PROC_COMPAT : 0;
  const auto decompose_options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | compatibility);
  codes.clear();
  std::array<utf8proc_int32_t, 64> parts;
  for (std::size_t position = 0; position < text.size();) {
    const char32_t code = next_code_point(text, position);
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts.data(),
                                                           parts.size(), decompose_options, &boundary);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
      throw std::runtime_error("[normalize_unicode] a code point cannot be decomposed");
    }
    codes.insert(codes.end(), parts.begin(), parts.begin() + count);
  }

  auto combining_class = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
  for (auto run = codes.begin(); run != codes.end();) {
    if (combining_class(*run) == 0) {
      ++run;
      continue;
    }
    auto end = std::find_if(run, codes.end(), [&](utf8proc_int32_t c) { return combining_class(c) == 0; });
    std::stable_sort(run, end, [&](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    run = end;
  }

  auto length = static_cast<utf8proc_ssize_t>(codes.size());
  if (compose) {
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | compatibility);
    length = utf8proc_normalize_utf32(codes.data(), length, options);
    if (length < 0) throw std::runtime_error("[normalize_unicode] the text cannot be composed");
  }
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    append_utf8(out, static_cast<char32_t>(codes[static_cast<std::size_t>(i)]));
  }
}

}  // namespace

bool is_white_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_numeric(char32_t code) {
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t code) {
  if (code < 0x80) {
    return (code >= 0x21 && code <= 0x2F) || (code >= 0x3A && code <= 0x40) ||
           (code >= 0x5B && code <= 0x60) || (code >= 0x7B && code <= 0x7E);
  }
  const auto c = category(code);
  return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool is_word_character(char32_t code) {
  const auto c = category(code);
  if (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) return true;  // L, M, Nd and Nl
  if (c == UTF8PROC_CATEGORY_PC) return true;
  // The joiners, and the circled and squared letters, which are alphabetic though symbols.
  return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
         (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
         (code >= 0x1F170 && code <= 0x1F189);
}

bool is_mark(char32_t code) {
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_MN;
}

bool is_control_format_or_private(char32_t code) {
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CO;
}

void append_lower_case(std::string& out, char32_t code) {
  if (code == 0x130) {  // The one letter whose lower case is two code points.
    out += "i\xCC\x87";
    return;
  }
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

std::string normalize_unicode(std::string_view text, NormalForm form) {
  // Code points below the limit never change unless one above it follows, and nothing before them changes
  // them. In bytes: what begins with a byte below 0xCC is below U+0300.
  const unsigned char limit = form == NormalForm::kNfc ? 0xCC : 0x80;
  auto is_plain = [&](std::size_t i) { return static_cast<unsigned char>(text[i]) < limit; };
  std::string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> codes;
  std::size_t copied = 0;
  std::size_t position = 0;
  while (position < text.size()) {
    if (is_plain(position)) {
      ++position;
      continue;
    }
    std::size_t begin = position;
    if (begin > copied) previous_code_point(text, begin);
    while (position < text.size() && !is_plain(position)) position += utf8_length(text[position]);
    out += text.substr(copied, begin - copied);
    normalize_span(text.substr(begin, position - begin), form, out, codes);
    copied = position;
  }
  out += text.substr(copied);
  return out;
}

}  // namespace lazuli::lm
