/// Files that are missing, cut short, or say something else than a tokenizer.
#include <lazuli/lm/text/utf8.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
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
