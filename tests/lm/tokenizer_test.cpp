#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/streaming_decoder.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "folders.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::read_json;
using test::TemporaryFolder;
using std::string_literals::operator""s;
using Ids = std::vector<std::int32_t>;

const std::string kFffd = "\xEF\xBF\xBD";

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(LAZULI_FIXTURES) / "tokenizers" / name;
}

Tokenizer from_json(const json& document) {
  const TemporaryFolder folder;
  return Tokenizer::from_file(folder.write("tokenizer.json", document.dump()));
}

/// What loading `content` reports; empty if it succeeds. Anything but a std::runtime_error that begins with
/// the file's name is a failure.
std::string load_error(const TemporaryFolder& folder, std::string_view content) {
  const auto file = folder.write("tokenizer.json", content);
  const std::string beginning = "[tokenizer] " + file.string() + ": ";
  try {
    Tokenizer::from_file(file);
    return {};
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.substr(0, beginning.size()), beginning);
    EXPECT_GT(message.size(), beginning.size());
    return message.substr(std::min(message.size(), beginning.size()));
  }
}

/// A small BPE model over characters.
json small_bpe() {
  return json::parse(R"({
    "added_tokens": [],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "?",
      "vocab": {"?": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5, " ": 6, "x": 7, "_": 8},
      "merges": ["a b", "ab c"]}})");
}

class TokenizerFixture : public testing::TestWithParam<const char*> {
 protected:
  Tokenizer tokenizer_ = Tokenizer::from_directory(fixture(GetParam()));
  json cases_ = read_json(fixture(GetParam()) / "cases.json");
};

INSTANTIATE_TEST_SUITE_P(Files, TokenizerFixture,
                         testing::Values("llama3", "qwen2", "gpt2", "llama2", "gemma", "bert", "unigram"),
                         [](const auto& name) { return std::string(name.param); });

TEST_P(TokenizerFixture, EncodesEveryCase) {
  ASSERT_GT(cases_.size(), 50u);
  for (const json& c : cases_) {
    const auto text = c.at("text").get<std::string>();
    EXPECT_EQ(tokenizer_.encode(text), c.at("ids").get<Ids>()) << text;
    EXPECT_EQ(tokenizer_.encode(text, false), c.at("ids_without_special").get<Ids>()) << text;
  }
}

TEST_P(TokenizerFixture, DecodesEveryCase) {
  for (const json& c : cases_) {
    const Ids ids = c.at("ids").get<Ids>();
    EXPECT_EQ(tokenizer_.decode(ids), c.at("decoded").get<std::string>());
    EXPECT_EQ(tokenizer_.decode(ids, true), c.at("decoded_skip_special").get<std::string>());
  }
}

TEST_P(TokenizerFixture, StreamsEveryCase) {
  for (const bool skip : {false, true}) {
    StreamingDecoder decoder = tokenizer_.streaming_decoder(skip);
    for (const json& c : cases_) {
      std::string text;
      for (const std::int32_t id : c.at("ids").get<Ids>()) {
        const std::string piece = decoder.push(id);
        EXPECT_TRUE(is_valid_utf8(piece));
        text += piece;
      }
      text += decoder.finish();
      EXPECT_EQ(text, c.at(skip ? "decoded_skip_special" : "decoded").get<std::string>());
    }
  }
}

TEST_P(TokenizerFixture, StreamsRandomIds) {
  std::mt19937 random(3);
  const auto size = static_cast<std::uint32_t>(tokenizer_.vocabulary_size());
  for (int round = 0; round < 200; ++round) {
    Ids ids(random() % 40);
    // Mostly from the beginning of the vocabulary, where byte tokens and single characters are.
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % (random() % 4 == 0 ? size : 300));
    StreamingDecoder decoder(tokenizer_);
    std::string text;
    for (const std::int32_t id : ids) {
      text += decoder.push(id);
      ASSERT_TRUE(is_valid_utf8(text));
    }
    ASSERT_EQ(text + decoder.finish(), tokenizer_.decode(ids));
  }
}

TEST_P(TokenizerFixture, TokensGoThereAndBack) {
  const json vocabulary = read_json(fixture(GetParam()) / "tokenizer.json").at("model").at("vocab");
  std::int32_t largest = 0;
  std::int32_t index = 0;
  for (const auto& [key, value] : vocabulary.items()) {
    const std::string token = vocabulary.is_array() ? value.at(0).get<std::string>() : key;
    const std::int32_t id = vocabulary.is_array() ? index++ : value.get<std::int32_t>();
    largest = std::max(largest, id);
    ASSERT_EQ(tokenizer_.token_to_id(token), id) << token;
    ASSERT_EQ(tokenizer_.id_to_token(id), token);
  }
  EXPECT_EQ(tokenizer_.vocabulary_size(), largest + 1);
  EXPECT_EQ(tokenizer_.token_to_id("no such token, surely"), std::nullopt);
}

