#include <lazuli/lm/tokenizer/normalizer.h>

#include <lazuli/lm/text/unicode.h>
#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/byte_alphabet.h>
#include <lazuli/lm/tokenizer/json_node.h>
#include <lazuli/lm/tokenizer/pattern.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace lazuli::lm {
namespace {

/// Rewrites `text` code point by code point; `rewrite` appends what stands for one.
template <typename Rewrite>
void rewrite_characters(std::string& text, Rewrite rewrite) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) rewrite(out, next_code_point(text, position));
  text = std::move(out);
}

void lower_case(std::string& text) {
  rewrite_characters(text, append_lower_case);
}

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form) : form_(form) {}
  void apply(std::string& text) const override { text = normalize_unicode(text, form_); }

 private:
  NormalForm form_;
};

class LowercaseNormalizer final : public Normalizer {
 public:
  void apply(std::string& text) const override { lower_case(text); }
};

class PrependNormalizer final : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class ReplaceNormalizer final : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text) const override { text = pattern_.replace_all(text, content_); }

 private:
  Pattern pattern_;
  std::string content_;
};

class StripNormalizer final : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}

  void apply(std::string& text) const override {
    std::size_t end = text.size();
    while (right_ && end > 0) {
      std::size_t before = end;
      if (!is_white_space(previous_code_point(text, before))) break;
      end = before;
    }
    text.resize(end);
    std::size_t begin = 0;
    while (left_ && begin < text.size()) {
      std::size_t behind = begin;
      if (!is_white_space(next_code_point(text, behind))) break;
      begin = behind;
    }
    text.erase(0, begin);
  }

 private:
  bool left_;
  bool right_;
};

class StripAccentsNormalizer final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    rewrite_characters(text, [](std::string& out, char32_t code) {
      if (!is_mark(code)) append_utf8(out, code);
    });
  }
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    std::string out;
    ByteAlphabet::get().append_encoded(out, text);
    text = std::move(out);
  }
};

/// What the original BERT code does before it cuts words (google-research/bert, tokenization.py), as the
/// Hugging Face library does it.
class BertNormalizer final : public Normalizer {
 public:
  BertNormalizer(bool clean_text, bool space_ideographs, bool strip_accents, bool lowercase)
      : clean_text_(clean_text),
        space_ideographs_(space_ideographs),
        strip_accents_(strip_accents),
        lowercase_(lowercase) {}

  void apply(std::string& text) const override {
    if (clean_text_) {
      rewrite_characters(text, [](std::string& out, char32_t code) {
        if (is_white_space(code)) {
          out.push_back(' ');
        } else if (code != 0xFFFD && !is_control_format_or_private(code)) {
          append_utf8(out, code);
        }
      });
    }
    if (space_ideographs_) {
      rewrite_characters(text, [](std::string& out, char32_t code) {
        const bool ideograph = is_ideograph(code);
        if (ideograph) out.push_back(' ');
        append_utf8(out, code);
        if (ideograph) out.push_back(' ');
      });
    }
    if (strip_accents_) {
      text = normalize_unicode(text, NormalForm::kNfd);
      rewrite_characters(text, [](std::string& out, char32_t code) {
        if (!is_nonspacing_mark(code)) append_utf8(out, code);
      });
    }
    if (lowercase_) lower_case(text);
  }

 private:
  static bool is_ideograph(char32_t code) {
    return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
           (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
           (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
           (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
  }

  bool clean_text_;
  bool space_ideographs_;
  bool strip_accents_;
  bool lowercase_;
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> parts) : parts_(std::move(parts)) {}
  void apply(std::string& text) const override {
    for (const auto& part : parts_) part->apply(text);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

}  // namespace

std::unique_ptr<Normalizer> parse_normalizer(const JsonNode& node) {
  const std::string& type = node.type();
  if (type == "Sequence") {
    const JsonNode list = node.member("normalizers");
    std::vector<std::unique_ptr<Normalizer>> parts;
    for (std::size_t i = 0; i < list.size(); ++i) parts.push_back(parse_normalizer(list.element(i)));
    return std::make_unique<NormalizerSequence>(std::move(parts));
  }
  if (type == "NFC") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "Prepend") return std::make_unique<PrependNormalizer>(node.member("prepend").as_string());
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(Pattern(node.member("pattern")),
                                               node.member("content").as_string());
  }
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(node.bool_or("strip_left", true),
                                             node.bool_or("strip_right", true));
  }
  if (type == "StripAccents") return std::make_unique<StripAccentsNormalizer>();
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "BertNormalizer") {
    const bool lowercase = node.bool_or("lowercase", true);
    return std::make_unique<BertNormalizer>(node.bool_or("clean_text", true),
                                            node.bool_or("handle_chinese_chars", true),
                                            node.bool_or("strip_accents", lowercase), lowercase);
  }
  node.fail_unknown_type("normalizer");
}

}  // namespace lazuli::lm
