#include <gtest/gtest.h>

#include <random>

#include <lazuli/array/io/npz.h>
#include <lazuli/array/io/zip.h>

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

/// An archive put together by hand: members of one byte each, "x" where not said otherwise.
struct ByHand {
  std::string name = "a.npy";
  std::string data = "x";
  uint64_t method = 0;
  uint64_t flags = 0;
  uint64_t size = 1;
  uint64_t stored = 1;
  uint64_t header_at = 0;
  uint64_t count = 1;
  std::string extra;
  std::string comment;

  std::string text() const {
    const std::string local = "PK\3\4"s + std::string(22, '\0') + little(name.size(), 2) + little(0, 2);
    const std::string entry = "PK\1\2"s + little(0, 4) + little(flags, 2) + little(method, 2) +
                              std::string(8, '\0') + little(stored, 4) + little(size, 4) +
                              little(name.size(), 2) + little(extra.size(), 2) + std::string(10, '\0') +
                              little(header_at, 4) + name + extra;
    const std::string before = local + name + data;
    return before + entry + "PK\5\6"s + std::string(4, '\0') + little(count, 2) + little(count, 2) +
           little(entry.size(), 4) + little(before.size(), 4) + little(comment.size(), 2) + comment;
  }
};

class NpzTest : public testing::Test {
 protected:
  std::string load_error(const std::string& content) {
    const std::string path = folder_.file("given.npz");
    write_file(path, content);
    const std::string error = error_of([&] { load_npz(path); });
    const std::string prefix = "[load_npz] " + path + ": ";
    EXPECT_EQ(error.rfind(prefix, 0), 0u) << error;
    return error.size() > prefix.size() ? error.substr(prefix.size()) : error;
  }
  void expect_error(const std::string& text, const ByHand& archive) {
    const std::string error = load_error(archive.text());
    EXPECT_NE(error.find(text), std::string::npos) << error;
  }
  Folder folder_;
};

TEST_F(NpzTest, EveryDtypeRoundTrips) {
  std::unordered_map<std::string, array> arrays{{"scalar", array(4.5f)},
                                                {"empty", array(std::vector<float>().begin(), Shape{3, 0})}};
  for (int i = 0; i < dtype_count; ++i) {
    const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(i));
    arrays.emplace(dtype_name(dtype), sample(dtype));
  }
  std::vector<int> numbers(100000);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int>(i * 2654435761u >> 20);
  arrays.emplace("large", array(numbers.begin(), Shape{1000, 100}));
  savez(folder_.file("stored"), arrays);
  savez_compressed(folder_.file("deflated.npz"), arrays);
  for (const char* file : {"stored.npz", "deflated.npz"}) {
    const auto loaded = load_npz(folder_.file(file));
    ASSERT_EQ(loaded.size(), arrays.size());
    for (const auto& [name, a] : arrays) {
      const array& b = loaded.at(name);
      EXPECT_EQ(a.shape(), b.shape()) << name;
      EXPECT_EQ(a.dtype(), b.dtype()) << name;
      EXPECT_EQ(bytes_of(a), bytes_of(b)) << name;
      const bool is_mapped = !b.node()->outputs[0].buffer->is_donatable();
      EXPECT_EQ(is_mapped, file[0] == 's' && a.size() > 0) << name;
    }
  }
  EXPECT_LT(read_file(folder_.file("deflated.npz")).size(), read_file(folder_.file("stored.npz")).size());
}

TEST_F(NpzTest, NothingAndTheSameEachTime) {
  savez(folder_.file("none"), {});
  EXPECT_EQ(read_file(folder_.file("none.npz")), "PK\5\6"s + std::string(18, '\0'));
  EXPECT_TRUE(load_npz(folder_.file("none.npz")).empty());
  savez(folder_.file("one"), {{"a", array(1)}, {"b", array(2)}});
  savez(folder_.file("two"), {{"b", array(2)}, {"a", array(1)}});
  EXPECT_EQ(read_file(folder_.file("one.npz")), read_file(folder_.file("two.npz")));
}

