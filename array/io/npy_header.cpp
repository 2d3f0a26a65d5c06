#include <lazuli/array/io/npy_header.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <lazuli/array/io/header_error.h>
#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

using io::fail;

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t largest_header = size_t{1} << 20;

struct DtypeName {
  std::string_view name;  ///< without the byte order
  Dtype dtype;
};
constexpr std::array<DtypeName, dtype_count> dtype_names{{{"b1", bool_},
                                                          {"u1", uint8},
                                                          {"u2", uint16},
                                                          {"u4", uint32},
                                                          {"u8", uint64},
                                                          {"i1", int8},
                                                          {"i2", int16},
                                                          {"i4", int32},
                                                          {"i8", int64},
                                                          {"f2", float16},
                                                          {"f4", float32},
                                                          {"f8", float64},
                                                          {"V2", bfloat16},
                                                          {"c8", complex64}}};

/// Reads the header's text: a Python dict of three entries.
class DictReader {
 public:
  DictReader(std::string_view text, NpyHeader& header) : text_(text), header_(header) {}

  void read() {
    expect('{');
    while (!accept('}')) {
      read_entry(read_string());
      if (!accept(',') && peek() != '}') malformed();
    }
    skip_space();
    if (at_ != text_.size()) malformed();
    if (!has_dtype_) fail("the header lacks 'descr'");
    if (!has_order_) fail("the header lacks 'fortran_order'");
    if (!has_shape_) fail("the header lacks 'shape'");
  }

 private:
  [[noreturn]] void malformed() const { fail("malformed header at its byte {}", at_); }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) malformed();
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string_view read_string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed();
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) malformed();
    const std::string_view result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }

  void once(bool& seen, std::string_view name) const {
    if (std::exchange(seen, true)) fail("the header has '{}' twice", name);
  }

  void read_entry(std::string_view name) {
    expect(':');
    if (name == "descr") {
      once(has_dtype_, name);
      read_dtype();
    } else if (name == "fortran_order") {
      once(has_order_, name);
      header_.is_column_major = accept_word("True");
      if (!header_.is_column_major && !accept_word("False")) malformed();
    } else if (name == "shape") {
      once(has_shape_, name);
      read_shape();
    } else {
      malformed();
    }
  }

  void read_dtype() {
    if (peek() == '[') fail("structured dtypes are not supported");
    const std::string_view descr = read_string();
    const char order = descr.empty() ? '\0' : descr[0];
    const bool is_known_order = order == '<' || order == '>' || order == '|' || order == '=';
    const std::string_view name = is_known_order ? descr.substr(1) : descr;
    const auto known = std::find_if(dtype_names.begin(), dtype_names.end(),
                                    [name](const DtypeName& d) { return d.name == name; });
    if (known == dtype_names.end()) fail("unsupported dtype '{}'", descr.substr(0, 100));
    header_.dtype = known->dtype;
    header_.is_swapped = order == '>';
  }

  void read_shape() {
    expect('(');
    while (!accept(')')) {
      skip_space();
      if (peek() == '-') fail("negative extent in the shape");
      uint64_t extent = 0;
      const char* first = text_.data() + at_;
      const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), extent);
      if (error == std::errc::invalid_argument) malformed();
      if (error != std::errc() || extent > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
        fail("an extent exceeds 32 bits");
      }
      at_ += static_cast<size_t>(end - first);
      header_.shape.push_back(extent);
      // NumPy has at most 64 dimensions.
      if (header_.shape.size() > 64) fail("more than 64 dimensions");
      if (!accept(',') && peek() != ')') malformed();
    }
  }

  std::string_view text_;
  NpyHeader& header_;
  size_t at_ = 0;
  bool has_dtype_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

}  // namespace

size_t npy_data_start(std::span<const std::byte> start, uint64_t file_size) {
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  const size_t version_at = magic.size();
  if (!text.starts_with(magic) || text.size() < version_at + 4) fail("not a .npy file");
  const auto byte_at = [text](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(text[i])); };
  const size_t version = byte_at(version_at);
  if (version < 1 || version > 3) fail("unsupported version {} of the format", version);
  const size_t length_at = version_at + 2;
  const size_t length_size = version == 1 ? 2 : 4;
  if (text.size() < length_at + length_size) fail("the header is cut off");
  size_t length = 0;
  for (size_t i = length_size; i-- > 0;) length = length << 8 | byte_at(length_at + i);
  if (length > largest_header) fail("a header of {} bytes exceeds the limit of {}", length, largest_header);
  const size_t data_start = length_at + length_size + length;
  if (file_size < data_start) fail("the header is cut off");
  return data_start;
}

NpyHeader parse_npy_header(std::span<const std::byte> start, uint64_t file_size, bool more_may_follow) {
  NpyHeader header;
  header.data_start = npy_data_start(start, file_size);
  const std::string_view text(reinterpret_cast<const char*>(start.data()), header.data_start);
  const size_t dict_at = text[magic.size()] == 1 ? magic.size() + 4 : magic.size() + 6;
  DictReader(text.substr(dict_at), header).read();
  const std::optional<uint64_t> needed = tensor_bytes(header.shape, header.dtype);
  if (!needed) fail("too many elements");
  const uint64_t held = file_size - header.data_start;
  if (*needed > held || (*needed != held && !more_may_follow)) {
    fail("its shape and dtype need {} bytes of data, the file holds {}", *needed, held);
  }
  header.data_size = *needed;
  return header;
}

std::string npy_header_text(Dtype dtype, std::span<const uint64_t> shape) {
  const auto name = std::find_if(dtype_names.begin(), dtype_names.end(), [dtype](const DtypeName& d) {
                      return d.dtype == dtype;
                    })->name;
  std::string dict =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                  dtype.size() == 1 ? "|" : "<", name, fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  // Magic, version, length and dict end, with a line feed, at a multiple of 64 bytes.
  const size_t before = magic.size() + 4;
  const size_t total = (before + dict.size() + 1 + 63) / 64 * 64;
  dict.append(total - before - dict.size() - 1, ' ');
  dict += '\n';
  if (dict.size() > 0xffff) fail("the shape has too many dimensions");
  std::string text(magic);
  text += '\x01';
  text += '\0';
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  return text + dict;
}

}  // namespace lazuli
