#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include <lazuli/array/io/mapped_file.h>
#include <lazuli/array/io/safetensors.h>

#include "io_files.h"

using namespace lazuli;
using namespace lazuli::testing_files;
using namespace std::string_literals;

namespace {

std::string with_length(const std::string& header, const std::string& data = {}) {
  const uint64_t length = header.size();
  std::string text(sizeof(length), '\0');
  std::memcpy(text.data(), &length, sizeof(length));
  return text + header + data;
}

class SafetensorsTest : public testing::Test {
 protected:
  std::string load_error(const std::string& content) {
    const std::string path = folder_.file("broken.safetensors");
    write_file(path, content);
    const std::string error = error_of([&] { load_safetensors(path); });
    const std::string prefix = "[load_safetensors] " + path + ": ";
    EXPECT_EQ(error.rfind(prefix, 0), 0u) << error;
    return error.size() > prefix.size() ? error.substr(prefix.size()) : error;
  }
  std::string header_error(const std::string& header, size_t data_size = 0) {
    return load_error(with_length(header, std::string(data_size, '\0')));
  }
  void expect_error(const std::string& text, const std::string& header, size_t data_size = 0) {
    const std::string error = header_error(header, data_size);
    EXPECT_NE(error.find(text), std::string::npos) << header << "\n  " << error;
  }

  Folder folder_;
};

TEST_F(SafetensorsTest, EveryDtypeRoundTrips) {
  std::unordered_map<std::string, array> arrays;
  for (int i = 0; i < dtype_count; ++i) {
    const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(i));
    arrays.emplace(std::string("a/") + std::string(dtype_name(dtype)), sample(dtype));
  }
  arrays.emplace("scalar", array(4.5f));
  arrays.emplace("empty", array(std::vector<float>().begin(), Shape{3, 0}));
  const std::string path = folder_.file("all.safetensors");
  save_safetensors(path, arrays, {{"format", "mlx"}, {"quote", "\"x\"\n"}});
  const auto [loaded, metadata] = load_safetensors(path);
  ASSERT_EQ(loaded.size(), arrays.size());
  EXPECT_EQ(metadata.at("quote"), "\"x\"\n");
  EXPECT_EQ(metadata.size(), 2u);
  for (const auto& [name, a] : arrays) {
    const array& b = loaded.at(name);
    EXPECT_EQ(a.shape(), b.shape()) << name;
    EXPECT_EQ(a.dtype(), b.dtype()) << name;
    EXPECT_EQ(bytes_of(a), bytes_of(b)) << name;
    // What lies in the file is not to be written to.
    if (a.size() > 0) {
      EXPECT_FALSE(b.node()->outputs[0].buffer->is_donatable()) << name;
    }
  }
}

TEST_F(SafetensorsTest, EightBitFloatsBecomeBfloat16) {
  const std::string path = folder_.file("eight.safetensors");
  const std::string header = R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"F8_E5M2","shape":[8],"data_offsets":[8,16]},)"
                             R"("c":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[16,17]}})";
  // 0, the smallest, -(the largest below normal), the smallest normal, 1, the largest, NaN or infinity, -0.
  write_file(path, with_length(header, "\x00\x01\x87\x08\x38\x7e\x7f\x80"s +
                                           "\x00\x01\x83\x04\x3c\x7b\x7c\x80"s + "\x7f"));
  auto loaded = load_safetensors(path).first;
  const float first[] = {0, 0x1p-9f, -7 * 0x1p-9f, 0x1p-6f, 1, 448};
  const float second[] = {0, 0x1p-16f, -3 * 0x1p-16f, 0x1p-14f, 1, 57344};
  ASSERT_EQ(loaded.at("a").dtype(), bfloat16);
  const bfloat16_t* a = loaded.at("a").data<bfloat16_t>();
  const bfloat16_t* b = loaded.at("b").data<bfloat16_t>();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(static_cast<float>(a[i]), first[i]);
    EXPECT_EQ(static_cast<float>(b[i]), second[i]);
  }
  EXPECT_TRUE(std::isnan(static_cast<float>(a[6])));
  EXPECT_EQ(static_cast<float>(b[6]), std::numeric_limits<float>::infinity());
  EXPECT_EQ(a[7].bits, 0x8000);
  EXPECT_EQ(b[7].bits, 0x8000);
  EXPECT_EQ(loaded.at("c").dtype(), uint8);
  EXPECT_EQ(loaded.at("c").item<int>(), 127);
}

