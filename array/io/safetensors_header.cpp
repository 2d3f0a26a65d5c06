#include <lazuli/array/io/safetensors_header.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include <lazuli/array/io/header_error.h>
#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

using io::fail;
using io::in_quotes;

namespace {

constexpr uint64_t largest_header = 100'000'000;

struct DtypeName {
  std::string_view name;
  Dtype dtype;
  std::optional<Float8> float8 = std::nullopt;
};
/// Those with which arrays are written first. Scales that are powers of two, F8_E8M0, stay the exponents'
/// codes, as quantized products take them.
constexpr DtypeName dtype_names[] = {{"BOOL", bool_},
                                     {"U8", uint8},
                                     {"U16", uint16},
                                     {"U32", uint32},
                                     {"U64", uint64},
                                     {"I8", int8},
                                     {"I16", int16},
                                     {"I32", int32},
                                     {"I64", int64},
                                     {"F16", float16},
                                     {"BF16", bfloat16},
                                     {"F32", float32},
                                     {"F64", float64},
                                     {"C64", complex64},
                                     {"F8_E4M3", uint8, Float8::e4m3},
                                     {"F8_E5M2", uint8, Float8::e5m2},
                                     {"F8_E8M0", uint8}};

/// Receives the header's JSON piece by piece, so that no tree of what a file may claim is ever built, and
/// names that occur twice are seen.
class HeaderReader {
 public:
  using json = nlohmann::json;
  using number_integer_t = json::number_integer_t;
  using number_unsigned_t = json::number_unsigned_t;
  using number_float_t = json::number_float_t;
  using string_t = json::string_t;
  using binary_t = json::binary_t;

  explicit HeaderReader(SafetensorsHeader& header) : header_(header) {}

  bool key(string_t& name) {
    switch (place_) {
      case Place::top:
        return begin_member(name);
      case Place::metadata:
        if (header_.metadata.contains(name)) fail("metadata has {} twice", in_quotes(name));
        key_ = name;
        return true;
      case Place::tensor:
        return begin_field(name);
      default:
        return true;
    }
  }

  bool start_object(size_t) {
    switch (place_) {
      case Place::start:
        place_ = Place::top;
        return true;
      case Place::top:
        place_ = is_metadata_ ? Place::metadata : Place::tensor;
        return true;
      case Place::tensor:
        if (field_ == Field::other) return skip_deeper();
        wrong_field();
      case Place::skipped:
        return skip_deeper();
      default:
        wrong_value();
    }
  }

  bool end_object() {
    switch (place_) {
      case Place::top:
        place_ = Place::end;
        break;
      case Place::metadata:
        place_ = Place::top;
        break;
      case Place::tensor:
        end_tensor();
        break;
      default:
        skip_shallower();
        break;
    }
    return true;
  }

  bool start_array(size_t) {
    if (place_ == Place::skipped) return skip_deeper();
    if (place_ != Place::tensor) wrong_value();
    if (field_ == Field::other) return skip_deeper();
    if (field_ == Field::dtype) wrong_field();
    place_ = Place::numbers;
    return true;
  }

  bool end_array() {
    if (place_ == Place::numbers) {
      place_ = Place::tensor;
    } else {
      skip_shallower();
    }
    return true;
  }

  bool string(string_t& value) {
    if (place_ == Place::metadata) {
      header_.metadata.emplace(key_, value);
      return true;
    }
    if (place_ == Place::tensor && field_ == Field::dtype) {
      dtype_ = value;
      return true;
    }
    return other_value();
  }

  bool number_unsigned(number_unsigned_t value) {
    if (place_ != Place::numbers) return other_value();
    std::vector<uint64_t>& numbers = field_ == Field::shape ? entry_.shape : offsets_;
    // No array has so many dimensions; what a file may claim ends here.
    constexpr size_t most = 64;
    if (numbers.size() == most) fail("tensor {}: more than {} numbers in a list", in_quotes(name_), most);
    numbers.push_back(value);
    return true;
  }