TEST_P(TokenizerFixture, BytesThatAreNotUtf8CountAsReplacementCharacters) {
  for (const std::string& text : {"\xFF"s, "a\xC3"s, "\xE2\x82 b"s, "\xED\xA0\x80"s, "ok \xF0\x9F\x98 ok"s}) {
    EXPECT_EQ(tokenizer_.encode(text), tokenizer_.encode(to_valid_utf8(text)));
  }
}

TEST_P(TokenizerFixture, EncodesFromSeveralThreads) {
  std::vector<std::vector<Ids>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (const json& c : cases_)
        result.push_back(tokenizer_.encode(c.at("text").get_ref<const std::string&>()));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) {
    for (std::size_t i = 0; i < cases_.size(); ++i) ASSERT_EQ(result[i], cases_[i].at("ids").get<Ids>());
  }
}

/// Text without losses: what a byte-level or byte-fallback tokenizer encodes it decodes to the same.
class LosslessTokenizer : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Files, LosslessTokenizer,
                         testing::Values("llama3", "qwen2", "gpt2", "llama2", "gemma"),
                         [](const auto& name) { return std::string(name.param); });

TEST_P(LosslessTokenizer, DecodesWhatItEncodes) {
  const Tokenizer tokenizer = Tokenizer::from_directory(fixture(GetParam()));
  std::string control;
  for (char c = 0; c < 32; ++c) control.push_back(c);
  const std::vector<std::string> texts = {
      "",
      " ",
      "\n",
      "\r\n\r\n  \t x",
      control,
      "a\0b"s,
      "Straße, naïve, Ωmega; «Čeština» — ľubovoľne…",
      "ꙮ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 🏳️‍🌈👩🏽‍🚀🇯🇵1️⃣",
      "नमस्ते สวัสดี გამარჯობა ՀԱՅԵՐԵՆ 안녕 ملعب",
      "x = {'k': [1, 22, 333, 4444]}  # don't\n\treturn x->y::z;\n\n\n",
      std::string(1000, ' '),
      std::string(3000, 'a'),
      std::string(500, '\n') + std::string(500, '0'),
      "\u200B\u200D\uFEFF\u00A0\u2028\u3000\u180E\U0010FFFF",
  };
  for (const std::string& text : texts) {
    const Ids ids = tokenizer.encode(text, false);
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(ids.empty(), text.empty());
    StreamingDecoder decoder(tokenizer);
    std::string streamed;
    for (const std::int32_t id : ids) streamed += decoder.push(id);
    EXPECT_EQ(streamed + decoder.finish(), text);
  }
}