TEST_F(SafetensorsTest, FilesAreTheSameEachTime) {
  const std::unordered_map<std::string, array> arrays{
      {"b", array({1, 2, 3})}, {"a", array({true, false, true})}, {"c", array({1.5, 2.5})}};
  save_safetensors(folder_.file("one"), arrays);
  save_safetensors(folder_.file("two.safetensors"), arrays);
  const std::string one = read_file(folder_.file("one.safetensors"));
  EXPECT_EQ(one, read_file(folder_.file("two.safetensors")));
  const std::string expected =
      R"({"a":{"data_offsets":[28,31],"dtype":"BOOL","shape":[3]},"b":{"data_offsets":[16,28],"dtype":"I32",)"
      R"("shape":[3]},"c":{"data_offsets":[0,16],"dtype":"F64","shape":[2]}})";
  EXPECT_EQ(one.substr(8, expected.size()), expected);
  EXPECT_EQ(folder_.file_count(), 2u);
}

TEST_F(SafetensorsTest, ViewsAreWrittenRowMajor) {
  const array whole({1, 2, 3, 4, 5, 6}, Shape{2, 3});
  const Ref<Buffer>& buffer = whole.node()->outputs[0].buffer;
  const auto view = [&](int64_t offset, const Shape& shape, const Strides& strides) {
    return array(Node::of_data(buffer, offset * 4, shape, strides, int32));
  };
  const std::string path = folder_.file("views.safetensors");
  save_safetensors(path, {{"transposed", view(0, {3, 2}, {1, 3})},
                          {"reversed", view(5, {6}, {-1})},
                          {"columns", view(1, {2, 2}, {3, 1})},
                          {"repeated", view(2, {2, 1, 3}, {0, 7, 0})}});
  auto loaded = load_safetensors(path).first;
  const auto expect = [&](const std::string& name, const std::vector<int>& values) {
    const int* data = loaded.at(name).data<int>();
    EXPECT_EQ(std::vector<int>(data, data + loaded.at(name).size()), values) << name;
  };
  expect("transposed", {1, 4, 2, 5, 3, 6});
  expect("reversed", {6, 5, 4, 3, 2, 1});
  expect("columns", {2, 3, 5, 6});
  expect("repeated", {3, 3, 3, 3, 3, 3});
}

TEST_F(SafetensorsTest, LargeArrays) {
  std::vector<int> numbers(1 << 20);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int>(i * 2654435761u);
  const array a(numbers.begin(), Shape{1024, 1024});
  const array t(Node::of_data(a.node()->outputs[0].buffer, 0, Shape{1024, 1024}, Strides{1, 1024}, int32));
  const std::string path = folder_.file("large.safetensors");
  save_safetensors(path, {{"a", a}, {"t", t}});
  auto loaded = load_safetensors(path).first;
  EXPECT_EQ(bytes_of(loaded.at("a")), bytes_of(a));
  const int* transposed = loaded.at("t").data<int>();
  for (size_t i = 0; i < numbers.size(); i += 997)
    EXPECT_EQ(transposed[i], numbers[i % 1024 * 1024 + i / 1024]);
}

TEST_F(SafetensorsTest, FilesMayBeReplacedByWhatWasLoadedFromThem) {
  const std::string path = folder_.file("same.safetensors");
  save_safetensors(path, {{"a", array({1, 2, 3})}});
  auto loaded = load_safetensors(path).first;
  save_safetensors(path, {{"a", loaded.at("a")}, {"b", array({4})}});
  EXPECT_EQ(loaded.at("a").data<int>()[2], 3);
  EXPECT_EQ(load_safetensors(path).first.at("a").data<int>()[2], 3);
}

TEST_F(SafetensorsTest, UnalignedTensorsAreCopied) {
  // 9 bytes of header text put the float at an odd address.
  const float value = 1.25f;
  std::string data(5, '\1');
  std::memcpy(data.data() + 1, &value, 4);
  const std::string path = folder_.file("odd.safetensors");
  std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("b":{"dtype":"F32","shape":[],"data_offsets":[1,5]}})";
  while ((header.size() + 8 + 1) % 4 == 0) header += ' ';
  write_file(path, with_length(header, data));
  auto loaded = load_safetensors(path).first;
  EXPECT_EQ(loaded.at("b").item<float>(), 1.25f);
  EXPECT_TRUE(loaded.at("b").node()->outputs[0].buffer->is_donatable());
}

TEST_F(SafetensorsTest, OddBooleansBecomeTrue) {
  const std::string path = folder_.file("bool.safetensors");
  write_file(path,
             with_length(R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", "\x02\x00\xff"s));
  array a = load_safetensors(path).first.at("a");
  EXPECT_EQ(bytes_of(a), "\x01\x00\x01"s);
}

TEST_F(SafetensorsTest, AcceptsWhatTheFormatAllows) {
  const std::string path = folder_.file("fine.safetensors");
  for (
      const char* header :
      {"{}", "{}   \n", R"({"__metadata__":{}})",
       R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"I8","shape":[0,2],"data_offsets":[0,0]}})",
       R"({"a":{"shape":[],"extra":{"x":[1,[2],{}],"y":null},"data_offsets":[0,0],"dtype":"F32","shape2":[0]}})"}) {
    std::string text = header;
    const bool has_scalar = text.find("extra") != std::string::npos;
    if (has_scalar) text.replace(text.find("[0,0]"), 5, "[0,4]");
    write_file(path, with_length(text, has_scalar ? "\0\0\0\0"s : ""s));
    EXPECT_EQ(error_of([&] { load_safetensors(path); }), "") << header;
  }
}

