#include <lazuli/array/io/gguf.h>

#include <fmt/format.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <stdexcept>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/file_writer.h>
#include <lazuli/array/io/gguf_blocks.h>
#include <lazuli/array/io/gguf_header.h>
#include <lazuli/array/io/mapped_file.h>
#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

namespace {

constexpr std::string_view extension = ".gguf";

/// Converts a piece at a time, which stays in the caches.
array dequantized_tensor(const GGUFTensor& tensor, const Shape& shape, const std::byte* blocks, Dtype dtype) {
  const gguf::TensorType& type = *tensor.type;
  const auto elements = static_cast<size_t>(element_count(shape));
  Ref<Buffer> result = Buffer::allocate(elements * dtype.size());
  constexpr size_t piece = 4096;
  const size_t blocks_a_piece = piece / type.block_elements;
  const size_t count = elements / type.block_elements;
  const size_t pieces = (count + blocks_a_piece - 1) / blocks_a_piece;
  tbb::parallel_for(tbb::blocked_range<size_t>(0, pieces, 16), [&](const tbb::blocked_range<size_t>& range) {
    float numbers[piece];
    for (size_t i = range.begin(); i < range.end(); ++i) {
      const size_t first = i * blocks_a_piece;
      const size_t here = std::min(blocks_a_piece, count - first);
      dequantize_gguf_blocks(type, blocks + first * type.block_bytes, here, numbers);
      std::byte* out = result->data() + first * type.block_elements * dtype.size();
      array_detail::store_elements(out, dtype, static_cast<const float*>(numbers),
                                   static_cast<int64_t>(here * type.block_elements));
    }
  });
  return array(Node::of_data(std::move(result), 0, shape, row_major_strides(shape), dtype));
}

/// What stands before the data.
class HeaderWriter {
 public:
  template <typename T>
  void number(T value) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    text_.append(bytes, sizeof(value));
  }
  void text(const std::string& value) {
    number(static_cast<uint64_t>(value.size()));
    text_ += value;
  }
  void raw(std::string_view value) { text_ += value; }
  void type(gguf::ValueType value) { number(static_cast<uint32_t>(value)); }

  void value(const std::string& key, const GGUFMetaData& of) {
    if (std::holds_alternative<std::monostate>(of)) {
      throw std::runtime_error("metadata '" + key + "' has no value");
    }
    text(key);
    if (const auto* one = std::get_if<std::string>(&of)) {
      type(gguf::ValueType::string);
      text(*one);
    } else if (const auto* list = std::get_if<std::vector<std::string>>(&of)) {
      type(gguf::ValueType::list);
      type(gguf::ValueType::string);
      number(static_cast<uint64_t>(list->size()));
      for (const std::string& item : *list) text(item);
    } else {
      numbers(key, std::get<array>(of));
    }
  }

  std::string& result() { return text_; }

 private:
  void numbers(const std::string& key, const array& a) {
    const std::optional<gguf::ValueType> item = gguf::value_type_of(a.dtype());
    if (!item) {
      throw std::runtime_error(
          fmt::format("metadata '{}' cannot be {}, which GGUF does not have", key, dtype_name(a.dtype())));
    }
    if (a.ndim() > 1) throw std::runtime_error("metadata '" + key + "' has more than one dimension");
    if (a.ndim() == 1) {
      type(gguf::ValueType::list);
      type(*item);
      number(static_cast<uint64_t>(a.size()));
    } else {
      type(*item);
    }
    const std::byte* data = a.data<std::byte>();
    const int64_t stride = a.ndim() == 1 ? a.strides()[0] * static_cast<int64_t>(a.itemsize()) : 0;
    for (size_t i = 0; i < a.size(); ++i) {
      raw({reinterpret_cast<const char*>(data + static_cast<int64_t>(i) * stride), a.itemsize()});
    }
  }

  std::string text_;
};