/// Merges the leftmost of the pairs with the lowest rank, over and over.
Ids merge_naively(const json& model, std::vector<std::string> symbols) {
  std::map<std::pair<std::string, std::string>, std::size_t> ranks;
  const json& merges = model.at("merges");
  for (std::size_t i = 0; i < merges.size(); ++i) {
    ranks[{merges[i].at(0).get<std::string>(), merges[i].at(1).get<std::string>()}] = i;
  }
  while (true) {
    std::size_t best = symbols.size();
    std::size_t best_rank = merges.size();
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = ranks.find({symbols[i], symbols[i + 1]});
      if (found != ranks.end() && found->second < best_rank) {
        best = i;
        best_rank = found->second;
      }
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(model.at("vocab").at(symbol).get<std::int32_t>());
  return ids;
}

TEST(Bpe, MergesAsTheDefinitionSays) {
  std::mt19937 random(4);
  for (const char* name : {"gpt2", "gemma"}) {
    const Tokenizer tokenizer = Tokenizer::from_directory(fixture(name));
    const json model = read_json(fixture(name) / "tokenizer.json").at("model");
    const std::vector<std::string> letters = {"a", "e", "h", "i", "l", "n", "o", "r", "s", "t"};
    const bool has_spaces = std::string(name) == "gemma";
    for (const std::size_t length : {1, 2, 5, 20, 60, 300, 700}) {
      for (int round = 0; round < 5; ++round) {
        std::string text;
        std::vector<std::string> symbols;
        for (std::size_t i = 0; i < length; ++i) {
          const bool space = has_spaces && random() % 5 == 0;
          symbols.push_back(space ? "\u2581" : round == 0 ? "a" : letters[random() % letters.size()]);
          text += space ? " " : symbols.back();
        }
        ASSERT_EQ(tokenizer.encode(text, false), merge_naively(model, symbols)) << text;
      }
    }
  }
}

TEST(Bpe, LongRunsOfOneLetter) {
  const Tokenizer tokenizer = Tokenizer::from_directory(fixture("gpt2"));
  const std::string text(1 << 20, 'e');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(Bpe, MergesGivenAsStringsOrPairs) {
  json document = small_bpe();
  EXPECT_EQ(from_json(document).encode("abcab"), (Ids{5, 4}));
  document["model"]["merges"] = json::parse(R"([["a", "b"], ["ab", "c"]])");
  EXPECT_EQ(from_json(document).encode("abcab"), (Ids{5, 4}));
  document["model"]["merges"] = json::array();
  EXPECT_EQ(from_json(document).encode("ab"), (Ids{1, 2}));
}

TEST(Bpe, UnknownCharacters) {
  json document = small_bpe();
  EXPECT_EQ(from_json(document).encode("aééb"), (Ids{1, 0, 0, 2}));
  document["model"]["fuse_unk"] = true;
  EXPECT_EQ(from_json(document).encode("aééb漢"), (Ids{1, 0, 2, 0}));
  const std::string many = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaéé";
  Ids expected(30, 1);
  expected.push_back(0);
  EXPECT_EQ(from_json(document).encode(many), expected);
  document["model"]["unk_token"] = nullptr;
  EXPECT_EQ(from_json(document).encode("aéb"), (Ids{4}));
}

TEST(Bpe, ByteFallbackNeedsAllBytes) {
  json document = small_bpe();
  document["model"]["byte_fallback"] = true;
  document["model"]["vocab"]["<0xC3>"] = 9;
  EXPECT_EQ(from_json(document).encode("é"), (Ids{0}));
  document["model"]["vocab"]["<0xA9>"] = 10;
  EXPECT_EQ(from_json(document).encode("aéa"), (Ids{1, 9, 10, 1}));
}

TEST(Bpe, IgnoresMergesForWholePieces) {
  json document = small_bpe();
  document["model"]["vocab"]["ca"] = 9;
  EXPECT_EQ(from_json(document).encode("ca"), (Ids{3, 1}));
  document["model"]["ignore_merges"] = true;
  EXPECT_EQ(from_json(document).encode("ca"), (Ids{9}));
  EXPECT_EQ(from_json(document).encode("cab"), (Ids{3, 4}));
}

TEST(Bpe, PrefixesAndSuffixesOfWords) {
  const json document = json::parse(R"({
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
    "model": {"type": "BPE", "end_of_word_suffix": "</w>",
      "vocab": {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4}, "merges": ["a b</w>"]}})");
  const Tokenizer suffixed = from_json(document);
  EXPECT_EQ(suffixed.encode("ab b aba"), (Ids{4, 3, 0, 1, 2}));
  EXPECT_EQ(suffixed.decode(Ids{4, 3, 0, 1, 2}), "ab b aba");
  StreamingDecoder decoder(suffixed);
  EXPECT_EQ(decoder.push(4), "");
  EXPECT_EQ(decoder.push(3), "ab ");
  EXPECT_EQ(decoder.finish(), "b");

  const Tokenizer prefixed = from_json(json::parse(R"({
    "model": {"type": "BPE", "continuing_subword_prefix": "##",
      "vocab": {"a": 0, "##b": 1, "##c": 2, "ab": 3, "##bc": 4}, "merges": ["##b ##c", "a ##b"]}})"));
  EXPECT_EQ(prefixed.encode("abc"), (Ids{0, 4}));
  EXPECT_EQ(prefixed.encode("ab"), (Ids{3}));
  EXPECT_EQ(prefixed.decode(Ids{0, 4}), "a ##bc");
}

json added_token(int id, const std::string& content) {
  return {{"id", id}, {"content", content}, {"special", true}};
}

TEST(AddedTokens, TheLongestThatBeginsFirst) {
  json document = small_bpe();
  document["added_tokens"] = {added_token(20, "<a>"), added_token(21, "<a><b>"), added_token(22, "a><")};
  const Tokenizer tokenizer = from_json(document);
  EXPECT_EQ(tokenizer.encode("a<a>b"), (Ids{1, 20, 2}));
  EXPECT_EQ(tokenizer.encode("<a><b><a><"), (Ids{21, 20, 0}));
  EXPECT_EQ(tokenizer.encode("xa><"), (Ids{7, 22}));
  EXPECT_EQ(tokenizer.vocabulary_size(), 23);
  EXPECT_EQ(tokenizer.token_to_id("<a>"), 20);
  EXPECT_EQ(tokenizer.id_to_token(15), "");
  EXPECT_EQ(tokenizer.decode(Ids{1, 15, 20}), "a<a>");
  EXPECT_EQ(tokenizer.decode(Ids{1, 20}, true), "a");
  EXPECT_TRUE(tokenizer.is_special(20));
  EXPECT_FALSE(tokenizer.is_special(1));
  EXPECT_FALSE(tokenizer.is_special(-1));
}

TEST(AddedTokens, TakeWhiteSpaceWithThem) {
  json document = small_bpe();
  document["added_tokens"] = {added_token(20, "<l>"), added_token(21, "<r>")};
  document["added_tokens"][0]["lstrip"] = true;
  document["added_tokens"][1]["rstrip"] = true;
  const Tokenizer tokenizer = from_json(document);
  EXPECT_EQ(tokenizer.encode("a  <l> b"), (Ids{1, 20, 6, 2}));
  EXPECT_EQ(tokenizer.encode("a <r>\n\u3000 b"), (Ids{1, 6, 21, 2}));
  EXPECT_EQ(tokenizer.encode(" <r>  <l> "), (Ids{6, 21, 20, 6}));
}

TEST(AddedTokens, SingleWords) {
  json document = small_bpe();
  document["added_tokens"] = json::array({added_token(20, "ab")});
  document["added_tokens"][0]["single_word"] = true;
  const Tokenizer tokenizer = from_json(document);
  EXPECT_EQ(tokenizer.encode("ab ab"), (Ids{20, 6, 20}));
  EXPECT_EQ(tokenizer.encode("xab abc _ab ab"), (Ids{7, 4, 6, 5, 6, 8, 4, 6, 20}));
}

TEST(AddedTokens, SoughtInNormalizedText) {
  json document = small_bpe();
  document["normalizer"] = {{"type", "Lowercase"}};
  document["added_tokens"] = {added_token(20, "XA"), added_token(21, "XB")};
  document["added_tokens"][1]["normalized"] = true;
  const Tokenizer tokenizer = from_json(document);
  EXPECT_EQ(tokenizer.encode("xa XA"), (Ids{7, 1, 6, 20}));
  EXPECT_EQ(tokenizer.encode("xb Xb"), (Ids{21, 6, 21}));
}

TEST(Normalizers, EachKind) {
  // A unigram model with one token for everything that these tests leave over shows what reached it.
  auto normalized = [](const json& normalizer, const std::string& text) {
    json document = json::parse(
        R"({"decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
                                    "model": {"type": "BPE", "byte_fallback": true, "vocab": {}, "merges": []}})");
    for (int byte = 0; byte < 256; ++byte) {
      char name[8];
      std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(byte));
      document["model"]["vocab"][name] = byte;
    }
    document["normalizer"] = normalizer;
    const Tokenizer tokenizer = from_json(document);
    return tokenizer.decode(tokenizer.encode(text));
  };
  EXPECT_EQ(normalized({{"type", "NFKC"}}, "ﬁ"), "fi");
  EXPECT_EQ(normalized({{"type", "NFD"}}, "é"), "e\u0301");
  EXPECT_EQ(normalized({{"type", "Lowercase"}}, "ÀB"), "àb");
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "_"}}, "a"), "_a");
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "_"}}, ""), "");
  EXPECT_EQ(normalized({{"type", "Strip"}}, " \u3000a b\n"), "a b");
  EXPECT_EQ(normalized({{"type", "Strip"}, {"strip_left", false}}, " a "), " a");
  EXPECT_EQ(normalized({{"type", "Replace"}, {"pattern", {{"Regex", "a+"}}}, {"content", "$0"}}, "baac"),
            "b$0c");
  EXPECT_EQ(normalized({{"type", "Replace"}, {"pattern", {{"Regex", "x*"}}}, {"content", "-"}}, "axé"),
            "-a-é-");
  EXPECT_EQ(normalized({{"type", "ByteLevel"}}, " é"), "ĠÃ©");
  EXPECT_EQ(
      normalized(
          json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]})"),
          "éà"),
      "ea");
  EXPECT_EQ(normalized({{"type", "BertNormalizer"}, {"strip_accents", nullptr}}, "É\u0001 漢x\t"),
            "e  漢 x ");
  EXPECT_EQ(normalized({{"type", "BertNormalizer"}, {"lowercase", false}}, "É"), "É");
}