TEST_F(SafetensorsTest, BrokenFiles) {
  EXPECT_NE(error_of([&] { load_safetensors(folder_.file("none")); }).find("cannot open"), std::string::npos);
  EXPECT_NE(error_of([&] { load_safetensors(folder_.file("")); }).find("not a regular file"),
            std::string::npos);
  EXPECT_EQ(load_error(""), "0 bytes are too few for a header");
  EXPECT_EQ(load_error("1234567"), "7 bytes are too few for a header");
  EXPECT_EQ(load_error(std::string(8, '\0')), "the header does not begin with '{'");
  EXPECT_EQ(load_error("\x03\0\0\0\0\0\0\0{}"s), "the header should have 3 bytes, the file holds 2");
  EXPECT_NE(load_error(std::string(8, '\xff')).find("exceeds the limit"), std::string::npos);
  EXPECT_NE(load_error("\0\0\0\0\1\0\0\0{}"s).find("exceeds the limit"), std::string::npos);
}

TEST_F(SafetensorsTest, BrokenJson) {
  expect_error("does not begin", "[]");
  expect_error("does not begin", " {}");
  expect_error("not valid JSON", "{");
  expect_error("not valid JSON", "{}}");
  expect_error("not valid JSON", "{} x");
  expect_error("not valid JSON", R"({"a":})");
  expect_error("not valid JSON", "{\"\xff\":{}}");
  expect_error("not valid JSON", "{\"\xc0\xaf\":{}}");
  expect_error("not valid JSON", "{\"a\":\0}"s);
  expect_error("not valid JSON", R"({"\ud800":{}})");
  expect_error("not valid JSON", R"({"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}})", 4);
  expect_error("not described", R"({"a":)" + std::string(100000, '['));
  expect_error("not described", R"({"a":1})");
  expect_error("not described", R"({"a":null})");
  expect_error("too deeply", R"({"a":{"x":)" + std::string(100000, '['));
  std::string nested = R"({"a":{"x":)";
  for (int i = 0; i < 100000; ++i) nested += R"({"a":)";
  expect_error("too deeply", nested);
}

TEST_F(SafetensorsTest, WrongFields) {
  const auto tensor = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  expect_error("dtype is missing", tensor(R"("shape":[1],"data_offsets":[0,4])"), 4);
  expect_error("shape is missing", tensor(R"("dtype":"F32","data_offsets":[0,4])"), 4);
  expect_error("data_offsets is missing", tensor(R"("dtype":"F32","shape":[1])"), 4);
  expect_error("unsupported dtype 'F33'", tensor(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), 4);
  expect_error("'a': unsupported dtype 'F4'", tensor(R"("dtype":"F4","shape":[4],"data_offsets":[0,4])"), 4);
  expect_error("wrong type of dtype", tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), 4);
  expect_error("wrong type of dtype", tensor(R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])"), 4);
  expect_error("wrong type of shape", tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), 4);
  expect_error("wrong type of shape", tensor(R"("dtype":"F32","shape":{},"data_offsets":[0,4])"), 4);
  expect_error("wrong type of shape", tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), 4);
  expect_error("wrong type of shape", tensor(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])"), 4);
  expect_error("wrong type of shape", tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), 4);
  expect_error("negative number in shape", tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4);
  expect_error("negative number in data_offsets",
               tensor(R"("dtype":"F32","shape":[1],"data_offsets":[-4,0])"), 4);
  expect_error("two numbers", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4);
  expect_error("two numbers", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), 4);
  expect_error("shape stands there twice",
               tensor(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])"), 4);
  expect_error(
      "'a' stands there twice",
      R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})",
      2);
  std::string many = "1";
  for (int i = 0; i < 1000; ++i) many += ",1";
  expect_error("more than 64 numbers",
               tensor(R"("dtype":"F32","shape":[)" + many + R"(],"data_offsets":[0,4])"), 4);
}