TEST_F(NpzTest, Zip64SizesAndComments) {
  // One member, its sizes in the extra field, as NumPy writes it for what it streams.
  const std::string npy = [] {
    const auto writer = std::make_shared<TextWriter>();
    savez(writer, {{"a", array({1, 2, 3})}});
    const std::string& text = writer->text();
    const size_t at = text.find("\x93NUMPY");
    return text.substr(at, text.find("PK\1\2") - at);
  }();
  std::string text = [&] {
    const auto writer = std::make_shared<TextWriter>();
    savez(writer, {{"a", array({1, 2, 3})}});
    return writer->text();
  }();
  const size_t entry = text.find("PK\1\2");
  const std::string extra = little(0x7777, 2) + little(1, 2) + "?" + little(1, 2) + little(16, 2) +
                            little(npy.size(), 8) + little(npy.size(), 8);
  text.replace(entry + 20, 8, std::string(8, '\xff'));
  text.replace(entry + 30, 2, little(extra.size(), 2));
  const size_t end = text.find("PK\5\6");
  const size_t size = end - entry + extra.size();
  // The end record too, in its wide form.
  const std::string wide = "PK\6\6"s + little(44, 8) + std::string(12, '\0') + little(1, 8) + little(1, 8) +
                           little(size, 8) + little(entry, 8);
  const std::string locator = "PK\6\7"s + little(0, 4) + little(entry + size, 8) + little(1, 4);
  const std::string last = "PK\5\6"s + std::string(4, '\0') + std::string(12, '\xff') + little(7, 2);
  const std::string whole = text.substr(0, end) + extra + wide + locator + last + "comment";
  const std::string path = folder_.file("wide.npz");
  write_file(path, whole);
  EXPECT_EQ(load_npz(path).at("a").data<int>()[2], 3);
  EXPECT_NE(load_error(text.substr(0, end) + extra.substr(0, 5) + extra.substr(5, 12) + text.substr(end)),
            "");
}

TEST_F(NpzTest, BrokenFiles) {
  EXPECT_EQ(load_error(""), "not a ZIP archive: 0 bytes are too few");
  EXPECT_NE(load_error(std::string(100, 'x')).find("no end record"), std::string::npos);
  expect_error("checksum", {});
  ByHand archive;
  archive.name = "a.txt";
  expect_error("'a.txt' is not a .npy file", archive);
  archive = {};
  archive.method = 12;
  expect_error("unsupported compression method 12", archive);
  archive = {};
  archive.flags = 1;
  expect_error("encrypted", archive);
  archive = {};
  archive.size = 2;
  expect_error("two sizes differ", archive);
  archive = {};
  archive.size = archive.stored = 1000;
  expect_error("1000 bytes lie outside", archive);
  archive = {};
  archive.method = 8;
  archive.size = 5000;
  expect_error("1 bytes cannot inflate to 5000", archive);
  archive.size = 10;
  expect_error("deflated data are damaged", archive);
  archive = {};
  archive.header_at = 20;
  expect_error("header is not where it should be", archive);
  archive = {};
  archive.count = 2;
  expect_error("cannot have 2 members", archive);
  archive = {};
  archive.size = archive.stored = 0xffffffff;
  expect_error("ZIP64 size is missing", archive);
  archive.extra = little(1, 2) + little(8, 2) + little(1, 8);
  expect_error("ZIP64 size is missing", archive);
  archive.extra = little(1, 2) + little(99, 2);
  expect_error("extra field of the directory is cut off", archive);
}

TEST_F(NpzTest, RandomDamageNeverCrashes) {
  savez(folder_.file("stored"), {{"a", array({1, 2, 3, 4}, Shape{2, 2})}, {"b", array(1.5)}});
  savez_compressed(folder_.file("deflated"), {{"a", array({1, 2, 3, 4}, Shape{2, 2})}, {"b", array(1.5)}});
  std::mt19937 random(3);
  for (const char* file : {"stored.npz", "deflated.npz"}) {
    const std::string whole = read_file(folder_.file(file));
    for (int round = 0; round < 1500; ++round) {
      std::string text = whole.substr(0, random() % 8 == 0 ? random() % whole.size() : whole.size());
      for (unsigned i = 0; i <= random() % 3 && !text.empty(); ++i) {
        // Mostly in the directory.
        const size_t at = random() % 2 == 0 ? text.size() - 1 - random() % std::min<size_t>(text.size(), 160)
                                            : random() % text.size();
        text[at] = static_cast<char>(random());
      }
      try {
        for (const auto& item : load_npz(std::make_shared<TextReader>(text))) bytes_of(item.second);
      } catch (const std::runtime_error&) {
      }
    }
  }
}

TEST_F(NpzTest, FailedSavesLeaveNothing) {
  EXPECT_EQ(error_of([&] { savez(folder_.file("no/a"), {}); }).rfind("[savez] ", 0), 0u);
  EXPECT_NE(error_of([&] { savez(folder_.file("a"), {{std::string(70000, 'a'), array(1)}}); }), "");
  EXPECT_EQ(folder_.file_count(), 0u);
}

}  // namespace