/// The pieces into which a pre-tokenizer cuts a text, seen through a model that knows no merges but marks
/// beginnings: each first character of a piece has the id of its code, each other character that plus 1000.
std::vector<std::string> pieces(const json& pre_tokenizer, const std::string& text) {
  json document = {
      {"pre_tokenizer", pre_tokenizer},
      {"model", {{"type", "BPE"}, {"continuing_subword_prefix", "#"}, {"merges", json::array()}}}};
  for (char32_t code = 1; code < 1000; ++code) {
    std::string character;
    append_utf8(character, code);
    document["model"]["vocab"][character] = code;
    document["model"]["vocab"]["#" + character] = code + 1000;
  }
  std::vector<std::string> out;
  for (const std::int32_t id : from_json(document).encode(text)) {
    if (id < 1000) out.emplace_back();
    append_utf8(out.back(), static_cast<char32_t>(id % 1000));
  }
  return out;
}

using Strings = std::vector<std::string>;

TEST(PreTokenizers, Split) {
  auto split = [](const char* behavior, const std::string& text, bool invert = false) {
    return pieces(
        {{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", behavior}, {"invert", invert}},
        text);
  };
  EXPECT_EQ(split("Removed", "-a--b-"), (Strings{"a", "b"}));
  EXPECT_EQ(split("Removed", "-a--b-", true), (Strings{"-", "-", "-", "-"}));
  EXPECT_EQ(split("Isolated", "-a--b-"), (Strings{"-", "a", "-", "-", "b", "-"}));
  EXPECT_EQ(split("Contiguous", "-a--b-"), (Strings{"-", "a", "--", "b", "-"}));
  EXPECT_EQ(split("MergedWithPrevious", "-a--b-"), (Strings{"-", "a-", "-", "b-"}));
  EXPECT_EQ(split("MergedWithNext", "-a--b-"), (Strings{"-a", "-", "-b", "-"}));
  EXPECT_EQ(split("Isolated", ""), Strings{});
}

TEST(PreTokenizers, ByCharacters) {
  EXPECT_EQ(pieces({{"type", "Digits"}}, "a12b3"), (Strings{"a", "12", "b", "3"}));
  EXPECT_EQ(pieces({{"type", "Digits"}, {"individual_digits", true}}, "a12"), (Strings{"a", "1", "2"}));
  EXPECT_EQ(pieces({{"type", "Punctuation"}}, "a,.b"), (Strings{"a", ",", ".", "b"}));
  EXPECT_EQ(pieces({{"type", "Punctuation"}, {"behavior", "Contiguous"}}, "a,.b"), (Strings{"a", ",.", "b"}));
  EXPECT_EQ(pieces({{"type", "WhitespaceSplit"}}, " a, b\n"), (Strings{"a,", "b"}));
  EXPECT_EQ(pieces({{"type", "Whitespace"}}, " a, b_1\n"), (Strings{"a", ",", "b_1"}));
  EXPECT_EQ(pieces({{"type", "CharDelimiterSplit"}, {"delimiter", "é"}}, "aébé"), (Strings{"a", "b"}));
  EXPECT_EQ(pieces({{"type", "BertPreTokenizer"}}, "a b$!"), (Strings{"a", "b", "$", "!"}));
}

TEST(PreTokenizers, ByteLevel) {
  EXPECT_EQ(pieces({{"type", "ByteLevel"}, {"add_prefix_space", true}}, "Hi  you's1"),
            (Strings{"ĠHi", "Ġ", "Ġyou", "'s", "1"}));
  EXPECT_EQ(pieces({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}, "a b"),
            (Strings{"aĠb"}));
}

TEST(PreTokenizers, Metaspace) {
  auto metaspace = [](const json& options, const std::string& text) {
    json node = {{"type", "Metaspace"}, {"replacement", "_"}};
    node.update(options);
    return pieces(node, text);
  };
  EXPECT_EQ(metaspace(json::object(), "a  b"), (Strings{"_a", "_", "_b"}));
  EXPECT_EQ(metaspace(json::object(), " a"), (Strings{"_a"}));
  EXPECT_EQ(metaspace({{"prepend_scheme", "never"}}, "a b"), (Strings{"a", "_b"}));
  EXPECT_EQ(metaspace({{"add_prefix_space", false}}, "a b"), (Strings{"a", "_b"}));
  EXPECT_EQ(metaspace({{"split", false}}, "a b"), (Strings{"_a_b"}));
  const json words = {{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", "Removed"}};
  auto sequence = [&](const char* scheme) {
    return json{{"type", "Sequence"},
                {"pretokenizers",
                 {words, {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", scheme}}}}};
  };
  EXPECT_EQ(pieces(sequence("first"), "a-b"), (Strings{"_a", "b"}));
  EXPECT_EQ(pieces(sequence("always"), "a-b"), (Strings{"_a", "_b"}));
}

TEST(PostProcessors, EachKind) {
  json document = small_bpe();
  auto encode = [&](const json& processor) {
    document["post_processor"] = processor;
    return from_json(document).encode("ab");
  };
  EXPECT_EQ(encode({{"type", "ByteLevel"}}), (Ids{4}));
  EXPECT_EQ(encode({{"type", "BertProcessing"}, {"sep", {"b", 2}}, {"cls", {"a", 1}}}), (Ids{1, 4, 2}));
  EXPECT_EQ(encode({{"type", "RobertaProcessing"}, {"sep", {"b", 2}}, {"cls", {"a", 1}}}), (Ids{1, 4, 2}));
  const json around = json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"x": {"id": "x", "ids": [7, 8], "tokens": ["x", "_"]}}})");
  EXPECT_EQ(encode(around), (Ids{7, 8, 4}));
  EXPECT_EQ(encode({{"type", "Sequence"}, {"processors", {around, {{"type", "ByteLevel"}}, around}}}),
            (Ids{7, 8, 7, 8, 4}));
  EXPECT_EQ(from_json(document).encode("ab", false), (Ids{4}));
}

TEST(Decoders, BytesOfFallback) {
  const Tokenizer tokenizer = Tokenizer::from_directory(fixture("gemma"));
  auto byte = [&](const char* name) { return tokenizer.token_to_id(name).value(); };
  const Ids character = {byte("<0xE4>"), byte("<0xBD>"), byte("<0xA0>")};
  EXPECT_EQ(tokenizer.decode(character), "你");
  EXPECT_EQ(tokenizer.decode(Ids{character[0], character[1]}), kFffd + kFffd);
  // A run that is broken anywhere is lost as a whole.
  EXPECT_EQ(tokenizer.decode(Ids{character[0], character[1], character[2], byte("<0xFF>")}),
            kFffd + kFffd + kFffd + kFffd);

  const std::int32_t letter = tokenizer.token_to_id("a").value();
  StreamingDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(character[0]), "");
  EXPECT_EQ(decoder.push(character[1]), "");
  EXPECT_EQ(decoder.push(character[2]), "");
  EXPECT_EQ(decoder.push(letter), "你a");
  EXPECT_EQ(decoder.push(character[0]), "");
  EXPECT_EQ(decoder.finish(), kFffd);
  EXPECT_EQ(decoder.push(letter), "a");
}

TEST(Decoders, BytesOfTheByteLevelAlphabet) {
  const Tokenizer tokenizer = Tokenizer::from_directory(fixture("llama3"));
  auto byte = [&](const char* name) { return tokenizer.token_to_id(name).value(); };
  // The three bytes of U+4F60, E4 BD A0, each as its character.
  const Ids character = {byte("ä"), byte("½"), byte("ł")};
  StreamingDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(character[0]), "");
  EXPECT_EQ(decoder.push(character[1]), "");
  EXPECT_EQ(decoder.push(character[2]), "你");
  EXPECT_EQ(decoder.push(character[0]), "");
  EXPECT_EQ(decoder.push(byte("a")), kFffd + "a");
  EXPECT_EQ(decoder.push(character[1]), kFffd);
  EXPECT_EQ(decoder.push(character[0]), "");
  EXPECT_EQ(decoder.finish(), kFffd);
}

TEST(Decoders, PartsInARow) {
  json document = small_bpe();
  auto decode = [&](const char* decoders, const Ids& ids) {
    document["decoder"] = json{{"type", "Sequence"}, {"decoders", json::parse(decoders)}};
    const Tokenizer tokenizer = from_json(document);
    StreamingDecoder decoder(tokenizer);
    std::string streamed;
    for (const std::int32_t id : ids) streamed += decoder.push(id);
    EXPECT_EQ(streamed + decoder.finish(), tokenizer.decode(ids));
    return tokenizer.decode(ids);
  };
  // "_" "ab" "_" "_" "c" "_", fused before it is stripped and searched.
  const Ids ids = {8, 4, 8, 8, 3, 8};
  EXPECT_EQ(decode(R"([{"type": "Fuse"}, {"type": "Strip", "content": "_", "start": 1, "stop": 1}])", ids),
            "ab__c");
  EXPECT_EQ(decode(R"([{"type": "Strip", "content": "_", "start": 1, "stop": 1}])", ids), "abc");
  EXPECT_EQ(
      decode(R"([{"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "b__c"}, "content": "!"}])",
             ids),
      "_a!_");
  EXPECT_EQ(decode(R"([{"type": "Replace", "pattern": {"String": "__"}, "content": "!"}])", ids), "_ab__c_");
  EXPECT_EQ(
      decode(R"([{"type": "Fuse"}, {"type": "Replace", "pattern": {"Regex": "_+"}, "content": "-"}])", ids),
      "-ab-c-");
  EXPECT_EQ(decode(R"([{"type": "Metaspace", "replacement": "_"}])", ids), "ab  c ");
  EXPECT_EQ(decode(R"([{"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"}])", ids),
            " ab  c ");
  document.erase("decoder");
  EXPECT_EQ(from_json(document).decode(ids), "_ ab _ _ c _");
}