  bool number_integer(number_integer_t) {
    if (place_ == Place::numbers) fail("tensor {}: negative number in {}", in_quotes(name_), field_name());
    return other_value();
  }
  bool number_float(number_float_t, const string_t&) { return other_value(); }
  bool null() { return other_value(); }
  bool boolean(bool) { return other_value(); }
  bool binary(binary_t&) { return other_value(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    // The library's message, without its own prefix.
    const std::string text = error.what();
    const size_t at = text.find("] ");
    fail("the header is not valid JSON (at byte {}): {}", position,
         at == std::string::npos ? text : text.substr(at + 2));
  }

 private:
  enum class Place { start, top, metadata, tensor, numbers, skipped, end };
  enum class Field { none, dtype, shape, offsets, other };

  std::string_view field_name() const {
    return field_ == Field::dtype ? "dtype" : field_ == Field::shape ? "shape" : "data_offsets";
  }

  [[noreturn]] void wrong_value() const {
    if (place_ == Place::start) fail("the header is not a JSON object");
    if (place_ == Place::metadata || is_metadata_) fail("metadata must map names to strings");
    if (place_ == Place::numbers) wrong_field();
    fail("tensor {}: not described by a JSON object", in_quotes(name_));
  }
  [[noreturn]] void wrong_field() const {
    fail("tensor {}: wrong type of {}", in_quotes(name_), field_name());
  }

  bool other_value() const {
    if (place_ == Place::skipped || (place_ == Place::tensor && field_ == Field::other)) return true;
    if (place_ == Place::tensor) wrong_field();
    wrong_value();
  }

  bool begin_member(const std::string& name) {
    is_metadata_ = name == "__metadata__";
    if (is_metadata_) {
      if (has_metadata_) fail("__metadata__ stands there twice");
      has_metadata_ = true;
      return true;
    }
    if (header_.tensors.contains(name)) fail("tensor {} stands there twice", in_quotes(name));
    name_ = name;
    entry_ = {};
    offsets_.clear();
    dtype_.reset();
    fields_ = 0;
    return true;
  }

  bool begin_field(const std::string& name) {
    field_ = name == "dtype"          ? Field::dtype
             : name == "shape"        ? Field::shape
             : name == "data_offsets" ? Field::offsets
                                      : Field::other;
    if (field_ == Field::other) return true;
    const unsigned bit = 1u << static_cast<unsigned>(field_);
    if ((fields_ & bit) != 0) fail("tensor {}: {} stands there twice", in_quotes(name_), field_name());
    fields_ |= bit;
    return true;
  }

  void end_tensor() {
    for (const Field field : {Field::dtype, Field::shape, Field::offsets}) {
      field_ = field;
      if ((fields_ & 1u << static_cast<unsigned>(field)) == 0) {
        fail("tensor {}: {} is missing", in_quotes(name_), field_name());
      }
    }
    const auto known = std::find_if(std::begin(dtype_names), std::end(dtype_names),
                                    [this](const DtypeName& d) { return d.name == *dtype_; });
    if (known == std::end(dtype_names))
      fail("tensor {}: unsupported dtype {}", in_quotes(name_), in_quotes(*dtype_));
    if (offsets_.size() != 2) fail("tensor {}: data_offsets must be two numbers", in_quotes(name_));
    entry_.dtype = known->dtype;
    entry_.float8 = known->float8;
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header_.tensors.emplace(name_, std::move(entry_));
    field_ = Field::none;
    place_ = Place::top;
  }

  bool skip_deeper() {
    constexpr int deepest = 64;
    if (++skipped_depth_ > deepest) fail("the header nests too deeply");
    place_ = Place::skipped;
    return true;
  }
  void skip_shallower() {
    if (--skipped_depth_ == 0) place_ = Place::tensor;
  }

  SafetensorsHeader& header_;
  Place place_ = Place::start;
  Field field_ = Field::none;
  bool is_metadata_ = false;
  bool has_metadata_ = false;
  int skipped_depth_ = 0;
  unsigned fields_ = 0;  // of the tensor, as bits
  std::string key_;
  std::string name_;
  std::optional<std::string> dtype_;
  std::vector<uint64_t> offsets_;
  SafetensorsEntry entry_;
};

void check_size(const std::string& name, const SafetensorsEntry& entry, uint64_t data_size) {
  for (const uint64_t extent : entry.shape) {
    if (extent > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
      fail("tensor {}: extent {} exceeds 32 bits", in_quotes(name), extent);
    }
  }
  if (entry.begin > entry.end || entry.end > data_size) {
    fail("tensor {}: bytes {} to {} lie outside of the {} bytes of data", in_quotes(name), entry.begin,
         entry.end, data_size);
  }
  const std::optional<uint64_t> needed = tensor_bytes(entry.shape, entry.dtype);
  if (!needed) fail("tensor {}: too many elements", in_quotes(name));
  if (*needed != entry.end - entry.begin) {
    fail("tensor {}: its shape and dtype need {} bytes, data_offsets give {}", in_quotes(name), *needed,
         entry.end - entry.begin);
  }
}

/// The format wants tensors to cover the data exactly.
void check_layout(const SafetensorsHeader& header, uint64_t data_size) {
  using Item = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Item*> order;
  order.reserve(header.tensors.size());
  for (const Item& item : header.tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t at = 0;
  for (const Item* item : order) {
    if (item->second.begin < at)
      fail("tensor {}: its bytes belong to another one too", in_quotes(item->first));
    if (item->second.begin > at)
      fail("tensor {}: {} bytes before it belong to none", in_quotes(item->first), item->second.begin - at);
    at = item->second.end;
  }
  if (at != data_size) fail("{} bytes at the end belong to no tensor", data_size - at);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file) {
  static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");
  uint64_t length = 0;
  if (file.size() < sizeof(length)) fail("{} bytes are too few for a header", file.size());
  std::memcpy(&length, file.data(), sizeof(length));
  const std::span<const std::byte> rest = file.subspan(sizeof(length));
  if (length > largest_header) fail("a header of {} bytes exceeds the limit of {}", length, largest_header);
  if (length > rest.size()) fail("the header should have {} bytes, the file holds {}", length, rest.size());
  const char* text = reinterpret_cast<const char*>(rest.data());
  if (length == 0 || *text != '{') fail("the header does not begin with '{{'");

  SafetensorsHeader header;
  header.data_start = sizeof(length) + static_cast<size_t>(length);
  HeaderReader reader(header);
  nlohmann::json::sax_parse(text, text + length, &reader);
  const uint64_t data_size = file.size() - header.data_start;
  for (const auto& [name, entry] : header.tensors) check_size(name, entry, data_size);
  check_layout(header, data_size);
  return header;
}

std::string_view safetensors_dtype_name(Dtype dtype) {
  return std::find_if(std::begin(dtype_names), std::end(dtype_names),
                      [dtype](const DtypeName& d) { return d.dtype == dtype; })
      ->name;
}

}  // namespace lazuli