TEST_F(SafetensorsTest, WrongMetadata) {
  expect_error("metadata must map", R"({"__metadata__":1})");
  expect_error("metadata must map", R"({"__metadata__":[]})");
  expect_error("metadata must map", R"({"__metadata__":{"a":1}})");
  expect_error("metadata must map", R"({"__metadata__":{"a":{}}})");
  expect_error("metadata must map", R"({"__metadata__":{"a":["b"]}})");
  expect_error("metadata has 'a' twice", R"({"__metadata__":{"a":"b","a":"c"}})");
  expect_error("__metadata__ stands there twice", R"({"__metadata__":{},"__metadata__":{}})");
}

TEST_F(SafetensorsTest, LyingSizes) {
  const auto tensor = [](const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":"F32","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}}";
  };
  expect_error("lie outside", tensor("1", "0,4"), 3);
  expect_error("lie outside", tensor("1", "4,0"), 4);
  expect_error("lie outside", tensor("1", "18446744073709551612,18446744073709551615"), 4);
  expect_error("need 8 bytes, data_offsets give 4", tensor("2", "0,4"), 4);
  expect_error("need 4 bytes, data_offsets give 8", tensor("", "0,8"), 8);
  expect_error("too many elements", tensor("2147483647,2147483647,2147483647", "0,4"), 4);
  expect_error("need 0 bytes", tensor("2147483647,2147483647,2147483647,0", "0,4"), 4);
  expect_error("exceeds 32 bits", tensor("4294967296", "0,4"), 4);
  expect_error("exceeds 32 bits", tensor("9223372036854775808,2", "0,0"));
  expect_error("wrong type", tensor("99999999999999999999", "0,4"), 4);
  expect_error("at the end belong to no tensor", tensor("1", "0,4"), 5);
  expect_error("before it belong to none", tensor("1", "4,8"), 8);
  expect_error("belong to no tensor", "{}", 1);
  const std::string two =
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[)";
  expect_error("belong to another one", two + "2,6]}}", 6);
  expect_error("belong to another one", two + "0,4]}}", 4);
  expect_error("2 bytes before it", two + "6,10]}}", 10);
}

TEST_F(SafetensorsTest, AnyCutIsAnError) {
  const std::string path = folder_.file("whole.safetensors");
  save_safetensors(path, {{"a", array({1, 2, 3})}, {"b", array({1.5f, 2.5f})}}, {{"k", "v"}});
  const std::string whole = read_file(path);
  for (size_t size = 0; size < whole.size(); ++size) load_error(whole.substr(0, size));
  load_error(whole + "x");
}

TEST_F(SafetensorsTest, RandomDamageNeverCrashes) {
  const std::string path = folder_.file("damaged.safetensors");
  save_safetensors(path, {{"a", array({1, 2, 3})}, {"b", array({true, false})}}, {{"k", "v"}});
  const std::string whole = read_file(path);
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string text = whole;
    for (unsigned i = 0; i <= random() % 3; ++i) {
      const size_t at = random() % text.size();
      constexpr std::string_view likely = "0123456789{}[],:\"-ea";
      text[at] = random() % 2 == 0 ? static_cast<char>(random()) : likely[random() % likely.size()];
    }
    write_file(path, text);
    try {
      for (auto& [name, a] : load_safetensors(path).first) bytes_of(a);
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()).rfind("[load_safetensors] ", 0), 0u);
    }
  }
}

TEST_F(SafetensorsTest, FailedSavesLeaveNothing) {
  const std::string path = folder_.file("kept.safetensors");
  save_safetensors(path, {{"a", array(1)}});
  const std::string before = read_file(path);
  const auto bad_name = error_of([&] { save_safetensors(path, {{"\xff", array(1)}}); });
  EXPECT_EQ(bad_name.rfind("[save_safetensors] " + path, 0), 0u) << bad_name;
  EXPECT_NE(error_of([&] { save_safetensors(path, {{"__metadata__", array(1)}}); }), "");
  EXPECT_NE(error_of([&] {
              save_safetensors(path, {{"a", array(Node::placeholder_of({{2}, float32}))}});
            }),
            "");
  EXPECT_EQ(read_file(path), before);
  EXPECT_NE(error_of([&] { save_safetensors(folder_.file("no/folder"), {{"a", array(1)}}); }), "");
  std::filesystem::create_directories(folder_.file("folder.safetensors"));
  EXPECT_NE(error_of([&] { save_safetensors(folder_.file("folder"), {{"a", array(1)}}); }), "");
  EXPECT_EQ(folder_.file_count(), 2u);
}

TEST_F(SafetensorsTest, MappingsOutliveTheirFile) {
  const std::string path = folder_.file("gone");
  write_file(path, "hello");
  Ref<Buffer> kept;
  {
    const MappedFile file(path);
    EXPECT_EQ(file.size(), 5u);
    kept = file.buffer();
  }
  std::filesystem::remove(path);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(kept->data()), 5), "hello");
  write_file(path, "");
  EXPECT_EQ(MappedFile(path).size(), 0u);
}

}  // namespace
