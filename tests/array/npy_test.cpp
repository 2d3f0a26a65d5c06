#include <gtest/gtest.h>

#include <random>

#include <lazuli/array/io/npy.h>

#include "io_files.h"

using namespace lazuli;
using namespace lazuli::testing_files;
using namespace std::string_literals;

namespace {

std::string version_1(std::string dict, const std::string& data) {
  const size_t size = dict.size();
  return "\x93NUMPY\x01\x00"s + static_cast<char>(size & 0xff) + static_cast<char>(size >> 8) + dict + data;
}

class NpyTest : public testing::Test {
 protected:
  array load_text(const std::string& content) {
    const std::string path = folder_.file("given.npy");
    write_file(path, content);
    return load(path);
  }
  std::string load_error(const std::string& content) {
    const std::string error = error_of([&] { load_text(content); });
    EXPECT_EQ(error.rfind("[load] " + folder_.file("given.npy") + ": ", 0), 0u) << error;
    return error;
  }
  void expect_error(const std::string& text, const std::string& dict, size_t data_size = 0) {
    const std::string error = load_error(version_1(dict, std::string(data_size, '\0')));
    EXPECT_NE(error.find(text), std::string::npos) << dict << "\n  " << error;
  }
  Folder folder_;
};

TEST_F(NpyTest, EveryDtypeRoundTrips) {
  for (int i = 0; i < dtype_count; ++i) {
    const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(i));
    const array a = sample(dtype);
    save(folder_.file("a"), a);
    array b = load(folder_.file("a.npy"));
    EXPECT_EQ(a.shape(), b.shape());
    EXPECT_EQ(a.dtype(), b.dtype());
    EXPECT_EQ(bytes_of(a), bytes_of(b));
  }
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{5}, Shape{1, 2, 3, 4}}) {
    const std::vector<float> numbers(24, 2.5f);
    save(folder_.file("a.npy"), array(numbers.begin(), shape));
    EXPECT_EQ(load(folder_.file("a.npy")).shape(), shape);
  }
}

TEST_F(NpyTest, TheFileIsWhatNumPyWrites) {
  save(folder_.file("a.npy"), array({1.0f, 2.0f}, Shape{1, 2}));
  const std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
  EXPECT_EQ(read_file(folder_.file("a.npy")), "\x93NUMPY\x01\x00\x76\x00"s + dict +
                                                  std::string(118 - 1 - dict.size(), ' ') + "\n" +
                                                  "\0\0\x80\x3f\0\0\0\x40"s);
}

TEST_F(NpyTest, OrdersOfBytesAndElements) {
  array big =
      load_text(version_1("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }\n", "\0\1\1\0"s));
  EXPECT_EQ(big.data<int16_t>()[0], 1);
  EXPECT_EQ(big.data<int16_t>()[1], 256);
  const array columns =
      load_text(version_1("{'fortran_order':True,'descr':'|u1','shape':(2,3)}", "\1\4\2\5\3\6"));
  EXPECT_EQ(columns.strides(), (Strides{1, 2}));
  save(folder_.file("rows"), columns);
  EXPECT_EQ(bytes_of(load(folder_.file("rows.npy"))), "\1\2\3\4\5\6");
  array complex = load_text(
      version_1("{'descr': '>c8', 'fortran_order': False, 'shape': (), }", "\x3f\x80\0\0\x40\0\0\0"s));
  EXPECT_EQ(complex.item<complex64_t>(), complex64_t(1, 2));
}

TEST_F(NpyTest, LaterVersions) {
  const std::string dict = "{\"descr\": \"<i4\", \"fortran_order\": False, \"shape\": (1,)}";
  for (const char version : {'\2', '\3'}) {
    std::string text =
        "\x93NUMPY"s + version + '\0' + static_cast<char>(dict.size()) + "\0\0\0"s + dict + "\7\0\0\0"s;
    EXPECT_EQ(load_text(text).item<int>(), 7);
  }
}

TEST_F(NpyTest, BrokenFiles) {
  EXPECT_NE(error_of([&] { load(folder_.file("none.npy")); }).find("cannot open"), std::string::npos);
  for (const std::string& text :
       {""s, "\x93NUMPY"s, "PK\3\4 something else"s, "\x93NUMPY\1\0"s, "\x93NUMPY\1\0\xff"s,
        "\x93NUMPY\1\0\xff\xff{"s, "\x93NUMPY\2\0\xff\xff"s, "\x93NUMPY\2\0\xff\xff\xff\xff{}"s,
        "\x93NUMPY\4\0\1\0\0\0{"s, "\x93NUMPY\0\0\2\0{}"s}) {
    load_error(text);
  }
  const std::string fine = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  expect_error("need 8 bytes of data, the file holds 7", fine, 7);
  expect_error("the file holds 9", fine, 9);
  expect_error("malformed", "");
  expect_error("malformed", "{");
  expect_error("malformed", "{'descr");
  expect_error("malformed", "{'descr' '<f4'}");
  expect_error("malformed", fine + "x", 8);
  expect_error("malformed", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", 8);
  expect_error("malformed", "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}", 8);
  expect_error("malformed", "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}", 8);
  expect_error("malformed", "{'descr': '<f4', 'fortran_order': False, 'shape': (a,)}", 8);
  expect_error("malformed", "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}", 8);
  expect_error("lacks 'shape'", "{'descr': '<f4', 'fortran_order': False}");
  expect_error("lacks 'descr'", "{'shape': (), 'fortran_order': False}");
  expect_error("lacks 'fortran_order'", "{'descr': '<f4', 'shape': ()}");
  expect_error("'shape' twice", "{'shape': (), 'shape': ()}");
  expect_error("structured", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", 4);
  expect_error("unsupported dtype '|O'", "{'descr': '|O', 'fortran_order': False, 'shape': ()}", 8);
  expect_error("unsupported dtype '<c16'", "{'descr': '<c16', 'fortran_order': False, 'shape': ()}", 16);
  expect_error("unsupported dtype ''", "{'descr': '', 'fortran_order': False, 'shape': ()}");
  const auto shaped = [](const std::string& shape) {
    return "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + ")}";
  };
  expect_error("negative", shaped("-1,"), 4);
  expect_error("exceeds 32 bits", shaped("4294967296,"), 4);
  expect_error("exceeds 32 bits", shaped("99999999999999999999999,"), 4);
  expect_error("too many elements", shaped("2147483647,2147483647,2147483647"), 4);
  std::string ones;
  for (int i = 0; i < 100; ++i) ones += "1,";
  expect_error("more than 64", shaped(ones), 4);
}

TEST_F(NpyTest, RandomDamageNeverCrashes) {
  save(folder_.file("a.npy"), array({1, 2, 3, 4}, Shape{2, 2}));
  const std::string whole = read_file(folder_.file("a.npy"));
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string text = whole.substr(0, random() % 4 == 0 ? random() % whole.size() : whole.size());
    for (unsigned i = 0; i <= random() % 3 && !text.empty(); ++i) {
      text[random() % std::min<size_t>(text.size(), 72)] = static_cast<char>(random());
    }
    try {
      bytes_of(load(std::make_shared<TextReader>(text)));
    } catch (const std::runtime_error&) {
    }
  }
}

TEST_F(NpyTest, FailedSavesLeaveNothing) {
  EXPECT_EQ(error_of([&] { save(folder_.file("no/a.npy"), array(1)); }).rfind("[save] ", 0), 0u);
  EXPECT_THROW(save(folder_.file("a.npy"), array(Node::placeholder_of({{2}, float32}))), std::runtime_error);
  EXPECT_EQ(folder_.file_count(), 0u);
}

}  // namespace
