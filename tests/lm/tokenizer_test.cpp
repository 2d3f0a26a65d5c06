#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/streaming_decoder.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tokenizer_documents.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::fixture;
using test::Ids;
using test::read_json;
using test::small_bpe;
using test::TemporaryFolder;
using std::string_literals::operator""s;

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

}  // namespace
}  // namespace lazuli::lm