TEST(WordPiece, WordsThatComeToNoEnd) {
  const Tokenizer tokenizer = from_json(json::parse(R"({
    "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 5,
      "vocab": {"[UNK]": 0, "un": 1, "##aff": 2, "##able": 3, "##a": 4, "u": 5, ".": 6}}})"));
  EXPECT_EQ(tokenizer.encode("unaff una unx . unaffa uné"), (Ids{1, 2, 1, 4, 0, 6, 0, 0}));
  EXPECT_EQ(tokenizer.decode(Ids{1, 2, 1, 4, 6}), "unaff una.");
}

TEST(Unigram, TheBestWayNotTheFirst) {
  json document = json::parse(R"({
    "decoder": {"type": "Fuse"},
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0], ["a", -1], ["ab", -1.5], ["b", -4], ["bc", -1], ["c", -3]]}})");
  EXPECT_EQ(from_json(document).encode("abc"), (Ids{1, 4}));
  EXPECT_EQ(from_json(document).encode("ab"), (Ids{2}));
  EXPECT_EQ(from_json(document).encode("aééc"), (Ids{1, 0, 5}));
  document["model"].erase("unk_id");
  EXPECT_EQ(from_json(document).encode("abc"), (Ids{1, 4}));
  EXPECT_THROW(from_json(document).encode("é"), std::invalid_argument);
}

