#include <gtest/gtest.h>

#include <lazuli/array/io/npy.h>
#include <lazuli/array/io/npz.h>
#include <lazuli/array/io/safetensors.h>

#include "io_files.h"

using namespace lazuli;
using namespace lazuli::testing_files;

namespace {

/// A view of another array's memory.
array view(const array& a, const Shape& shape, const Strides& strides, int64_t offset = 0) {
  const int64_t bytes = offset * static_cast<int64_t>(a.itemsize());
  return array(Node::of_data(a.node()->outputs[0].buffer, bytes, shape, strides, a.dtype()));
}

TEST(ReadersAndWriters, SeveralArraysOneBehindAnother) {
  const auto writer = std::make_shared<TextWriter>();
  for (int i = 0; i < dtype_count; ++i) save(writer, sample(dtype_from_value(static_cast<Dtype::Val>(i))));
  save(writer, array(2.5f));
  save(writer, array(std::vector<float>().begin(), Shape{0, 3}));
  const auto reader = std::make_shared<TextReader>("xyz" + writer->text(), 3);
  for (int i = 0; i < dtype_count; ++i) {
    const array expected = sample(dtype_from_value(static_cast<Dtype::Val>(i)));
    const array loaded = load(reader);
    EXPECT_EQ(loaded.dtype(), expected.dtype());
    EXPECT_EQ(loaded.shape(), expected.shape());
    EXPECT_EQ(bytes_of(loaded), bytes_of(expected));
  }
  EXPECT_EQ(load(reader).item<float>(), 2.5f);
  EXPECT_EQ(load(reader).shape(), (Shape{0, 3}));
  EXPECT_EQ(reader->tell(), writer->text().size() + 3);
  EXPECT_EQ(error_of([&] { load(reader); }), "[load] text: not a .npy file");
}

TEST(ReadersAndWriters, ViewsOfManySmallRuns) {
  std::vector<int> numbers(300 * 70);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int>(i);
  const array a(numbers.begin(), Shape{300, 70});
  const auto writer = std::make_shared<TextWriter>();
  save(writer, view(a, {70, 300}, {-1, 70}, 69));
  save(writer, view(a, {300, 4096}, {70, 0}, 3));
  const auto reader = std::make_shared<TextReader>(writer->text());
  array turned = load(reader);
  const int* data = turned.data<int>();
  for (int i = 0; i < 70; ++i) {
    for (int j = 0; j < 300; ++j) ASSERT_EQ(data[i * 300 + j], j * 70 + 69 - i);
  }
  array repeated = load(reader);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(repeated.data<int>()[i * 4096 + 4095], i * 70 + 3);
}

TEST(ReadersAndWriters, OtherFormats) {
  const std::unordered_map<std::string, array> arrays{{"a", array({1, 2, 3})}, {"b", array(2.5)}};
  const auto tensors = std::make_shared<TextWriter>();
  save_safetensors(tensors, arrays, {{"key", "value"}});
  auto [loaded, metadata] = load_safetensors(std::make_shared<TextReader>("junk" + tensors->text(), 4));
  EXPECT_EQ(loaded.at("a").data<int>()[2], 3);
  EXPECT_EQ(loaded.at("b").item<double>(), 2.5);
  EXPECT_EQ(metadata.at("key"), "value");
  for (const bool compressed : {false, true}) {
    const auto archive = std::make_shared<TextWriter>();
    compressed ? savez_compressed(archive, arrays) : savez(archive, arrays);
    auto members = load_npz(std::make_shared<TextReader>(archive->text()));
    EXPECT_EQ(members.size(), 2u);
    EXPECT_EQ(members.at("a").data<int>()[2], 3);
    EXPECT_EQ(members.at("b").item<double>(), 2.5);
  }
}

TEST(ReadersAndWriters, FailuresAreSaid) {
  const auto full = [] { return std::make_shared<TextWriter>(60); };
  const array a({1, 2, 3});
  EXPECT_EQ(error_of([&] { save(full(), a); }), "[save] text: the writer has failed");
  EXPECT_EQ(error_of([&] {
              save_safetensors(full(), {{"a", a}});
            }),
            "[save_safetensors] text: the writer has failed");
  EXPECT_EQ(error_of([&] { savez(full(), {{"a", a}}); }), "[savez] text: the writer has failed");
  const auto behind = std::make_shared<TextReader>("text", 9);
  EXPECT_EQ(error_of([&] { load(behind); }), "[load] text: the reader stands behind its end");
  EXPECT_EQ(error_of([&] { load_npz(std::make_shared<TextReader>("")); }),
            "[load_npz] text: not a ZIP archive: 0 bytes are too few");

  /// Says that it has more than it gives.
  class Short final : public io::Reader {
   public:
    bool is_open() const override { return true; }
    bool good() const override { return good_; }
    size_t tell() override { return at_; }
    void seek(int64_t off, std::ios_base::seekdir way) override {
      at_ = way == std::ios_base::end ? 100 : static_cast<size_t>(off);
    }
    void read(char*, size_t) override { good_ = false; }
    void read(char*, size_t, size_t) override { good_ = false; }
    std::string label() const override { return "short"; }

   private:
    bool good_ = true;
    size_t at_ = 0;
  };
  EXPECT_EQ(error_of([&] { load(std::make_shared<Short>()); }), "[load] short: the reader has failed");
  EXPECT_EQ(error_of([&] { load_safetensors(std::make_shared<Short>()); }),
            "[load_safetensors] short: the reader has failed");
}

}  // namespace
