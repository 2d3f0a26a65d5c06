#include <lazuli/lm/text/regex.h>
#include <lazuli/lm/text/stop_strings.h>
#include <lazuli/lm/text/unicode.h>
#include <lazuli/lm/text/utf8.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::lm {
namespace {

using std::string_literals::operator""s;

const std::string kFffd = "\xEF\xBF\xBD";

std::string repeated(std::string_view text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

/// Bytes that are often, but not always, parts of valid UTF-8.
std::string random_bytes(std::mt19937& random, std::size_t length) {
  static const std::vector<std::string> parts = {"a",        "\n",       "é",        "漢",       "🙂",
                                                 "\x80",     "\xBF",     "\xC0",     "\xC3",     "\xE2",
                                                 "\xE2\x82", "\xED\xA0", "\xF0\x9F", "\xF4\x90", "\xFF"};
  std::string out;
  while (out.size() < length) out += parts[random() % parts.size()];
  return out;
}

TEST(Utf8, TellsValidFromInvalid) {
  for (const std::string& valid : {""s, "abc"s, "\0"s, "é"s, "漢字"s, "🙂"s, "\xED\x9F\xBF"s,
                                   "\xEE\x80\x80"s, "\xF4\x8F\xBF\xBF"s, "0123456789abcdef漢"s}) {
    EXPECT_TRUE(is_valid_utf8(valid)) << valid;
    EXPECT_EQ(to_valid_utf8(valid), valid);
  }
  for (const std::string& invalid :
       {"\x80"s, "\xC0\x80"s, "\xC1\xBF"s, "\xE0\x9F\xBF"s, "\xED\xA0\x80"s, "\xF0\x8F\xBF\xBF"s,
        "\xF4\x90\x80\x80"s, "\xF5\x80\x80\x80"s, "a\xFF"s, "漢\xE6\xBC"s, "01234567\xC3"s}) {
    EXPECT_FALSE(is_valid_utf8(invalid));
  }
}

TEST(Utf8, ReplacesMaximalIllFormedParts) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a\xFF"
       "b",
       "a" + kFffd + "b"},
      {"\xC0\x80", repeated(kFffd, 2)},
      {"\xED\xA0\x80", repeated(kFffd, 3)},
      {"\xE2\x82", kFffd},
      {"\xE2\x82"
       "A",
       kFffd + "A"},
      {"\xE2\x82\xE2\x82\xAC", kFffd + "€"},
      {"\xF0\x9F\x99", kFffd},
      {"\xF0\x9F\x99\xF0\x9F\x99\x82", kFffd + "🙂"},
      {"\xF4\x90\x80\x80", repeated(kFffd, 4)},
      // The example of The Unicode Standard, table 3-8.
      {"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
       "a" + repeated(kFffd, 3) + "b" + kFffd + "c" + repeated(kFffd, 2) + "d"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(to_valid_utf8(bytes), expected);
}

TEST(Utf8, RepairsTheSameHoweverTheBytesAreCut) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const std::string bytes = random_bytes(random, 1 + random() % 30);
    const std::string expected = to_valid_utf8(bytes);
    ASSERT_TRUE(is_valid_utf8(expected));
    Utf8Repairer repairer;
    std::string out;
    for (std::size_t begin = 0; begin < bytes.size();) {
      const std::size_t length = random() % 4;
      repairer.push(std::string_view(bytes).substr(begin, length), out);
      ASSERT_TRUE(is_valid_utf8(out));
      begin += length;
    }
    repairer.finish(out);
    ASSERT_EQ(out, expected);
  }
}

TEST(Utf8, CodePointsGoThereAndBack) {
  for (char32_t code : {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, code);
    ASSERT_TRUE(is_valid_utf8(text));
    EXPECT_EQ(utf8_length(text.front()), text.size());
    std::size_t position = 0;
    EXPECT_EQ(next_code_point(text, position), code);
    EXPECT_EQ(position, text.size());
    EXPECT_EQ(previous_code_point(text, position), code);
    EXPECT_EQ(position, 0u);
  }
}