TEST(Tokenizer, IdsOutOfRange) {
  const Tokenizer tokenizer = Tokenizer::from_directory(fixture("gpt2"));
  ASSERT_EQ(tokenizer.vocabulary_size(), 2048);
  auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  const std::string expected = "[tokenizer] token id 99999 is out of range (vocabulary size 2048)";
  EXPECT_EQ(message([&] { tokenizer.decode(Ids{1, 99999}); }), expected);
  EXPECT_EQ(message([&] { tokenizer.id_to_token(99999); }), expected);
  StreamingDecoder decoder(tokenizer);
  EXPECT_EQ(message([&] { decoder.push(99999); }), expected);
  EXPECT_EQ(decoder.push(tokenizer.token_to_id("a").value()), "a");
  EXPECT_THROW(tokenizer.decode(Ids{-1}), std::invalid_argument);
  EXPECT_THROW(tokenizer.decode(Ids{2048}), std::invalid_argument);
}

TEST(Tokenizer, MovesAndOutlives) {
  std::optional<StreamingDecoder> decoder;
  {
    Tokenizer first = Tokenizer::from_directory(fixture("llama2"));
    Tokenizer second = std::move(first);
    const Tokenizer copy = second;
    EXPECT_EQ(copy.encode("Hello"), second.encode("Hello"));
    decoder = second.streaming_decoder(true);
  }
  EXPECT_EQ(decoder->push(675) + decoder->finish(),
            Tokenizer::from_directory(fixture("llama2")).decode(Ids{675}));
}

