#include <lazuli/array/io/gguf_header.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include <lazuli/array/io/header_error.h>

namespace lazuli {

using io::fail;
using io::in_quotes;

using gguf::TensorType;
using gguf::ValueType;

namespace {

constexpr size_t most_dimensions = 8;
constexpr uint64_t longest_name = 65535;

/// Reads from front to back; every size is compared with what is left before anything of that size is made.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : file_(file) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }
  std::string text(uint64_t longest = std::numeric_limits<uint64_t>::max()) {
    const auto size = number<uint64_t>();
    if (size > longest) fail("a name of {} bytes exceeds the limit of {}", size, longest);
    const std::byte* data = take(size);
    return std::string(reinterpret_cast<const char*>(data), size);
  }
  const std::byte* take(uint64_t size) {
    if (size > left()) fail("cut short: {} bytes are wanted at byte {}, {} are left", size, at_, left());
    const std::byte* data = file_.data() + at_;
    at_ += size;
    return data;
  }
  uint64_t left() const { return file_.size() - at_; }
  uint64_t position() const { return at_; }

 private:
  std::span<const std::byte> file_;
  uint64_t at_ = 0;
};

/// Numbers or booleans of the file as an array.
array numbers(Cursor& cursor, Dtype dtype, const Shape& shape, uint64_t count) {
  const std::byte* data = cursor.take(count * dtype.size());
  Ref<Buffer> buffer = Buffer::allocate(count * dtype.size());
  std::memcpy(buffer->data(), data, buffer->size());
  if (dtype == bool_) {
    for (size_t i = 0; i < buffer->size(); ++i) {
      if (buffer->data()[i] > std::byte{1}) fail("a boolean is neither 0 nor 1");
    }
  }
  return array(Node::of_data(std::move(buffer), 0, shape, row_major_strides(shape), dtype));
}

GGUFMetaData read_list(Cursor& cursor, const std::string& key) {
  const auto type = static_cast<ValueType>(cursor.number<uint32_t>());
  const auto count = cursor.number<uint64_t>();
  if (type == ValueType::list) fail("metadata {}: lists of lists are not supported", in_quotes(key));
  if (type == ValueType::string) {
    // Each text takes at least the eight bytes of its length.
    if (count > cursor.left() / sizeof(uint64_t)) fail("metadata {}: the list is cut short", in_quotes(key));
    std::vector<std::string> texts;
    texts.reserve(count);
    for (uint64_t i = 0; i < count; ++i) texts.push_back(cursor.text());
    return texts;
  }
  const std::optional<Dtype> dtype = gguf::dtype_of_value(type);
  if (!dtype) fail("metadata {}: unknown type {}", in_quotes(key), static_cast<uint32_t>(type));
  if (count > cursor.left() / dtype->size()) fail("metadata {}: the list is cut short", in_quotes(key));
  if (count > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
    fail("metadata {}: {} elements exceed 32 bits", in_quotes(key), count);
  }
  return numbers(cursor, *dtype, Shape{Dim(count)}, count);
}

GGUFMetaData read_value(Cursor& cursor, const std::string& key) {
  const auto type = static_cast<ValueType>(cursor.number<uint32_t>());
  if (type == ValueType::string) return cursor.text();
  if (type == ValueType::list) return read_list(cursor, key);
  const std::optional<Dtype> dtype = gguf::dtype_of_value(type);
  if (!dtype) fail("metadata {}: unknown type {}", in_quotes(key), static_cast<uint32_t>(type));
  return numbers(cursor, *dtype, Shape{}, 1);
}

GGUFTensor read_tensor(Cursor& cursor) {
  GGUFTensor tensor;
  tensor.name = cursor.text(longest_name);
  const auto dimensions = cursor.number<uint32_t>();
  if (dimensions > most_dimensions) {
    fail("tensor {}: {} dimensions exceed the limit of {}", in_quotes(tensor.name), dimensions,
         most_dimensions);
  }
  for (uint32_t d = 0; d < dimensions; ++d) {
    const auto extent = cursor.number<uint64_t>();
    if (extent > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
      fail("tensor {}: extent {} exceeds 32 bits", in_quotes(tensor.name), extent);
    }
    tensor.shape.insert(tensor.shape.begin(), extent);
  }
  const auto type = cursor.number<uint32_t>();
  tensor.type = gguf::find_tensor_type(type);
  if (tensor.type == nullptr) fail("tensor {}: unknown type {}", in_quotes(tensor.name), type);
  if (tensor.type->block_bytes == 0) {
    fail("tensor {}: blocks of type {} are not supported", in_quotes(tensor.name), tensor.type->name);
  }
  tensor.start = cursor.number<uint64_t>();
  return tensor;
}

uint64_t bytes_of(const GGUFTensor& tensor) {
  const TensorType& type = *tensor.type;
  const uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % type.block_elements != 0) {
    fail("tensor {}: rows of {} elements are no whole blocks of {}", in_quotes(tensor.name), row, type.name);
  }
  uint64_t elements = 1;
  bool overflow = false;
  bool is_empty = false;
  for (const uint64_t extent : tensor.shape) {
    is_empty = is_empty || extent == 0;
    overflow = overflow || __builtin_mul_overflow(elements, extent, &elements) || elements >> 56 != 0;
  }
  if (is_empty) return 0;
  if (overflow) fail("tensor {}: too many elements", in_quotes(tensor.name));
  return elements / type.block_elements * type.block_bytes;
}