TEST(Unicode, NormalForms) {
  struct Case {
    std::string text, nfc, nfd, nfkc, nfkd;
  };
  const std::vector<Case> cases = {
      {"plain", "plain", "plain", "plain", "plain"},
      {"e\u0301", "\u00E9", "e\u0301", "\u00E9", "e\u0301"},
      {"\u212B", "\u00C5", "A\u030A", "\u00C5", "A\u030A"},
      {"\uFB01x", "\uFB01x", "\uFB01x", "fix", "fix"},
      // The examples of annex 15: a letter with two marks in the other order, and composition exclusions.
      {"d\u0307\u0323", "\u1E0D\u0307", "d\u0323\u0307", "\u1E0D\u0307", "d\u0323\u0307"},
      {"\u1E9B\u0323", "\u1E9B\u0323", "\u017F\u0323\u0307", "\u1E69", "s\u0323\u0307"},
      {"\u0958", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C"},
      {"\u1112\u1161\u11AB", "\uD55C", "\u1112\u1161\u11AB", "\uD55C", "\u1112\u1161\u11AB"},
      {"\uFF12\u2126", "\uFF12\u03A9", "\uFF12\u03A9", "2\u03A9", "2\u03A9"},
      {"a\u0300b\u0301c\u2019d", "\u00E0b\u0301c\u2019d", "a\u0300b\u0301c\u2019d", "\u00E0b\u0301c\u2019d",
       "a\u0300b\u0301c\u2019d"},
      {"\u00E9\u0323", "\u1EB9\u0301", "e\u0323\u0301", "\u1EB9\u0301", "e\u0323\u0301"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(normalize_unicode(c.text, NormalForm::kNfc), c.nfc);
    EXPECT_EQ(normalize_unicode(c.text, NormalForm::kNfd), c.nfd);
    EXPECT_EQ(normalize_unicode(c.text, NormalForm::kNfkc), c.nfkc);
    EXPECT_EQ(normalize_unicode(c.text, NormalForm::kNfkd), c.nfkd);
  }
}

TEST(Unicode, LongRunsOfMarksAreOrdered) {
  std::string text = "e";
  std::string expected = "e";
  for (int i = 0; i < 20000; ++i) text += "\u0301\u0323";
  for (int i = 0; i < 20000; ++i) expected += "\u0323";
  for (int i = 0; i < 20000; ++i) expected += "\u0301";
  EXPECT_EQ(normalize_unicode(text, NormalForm::kNfd), expected);
}

TEST(Unicode, Properties) {
  for (char32_t code : {U' ', U'\t', U'\x0B', U'\x85', U'\u00A0', U'\u2028', U'\u3000'})
    EXPECT_TRUE(is_white_space(code));
  for (char32_t code : {U'a', U'\x1C', U'\u180E', U'\u200B', U'\uFEFF'}) EXPECT_FALSE(is_white_space(code));
  for (char32_t code : {U'7', U'\u0663', U'\u00BD', U'\u2167'}) EXPECT_TRUE(is_numeric(code));
  for (char32_t code : {U'$', U'!', U'~', U'\u2014', U'\u3002'}) EXPECT_TRUE(is_punctuation(code));
  for (char32_t code : {U'a', U'1', U' ', U'\u20AC', U'\u6F22'}) EXPECT_FALSE(is_punctuation(code));
  for (char32_t code : {U'a', U'_', U'9', U'\u6F22', U'\u0301', U'\u200D'})
    EXPECT_TRUE(is_word_character(code));
  for (char32_t code : {U'-', U' ', U'\u2019', U'\U0001F642'}) EXPECT_FALSE(is_word_character(code));
  EXPECT_TRUE(is_nonspacing_mark(U'\u0301'));
  EXPECT_FALSE(is_nonspacing_mark(U'\u0903'));
  EXPECT_TRUE(is_mark(U'\u0903'));
  std::string lower;
  for (char32_t code : {U'A', U'\u00C9', U'\u0130', U'\u03A3', U'\u6F22'}) append_lower_case(lower, code);
  EXPECT_EQ(lower, "a\u00E9i\u0307\u03C3\u6F22");
}

/// All matches of a pattern in Oniguruma's syntax.
std::vector<std::string> matches(std::string_view pattern, const std::string& text) {
  const Regex regex(pattern);
  std::vector<std::string> found;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (std::size_t from = 0; from < text.size() && regex.search(text, from, begin, end); from = end) {
    found.push_back(text.substr(begin, end - begin));
    if (begin == end) break;
  }
  return found;
}

using Strings = std::vector<std::string>;

TEST(Regex, MeansWhatOnigurumaMeans) {
  EXPECT_EQ(matches(R"(\s+)", "a\u00A0\u2003b\u180Ec\u200Bd e"), (Strings{"\u00A0\u2003", " "}));
  EXPECT_EQ(matches(R"(\S+)", "a\u3000b"), (Strings{"a", "b"}));
  EXPECT_EQ(matches(R"(\w+)", "na\u0308ive_1-\u0663"), (Strings{"na\u0308ive_1", "\u0663"}));
  EXPECT_EQ(matches(R"(\W+)", "a-\u2019b"), (Strings{"-\u2019"}));
  EXPECT_EQ(matches(R"(\h+)", "xyz09afG"), (Strings{"09af"}));
  EXPECT_EQ(matches(R"([\w-]+)", "a-\u0661 b"), (Strings{"a-\u0661", "b"}));
  EXPECT_EQ(matches("(?m:a.)", "a\n"), (Strings{"a\n"}));
  EXPECT_EQ(matches("a.", "a\nab"), (Strings{"ab"}));
  EXPECT_EQ(matches("(?i:'s|'T)", "'S't'r"), (Strings{"'S", "'t"}));
  EXPECT_EQ(matches("^b", "a\nb"), (Strings{"b"}));
  EXPECT_EQ(matches(R"(\p{Han}+|\p{Letter}+|\p{^L})", "漢字ab1"), (Strings{"漢字", "ab", "1"}));
  EXPECT_EQ(matches(R"(\d{2,3}+)", "12345x1"), (Strings{"12345"}));
  EXPECT_EQ(matches(R"((?:ab){,2})", "ababab"), (Strings{"abab", "ab"}));
  EXPECT_EQ(matches("a{b", "a{b"), (Strings{"a{b"}));
  EXPECT_EQ(matches(R"([\]\[]+)", "a][b"), (Strings{"]["}));
}

TEST(Regex, RejectsWhatItCannotExpress) {
  for (const char* pattern :
       {"[a-z&&[^b]]", "[a[bc]]", "(a", R"([\W])", "a**{", R"(\p{Nonesuch})", "[a", "\\"}) {
    EXPECT_THROW(Regex{pattern}, std::invalid_argument) << pattern;
  }
}

TEST(Regex, LongTextDoesNotExhaustTheStack) {
  const std::string text = repeated("ab", 200000);
  EXPECT_EQ(matches("(?:a|(b))+$", text), (Strings{text}));
}

/// The text that comes out when `text` is pushed in pieces of `length` bytes.
std::string filtered(StopStringMatcher& matcher, const std::string& text, std::size_t length) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += length)
    out += matcher.push(std::string_view(text).substr(i, length));
  return out + matcher.finish();
}