TEST(Tokenizer, ReadsTheConfiguration) {
  const Tokenizer llama = Tokenizer::from_directory(fixture("llama3"));
  EXPECT_EQ(llama.config().bos_token, "<|begin_of_text|>");
  EXPECT_EQ(llama.eos_id(), 4);
  EXPECT_EQ(llama.pad_id(), std::nullopt);
  EXPECT_EQ(llama.config().chat_template, std::nullopt);

  const TemporaryFolder folder;
  folder.write("tokenizer.json", small_bpe().dump());
  folder.write("tokenizer_config.json",
               R"({"bos_token": {"content": "a"}, "eos_token": "nowhere", "pad_token": null,
    "chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]})");
  Tokenizer tokenizer = Tokenizer::from_directory(folder.path());
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.config().eos_token, "nowhere");
  EXPECT_EQ(tokenizer.eos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.config().chat_template, "D");
  EXPECT_EQ(tokenizer.config().named_chat_templates.at("tool_use"), "T");
  EXPECT_EQ(Tokenizer::from_file(folder.path() / "tokenizer.json").config().bos_token, std::nullopt);

  folder.write("chat_template.jinja", "J");
  EXPECT_EQ(Tokenizer::from_directory(folder.path()).config().chat_template, "J");
  const auto config = folder.write("tokenizer_config.json", R"({"bos_token": 3})");
  try {
    Tokenizer::from_directory(folder.path());
    FAIL() << "a broken configuration was accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(error.what(), "[tokenizer] " + config.string() + ": bos_token must be a string, but is number");
  }
}

TEST(BrokenFiles, MissingFile) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "absent.json";
  try {
    Tokenizer::from_file(file);
    FAIL() << "a missing file was read";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(error.what(), "[tokenizer] " + file.string() + ": the file cannot be opened");
  }
  EXPECT_THROW(Tokenizer::from_file(folder.path()), std::runtime_error);
}

TEST(BrokenFiles, SayWhatIsWrong) {
  const TemporaryFolder folder;
  auto error = [&](const char* pointer, const char* value) {
    json document = small_bpe();
    document[json::json_pointer(pointer)] = json::parse(value);
    return load_error(folder, document.dump());
  };
  EXPECT_EQ(load_error(folder, "[]"), "the document must be an object, but is array");
  EXPECT_EQ(load_error(folder, "{}"), "the document lacks \"model\"");
  EXPECT_EQ(error("/model/type", "7"), "model.type must be a string");
  EXPECT_EQ(error("/model/type", R"("Fancy")"), "model is a model of type \"Fancy\", which is not supported");
  EXPECT_EQ(error("/normalizer", R"({"type": "Precompiled"})"),
            "normalizer is a normalizer of type \"Precompiled\", which is not supported");
  EXPECT_EQ(error("/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Odd"}]})"),
            "pre_tokenizer.pretokenizers[0] is a pre-tokenizer of type \"Odd\", which is not supported");
  EXPECT_EQ(error("/decoder", R"({"type": "CTC"})"),
            "decoder is a decoder of type \"CTC\", which is not supported");
  EXPECT_EQ(error("/post_processor", R"({"type": "Odd"})"),
            "post_processor is a post-processor of type \"Odd\", which is not supported");
  EXPECT_EQ(error("/pre_tokenizer", "[]"), "pre_tokenizer must be an object, but is array");
  EXPECT_EQ(error("/model/vocab", "[]"), "model.vocab must be an object, but is array");
  EXPECT_EQ(error("/model/vocab/a", "-1"), "model.vocab must be a token id, but is -1");
  EXPECT_EQ(error("/model/vocab/a", "1e30"), "model.vocab must be a token id, but is number");
  EXPECT_EQ(error("/model/vocab/a", "2"), "model.vocab gives the id 2 to both \"a\" and \"b\"");
  EXPECT_EQ(error("/model/vocab/a", "99999999999"), "model.vocab must be a token id, but is 99999999999");
  EXPECT_EQ(error("/model/merges", "{}"), "model.merges must be an array, but is object");
  EXPECT_EQ(error("/model/merges/1", R"("a z")"),
            "model.merges[1] names the token \"z\", which is not in the vocabulary");
  EXPECT_EQ(error("/model/merges/1", R"("c a")"),
            "model.merges[1] names the token \"ca\", which is not in the vocabulary");
  EXPECT_EQ(error("/model/merges/0", R"("ab")"),
            "model.merges[0] must be two tokens with a space between them");
  EXPECT_EQ(error("/model/merges/0", R"(["a", 1])"), "model.merges[0] must be a pair of tokens");
  EXPECT_EQ(error("/model/merges/0", R"(["a", ""])"), "model.merges[0] holds an empty token");
  EXPECT_EQ(error("/model/unk_token", R"("zz")"),
            "model.unk_token names the token \"zz\", which is not in the vocabulary");
  EXPECT_EQ(error("/model/byte_fallback", "1"), "model.byte_fallback must be true or false, but is number");
  EXPECT_EQ(error("/added_tokens/0", R"({"id": 1})"), "added_tokens[0] lacks \"content\"");
  EXPECT_EQ(error("/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": "a"})"),
            "normalizer.pattern must not be empty");
  EXPECT_EQ(error("/post_processor", R"({"type": "BertProcessing", "sep": ["b", 99], "cls": ["a", 1]})"),
            "the document adds the token id 99, which is out of range (vocabulary size 9)");
  EXPECT_EQ(
      error("/post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "q"}}],
                                         "special_tokens": {}})"),
      "post_processor.single[0].SpecialToken names \"q\", which special_tokens lacks");
  EXPECT_EQ(
      error("/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated"})"),
      "pre_tokenizer.pattern.Regex an intersection (&&) of character classes in a regular expression is not "
      "supported");
  EXPECT_NE(
      error("/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})")
          .find("malformed regular expression \"(a\""),
      std::string::npos);

  std::string beginning;
  std::string end;
  for (int i = 0; i < 100000; ++i) {
    beginning += R"({"type": "Sequence", "normalizers": [)";
    end += "]}";
  }
  const std::string nested = load_error(folder, R"({"normalizer": )" + beginning + end + "}");
  EXPECT_NE(nested.find("is nested too deeply"), std::string::npos);
}