uint64_t rounded_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Data begin at multiples of this.
uint64_t alignment_in(const std::unordered_map<std::string, GGUFMetaData>& metadata) {
  const auto found = metadata.find(std::string(gguf::alignment_key));
  if (found == metadata.end()) return gguf::usual_alignment;
  const array* value = std::get_if<array>(&found->second);
  if (value == nullptr || value->dtype() != uint32 || value->ndim() != 0 ||
      !std::has_single_bit(value->item<uint32_t>())) {
    throw std::runtime_error(fmt::format("{} must be a uint32 and a power of two", gguf::alignment_key));
  }
  return value->item<uint32_t>();
}

void save(io::Writer& writer, const std::unordered_map<std::string, array>& arrays,
          const std::unordered_map<std::string, GGUFMetaData>& metadata) {
  const uint64_t alignment = alignment_in(metadata);
  const std::map<std::string, array> in_order(arrays.begin(), arrays.end());
  HeaderWriter header;
  header.raw(gguf::magic);
  header.number(gguf::version);
  header.number(static_cast<uint64_t>(in_order.size()));
  header.number(static_cast<uint64_t>(metadata.size()));
  for (const auto& [key, value] : std::map<std::string, GGUFMetaData>(metadata.begin(), metadata.end())) {
    header.value(key, value);
  }
  uint64_t at = 0;
  for (const auto& [name, a] : in_order) {
    const gguf::TensorType* type = gguf::tensor_type_of(a.dtype());
    if (type == nullptr) {
      throw std::runtime_error(
          fmt::format("'{}' cannot be {}, which GGUF does not have", name, dtype_name(a.dtype())));
    }
    header.text(name);
    header.number(static_cast<uint32_t>(a.ndim()));
    for (size_t d = a.ndim(); d-- > 0;) header.number(static_cast<uint64_t>(int{a.shape()[d]}));
    header.number(type->id);
    header.number(at);
    at = rounded_up(at + a.nbytes(), alignment);
  }
  std::string& text = header.result();
  text.resize(rounded_up(text.size(), alignment), '\0');
  io::write_checked(writer, text.data(), text.size());
  const std::string padding(alignment, '\0');
  for (const auto& [name, a] : in_order) {
    io::write_elements(writer, a);
    io::write_checked(writer, padding.data(), rounded_up(a.nbytes(), alignment) - a.nbytes());
  }
}

}  // namespace

GGUFLoad read_gguf(const Ref<Buffer>& file, Dtype dequantized) {
  GGUFHeader header = parse_gguf_header({file->data(), file->size()});
  GGUFLoad loaded;
  for (const GGUFTensor& tensor : header.tensors) {
    const Shape shape(tensor.shape.begin(), tensor.shape.end());
    if (tensor.type->dtype) {
      TensorData data;
      data.file = file;
      data.offset = tensor.start;
      data.shape = shape;
      data.dtype = *tensor.type->dtype;
      loaded.first.emplace(tensor.name, data.to_array());
    } else {
      loaded.first.emplace(tensor.name,
                           dequantized_tensor(tensor, shape, file->data() + tensor.start, dequantized));
    }
  }
  loaded.second = std::move(header.metadata);
  return loaded;
}

GGUFLoad load_gguf(const std::string& file, StreamOrDevice s, Dtype dequantized) {
  to_stream(s);
  if (!issubdtype(dequantized, floating)) {
    throw std::invalid_argument("[load_gguf] blocks cannot be dequantized to " +
                                std::string(dtype_name(dequantized)));
  }
  try {
    return read_gguf(MappedFile(file).buffer(), dequantized);
  } catch (const std::exception& error) {
    throw std::runtime_error("[load_gguf] " + file + ": " + error.what());
  }
}

void save_gguf(std::string file, std::unordered_map<std::string, array> array_map,
               std::unordered_map<std::string, GGUFMetaData> meta_data) {
  if (!file.ends_with(extension)) file += extension;
  std::vector<array> pending;
  for (const auto& item : array_map) pending.push_back(item.second);
  for (const auto& item : meta_data) {
    if (const array* value = std::get_if<array>(&item.second)) pending.push_back(*value);
  }
  eval(std::move(pending));
  try {
    FileWriter writer(file);
    save(writer, array_map, meta_data);
    writer.commit();
  } catch (const std::exception& error) {
    throw std::runtime_error("[save_gguf] " + file + ": " + error.what());
  }
}

}  // namespace lazuli