uint64_t alignment_of(const GGUFHeader& header) {
  const auto found = header.metadata.find(std::string(gguf::alignment_key));
  if (found == header.metadata.end()) return gguf::usual_alignment;
  const array* value = std::get_if<array>(&found->second);
  if (value == nullptr || value->dtype() != uint32 || value->ndim() != 0) {
    fail("{} is no uint32", gguf::alignment_key);
  }
  const auto alignment = value->item<uint32_t>();
  if (!std::has_single_bit(alignment)) fail("{} is {}", gguf::alignment_key, alignment);
  return alignment;
}

struct Place {
  uint64_t start;
  uint64_t size;
  const GGUFTensor* tensor;
};

/// A small file could claim any amount of data otherwise.
void check_overlaps(std::vector<Place> places) {
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.start < b.start; });
  for (size_t i = 1; i < places.size(); ++i) {
    if (places[i].start - places[i - 1].start < places[i - 1].size) {
      fail("tensor {}: its bytes belong to another one too", in_quotes(places[i].tensor->name));
    }
  }
}

}  // namespace

GGUFHeader parse_gguf_header(std::span<const std::byte> file) {
  static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");
  Cursor cursor(file);
  if (file.size() < gguf::magic.size() ||
      std::memcmp(cursor.take(gguf::magic.size()), gguf::magic.data(), gguf::magic.size()) != 0) {
    fail("not a GGUF file");
  }
  const auto version = cursor.number<uint32_t>();
  if (__builtin_bswap32(version) <= gguf::version) fail("files of the other byte order are not supported");
  if (version < gguf::oldest_version || version > gguf::version) {
    fail("unsupported version {} of the format", version);
  }
  const auto tensors = cursor.number<uint64_t>();
  const auto values = cursor.number<uint64_t>();
  // A key takes 13 bytes at least, a tensor 24.
  if (values > cursor.left() / 13) fail("cut short: it cannot hold {} metadata values", values);
  if (tensors > cursor.left() / 24) fail("cut short: it cannot hold {} tensors", tensors);
  GGUFHeader header;
  for (uint64_t i = 0; i < values; ++i) {
    std::string key = cursor.text(longest_name);
    if (header.metadata.contains(key)) fail("metadata {} stands there twice", in_quotes(key));
    GGUFMetaData value = read_value(cursor, key);
    header.metadata.emplace(std::move(key), std::move(value));
  }
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < tensors; ++i) {
    header.tensors.push_back(read_tensor(cursor));
    const std::string& name = header.tensors.back().name;
    if (!names.insert(name).second) fail("tensor {} stands there twice", in_quotes(name));
  }
  const uint64_t alignment = alignment_of(header);
  const uint64_t data_start = (cursor.position() + alignment - 1) / alignment * alignment;
  std::vector<Place> places;
  for (GGUFTensor& tensor : header.tensors) {
    if (tensor.start % alignment != 0) {
      fail("tensor {}: its offset {} is no multiple of {}", in_quotes(tensor.name), tensor.start, alignment);
    }
    const uint64_t size = bytes_of(tensor);
    const uint64_t held = file.size() < data_start ? 0 : file.size() - data_start;
    if (size > 0 && (tensor.start > held || size > held - tensor.start)) {
      fail("tensor {}: its {} bytes at {} lie outside of the {} bytes of data", in_quotes(tensor.name), size,
           tensor.start, held);
    }
    tensor.start = size > 0 ? tensor.start + data_start : 0;
    if (size > 0) places.push_back({tensor.start, size, &tensor});
  }
  check_overlaps(std::move(places));
  return header;
}

}  // namespace lazuli