TEST(BrokenFiles, CutShort) {
  const TemporaryFolder folder;
  for (const char* name : {"gpt2", "unigram"}) {
    const std::string whole = test::read_file(fixture(name) / "tokenizer.json");
    const std::size_t end = whole.find_last_of('}');
    for (std::size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(load_error(folder, whole.substr(0, end * i / 40)).substr(0, 14), "malformed JSON");
    }
    EXPECT_EQ(load_error(folder, whole), "");
  }
}

TEST(BrokenFiles, MembersLeftOutOrOfAnotherType) {
  // Every value of a few files in turn is left out or replaced. Each file must be read or reported, nothing
  // else.
  const TemporaryFolder folder;
  const std::vector<json> replacements = {nullptr,       true,           -5,           1e300, "", "x",
                                          json::array(), json::object(), {{"type", 1}}};
  std::size_t reported = 0;
  std::size_t accepted = 0;
  for (const char* name : {"llama3", "llama2", "bert", "unigram"}) {
    json document = read_json(fixture(name) / "tokenizer.json");
    json& model = document.at("model");
    // Vocabularies of a size that many copies can be made of.
    if (model.at("vocab").is_array()) {
      json::array_t& entries = model.at("vocab").get_ref<json::array_t&>();
      entries.resize(20);
    } else {
      const auto unknown = model.value("unk_token", json());
      json kept = json::object();
      for (const auto& [token, id] : model.at("vocab").items()) {
        if (kept.size() < 10 || token == unknown || id.get<int>() < 6) kept[token] = id;
      }
      model["vocab"] = kept;
    }
    if (model.contains("merges")) model["merges"] = json::array();
    const json values = document.flatten();
    for (const auto& [path, value] : values.items()) {
      std::ignore = value;
      for (json::json_pointer at(path); !at.empty(); at.pop_back()) {
        for (const json& replacement : replacements) {
          json changed = document;
          changed[at] = replacement;
          const bool failed = !load_error(folder, changed.dump()).empty();
          ++(failed ? reported : accepted);
          if (failed) continue;
          const Tokenizer tokenizer = Tokenizer::from_file(folder.path() / "tokenizer.json");
          try {
            const Ids ids = tokenizer.encode("Ab, <s>\u00E9\xFF 12");
            EXPECT_TRUE(is_valid_utf8(tokenizer.decode(ids)));
          } catch (const std::invalid_argument& error) {
            EXPECT_EQ(std::string_view(error.what()).substr(0, 11), "[tokenizer]");
          }
        }
      }
    }
  }
  EXPECT_GT(reported, 500u);
  EXPECT_GT(accepted, 500u);
}

TEST(BrokenFiles, RandomBytes) {
  const TemporaryFolder folder;
  std::mt19937 random(5);
  const std::string whole = small_bpe().dump();
  for (int round = 0; round < 1500; ++round) {
    std::string content = whole;
    for (std::size_t i = 0; i < 1 + random() % 3; ++i) {
      const std::size_t at = random() % content.size();
      if (random() % 3 == 0) {
        content.erase(at, 1 + random() % 4);
      } else {
        content[at] = static_cast<char>(random() % 256);
      }
    }
    if (!load_error(folder, content).empty()) continue;
    const Tokenizer tokenizer = Tokenizer::from_file(folder.path() / "tokenizer.json");
    EXPECT_TRUE(is_valid_utf8(tokenizer.decode(tokenizer.encode("abc ab x\u00E9"))));
  }
}

}  // namespace
}  // namespace lazuli::lm
