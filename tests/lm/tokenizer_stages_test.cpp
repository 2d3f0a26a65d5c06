/// What a tokenizer does, stage by stage, on documents written for each.
#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/streaming_decoder.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer_documents.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::added_token;
using test::fixture;
using test::from_json;
using test::Ids;
using test::read_json;
using test::small_bpe;

const std::string kFffd = "\xEF\xBF\xBD";

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

}  // namespace
}  // namespace lazuli::lm