TEST(StopStrings, WithholdsWhatMayBegin) {
  StopStringMatcher matcher({"</end>", "STOP"});
  EXPECT_EQ(matcher.push("hello <"), "hello ");
  EXPECT_EQ(matcher.push("/e"), "");
  EXPECT_EQ(matcher.push("x S"), "</ex ");
  EXPECT_EQ(matcher.push("TO"), "");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.push("P more"), "");
  ASSERT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.matched(), 1u);
  EXPECT_EQ(matcher.push("ignored"), "");
  EXPECT_EQ(matcher.finish(), "");
  matcher.reset();
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.push("a</en"), "a");
  EXPECT_EQ(matcher.finish(), "</en");
}

TEST(StopStrings, OverlappingBeginnings) {
  StopStringMatcher matcher({"aab"});
  EXPECT_EQ(matcher.push("aaa"), "a");
  EXPECT_EQ(matcher.push("ab"), "a");
  EXPECT_TRUE(matcher.stopped());

  StopStringMatcher nested({"abcd", "bc", "xabc"});
  EXPECT_EQ(nested.push("zab"), "z");
  EXPECT_EQ(nested.push("cd"), "a");
  EXPECT_EQ(nested.matched(), 1u);
  nested.reset();
  EXPECT_EQ(nested.push("xabc"), "");
  EXPECT_EQ(nested.matched(), 2u);
}

TEST(StopStrings, WithoutStopStringsAllPasses) {
  StopStringMatcher matcher;
  EXPECT_EQ(matcher.push("any 漢"), "any 漢");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_THROW(StopStringMatcher({"a", ""}), std::invalid_argument);
}

TEST(StopStrings, AgreesWithASearchOfTheWholeText) {
  std::mt19937 random(2);
  auto word = [&](std::size_t length) {
    std::string out;
    for (std::size_t i = 0; i < length; ++i) out.push_back("ab\xC3"[random() % 3]);
    return out;
  };
  for (int round = 0; round < 3000; ++round) {
    Strings stops;
    for (std::size_t i = 0; i < 1 + random() % 4; ++i) stops.push_back(word(1 + random() % 5));
    const std::string text = word(random() % 25);

    // The first end at which a stop string is complete; there, the earliest beginning.
    std::string expected = text;
    bool stopped = false;
    for (std::size_t end = 1; end <= text.size() && !stopped; ++end) {
      std::size_t longest = 0;
      for (const std::string& stop : stops) {
        if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) {
          longest = std::max(longest, stop.size());
        }
      }
      if (longest > 0) {
        stopped = true;
        expected = text.substr(0, end - longest);
      }
    }
    for (std::size_t length : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
      StopStringMatcher matcher(stops);
      ASSERT_EQ(filtered(matcher, text, length), expected) << text;
      ASSERT_EQ(matcher.stopped(), stopped);
    }
  }
}

}  // namespace
}  // namespace lazuli::lm
