#include <gtest/gtest.h>

#include <random>

#include <lazuli/array/io/gguf.h>
#include <lazuli/array/io/gguf_format.h>

#include "io_files.h"

using namespace lazuli;
using namespace lazuli::testing_files;
using namespace std::string_literals;

namespace {

std::string little(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}
std::string word(uint64_t value) {
  return little(value, 4);
}
std::string wide(uint64_t value) {
  return little(value, 8);
}
std::string text(const std::string& value) {
  return wide(value.size()) + value;
}
std::string tensor(const std::string& name, const std::vector<uint64_t>& inner_first, uint32_t type,
                   uint64_t offset) {
  std::string bytes = text(name) + word(inner_first.size());
  for (const uint64_t extent : inner_first) bytes += wide(extent);
  return bytes + word(type) + wide(offset);
}
std::string file(uint64_t tensors, uint64_t values, const std::string& rest, uint32_t version = 3) {
  return "GGUF" + word(version) + wide(tensors) + wide(values) + rest;
}
std::string with_data(std::string header, const std::string& data) {
  header.resize((header.size() + 31) / 32 * 32, '\0');
  return header + data;
}

class GGUFTest : public testing::Test {
 protected:
  GGUFLoad load(const std::string& content, Dtype dequantized = float16) {
    const std::string path = folder_.file("given.gguf");
    write_file(path, content);
    return load_gguf(path, {}, dequantized);
  }
  void expect_error(const std::string& expected, const std::string& content) {
    const std::string error = error_of([&] { load(content); });
    EXPECT_EQ(error.rfind("[load_gguf] " + folder_.file("given.gguf") + ": ", 0), 0u) << error;
    EXPECT_NE(error.find(expected), std::string::npos) << error;
  }
  Folder folder_;
};

TEST_F(GGUFTest, TensorsAndMetadataRoundTrip) {
  std::unordered_map<std::string, array> arrays{{"scalar", array(4.5f)},
                                                {"empty", array(std::vector<float>().begin(), Shape{3, 0})}};
  for (const Dtype dtype : {float32, float16, bfloat16, float64, int8, int16, int32, int64}) {
    arrays.emplace(dtype_name(dtype), sample(dtype));
  }
  std::unordered_map<std::string, GGUFMetaData> metadata{
      {"text", "some \"text\"\0 with a zero"s},
      {"nothing", ""},
      {"texts", std::vector<std::string>{"one", "", "three"}},
      {"no texts", std::vector<std::string>{}},
      {"general.alignment", array(64u)},
  };
  for (const Dtype dtype :
       {bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float32, float64}) {
    metadata.emplace("one " + std::string(dtype_name(dtype)), array(1, dtype));
    metadata.emplace("list " + std::string(dtype_name(dtype)), array({1, 0, 1}, dtype));
  }
  save_gguf(folder_.file("all"), arrays, metadata);
  const auto [loaded, values] = load_gguf(folder_.file("all.gguf"));
  ASSERT_EQ(loaded.size(), arrays.size());
  for (const auto& [name, a] : arrays) {
    const array& b = loaded.at(name);
    EXPECT_EQ(a.shape(), b.shape()) << name;
    EXPECT_EQ(a.dtype(), b.dtype()) << name;
    EXPECT_EQ(bytes_of(a), bytes_of(b)) << name;
    if (a.size() > 0) {
      EXPECT_FALSE(b.node()->outputs[0].buffer->is_donatable()) << name;
    }
  }
  ASSERT_EQ(values.size(), metadata.size());
  for (const auto& [key, value] : metadata) {
    const GGUFMetaData& other = values.at(key);
    ASSERT_EQ(value.index(), other.index()) << key;
    if (const array* a = std::get_if<array>(&value)) {
      EXPECT_EQ(a->dtype(), std::get<array>(other).dtype()) << key;
      EXPECT_EQ(a->shape(), std::get<array>(other).shape()) << key;
      EXPECT_EQ(bytes_of(*a), bytes_of(std::get<array>(other))) << key;
    } else if (const auto* one = std::get_if<std::string>(&value)) {
      EXPECT_EQ(*one, std::get<std::string>(other));
    } else {
      EXPECT_EQ(std::get<3>(value), std::get<3>(other));
    }
  }
}

TEST_F(GGUFTest, TheFileIsWhatTheFormatSays) {
  save_gguf(folder_.file("a"), {{"w", array({1.0f, 2.0f}, Shape{2, 1})}},
            {{"k", "v"}, {"n", array({7, 8}, uint8)}});
  const std::string header = file(1, 2,
                                  text("k") + word(8) + text("v") + text("n") + word(9) + word(0) + wide(2) +
                                      "\7\10" + tensor("w", {1, 2}, 0, 0));
  EXPECT_EQ(read_file(folder_.file("a.gguf")),
            with_data(header, "\0\0\x80\x3f\0\0\0\x40"s + std::string(24, '\0')));
}

TEST_F(GGUFTest, ViewsAreWrittenRowMajor) {
  const array whole({1, 2, 3, 4, 5, 6}, Shape{2, 3});
  const Ref<Buffer>& buffer = whole.node()->outputs[0].buffer;
  const array turned(Node::of_data(buffer, 0, Shape{3, 2}, Strides{1, 3}, int32));
  const array backwards(Node::of_data(buffer, 20, Shape{6}, Strides{-1}, int32));
  save_gguf(folder_.file("a"), {{"turned", turned}}, {{"backwards", backwards}});
  auto [arrays, metadata] = load_gguf(folder_.file("a.gguf"));
  EXPECT_EQ(bytes_of(arrays.at("turned")), bytes_of(array({1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(bytes_of(std::get<array>(metadata.at("backwards"))), bytes_of(array({6, 5, 4, 3, 2, 1})));
}

TEST_F(GGUFTest, BlocksAreDequantized) {
  // Two rows of two Q8_0 blocks, scale 0.5 (0x3800), codes 0, 1, 2, ...
  std::string data;
  int code = 0;
  for (int block = 0; block < 4; ++block) {
    data += "\x00\x38"s;
    for (int i = 0; i < 32; ++i) data += static_cast<char>(code++ - 64);
  }
  const std::string content = with_data(file(1, 0, tensor("w", {64, 2}, 8, 0)), data);
  for (const Dtype dtype : {float16, bfloat16, float32, float64}) {
    auto loaded = load(content, dtype).first;
    array w = loaded.at("w");
    ASSERT_EQ(w.shape(), (Shape{2, 64}));
    ASSERT_EQ(w.dtype(), dtype);
    dispatch_dtype(dtype, [&]<typename T>(std::type_identity<T>) {
      if constexpr (!std::is_same_v<T, complex64_t>) {
        for (int i = 0; i < 128; ++i)
          EXPECT_EQ(static_cast<float>(w.data<T>()[i]), 0.5f * static_cast<float>(i - 64));
      }
    });
  }
  EXPECT_EQ(load(content).first.at("w").dtype(), float16);
  EXPECT_THROW(load(content, int32), std::invalid_argument);
}

TEST_F(GGUFTest, LargeBlockTensors) {
  // Many pieces, the last one not full.
  constexpr int blocks = 4099;
  std::string data;
  for (int block = 0; block < blocks; ++block) {
    data += little(float16_t(static_cast<float>(block % 100)).bits, 2) + std::string(16, '\x9a');
  }
  auto loaded = load(with_data(file(1, 0, tensor("w", {32, blocks}, 2, 0)), data), float32).first;
  const float* out = loaded.at("w").data<float>();
  for (int block = 0; block < blocks; ++block) {
    ASSERT_EQ(out[block * 32], static_cast<float>(block % 100) * 2);
    ASSERT_EQ(out[block * 32 + 31], static_cast<float>(block % 100));
  }
}

TEST_F(GGUFTest, Version2IsRead) {
  auto loaded = load(with_data(file(1, 0, tensor("w", {1}, 24, 0), 2), "\5")).first;
  EXPECT_EQ(loaded.at("w").item<int>(), 5);
}

TEST_F(GGUFTest, BrokenFiles) {
  expect_error("not a GGUF file", "");
  expect_error("not a GGUF file", "GGU");
  expect_error("not a GGUF file", "GGML and so on");
  expect_error("cut short", "GGUF");
  expect_error("version 1", file(0, 0, "", 1));
  expect_error("version 4", file(0, 0, "", 4));
  expect_error("other byte order", "GGUF"s + "\0\0\0\3"s + std::string(16, '\0'));
  expect_error("cannot hold 1000 tensors", file(1000, 0, ""));
  expect_error("cannot hold 18446744073709551615 metadata", file(0, ~0ull, ""));
  expect_error("cut short", file(0, 1, wide(1000) + "abcdefgh"));
  expect_error("limit of 65535", file(0, 1, wide(1 << 20) + std::string(1 << 20, 'x')));
  expect_error("unknown type 77", file(0, 1, text("k") + word(77) + wide(0)));
  expect_error("lists of lists", file(0, 1, text("k") + word(9) + word(9) + wide(0)));
  expect_error("unknown type 99", file(0, 1, text("k") + word(9) + word(99) + wide(0)));
  expect_error("list is cut short", file(0, 1, text("k") + word(9) + word(10) + wide(1ull << 61)));
  expect_error("list is cut short", file(0, 1, text("k") + word(9) + word(8) + wide(3) + wide(0)));
  expect_error("neither 0 nor 1", file(0, 1, text("k") + word(7) + "\2"));
  expect_error("'k' stands there twice",
               file(0, 2, text("k") + word(0) + "\1" + text("k") + word(0) + "\1" + "padding"));
  expect_error("alignment is 3", file(0, 1, text("general.alignment") + word(4) + word(3)));
  expect_error("is no uint32", file(0, 1, text("general.alignment") + word(8) + text("32")));
  expect_error("9 dimensions", file(1, 0, tensor("w", std::vector<uint64_t>(9, 1), 0, 0)));
  expect_error("exceeds 32 bits", file(1, 0, tensor("w", {1ull << 32}, 0, 0)));
  expect_error("too many elements", file(1, 0, tensor("w", {1u << 30, 1u << 30, 1u << 30}, 0, 0)));
  expect_error("unknown type 33", file(1, 0, tensor("w", {1}, 33, 0)));
  expect_error("blocks of type IQ2_XXS are not supported", file(1, 0, tensor("w", {256}, 16, 0)));
  expect_error("no whole blocks of Q4_K", file(1, 0, tensor("w", {255}, 12, 0)));
  expect_error("no multiple of 32", with_data(file(1, 0, tensor("w", {1}, 0, 4)), std::string(64, '\0')));
  expect_error("lie outside", with_data(file(1, 0, tensor("w", {2}, 0, 0)), std::string(7, '\0')));
  expect_error("lie outside", with_data(file(1, 0, tensor("w", {2}, 0, ~31ull)), std::string(8, '\0')));
  expect_error("lie outside", file(1, 0, tensor("w", {2}, 0, 0)));
  expect_error(
      "'w' stands there twice",
      with_data(file(2, 0, tensor("w", {1}, 0, 0) + tensor("w", {1}, 0, 32)), std::string(64, '\0')));
  expect_error(
      "belong to another one too",
      with_data(file(2, 0, tensor("a", {9}, 0, 0) + tensor("b", {9}, 0, 32)), std::string(68, '\0')));
}

TEST_F(GGUFTest, WhatCannotBeWritten) {
  const auto error = [&](const std::unordered_map<std::string, array>& arrays,
                         const std::unordered_map<std::string, GGUFMetaData>& metadata) {
    return error_of([&] { save_gguf(folder_.file("a"), arrays, metadata); });
  };
  EXPECT_NE(error({{"a", array(true)}}, {}).find("'a' cannot be bool"), std::string::npos);
  EXPECT_NE(error({{"a", sample(complex64)}}, {}).find("cannot be complex64"), std::string::npos);
  EXPECT_NE(error({}, {{"k", std::monostate()}}).find("'k' has no value"), std::string::npos);
  EXPECT_NE(error({}, {{"k", sample(float32)}}).find("more than one dimension"), std::string::npos);
  EXPECT_NE(error({}, {{"k", array(1, float16)}}).find("cannot be float16"), std::string::npos);
  EXPECT_NE(error({}, {{"general.alignment", array(3u)}}).find("power of two"), std::string::npos);
  EXPECT_EQ(folder_.file_count(), 0u);
}

TEST_F(GGUFTest, RandomDamageNeverCrashes) {
  const std::string whole =
      with_data(file(2, 2,
                     text("key") + word(8) + text("value") + text("list") + word(9) + word(4) + wide(2) +
                         wide(5) + tensor("a", {4, 2}, 0, 0) + tensor("b", {32, 1}, 2, 32)),
                std::string(50, 'x'));
  std::mt19937 random(3);
  for (int round = 0; round < 800; ++round) {
    std::string content = whole.substr(0, random() % 4 == 0 ? random() % whole.size() : whole.size());
    for (unsigned i = 0; i <= random() % 3 && !content.empty(); ++i) {
      content[random() % content.size()] = static_cast<char>(random());
    }
    try {
      for (const auto& item : load(content).first) bytes_of(item.second);
    } catch (const std::runtime_error&) {
    }
  }
}

}  // namespace
