#include <lazuli/array/io/safetensors.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/file_writer.h>
#include <lazuli/array/io/mapped_file.h>
#include <lazuli/array/io/safetensors_header.h>
#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

namespace {

constexpr std::string_view extension = ".safetensors";

using Tensors = std::unordered_map<std::string, array>;

/// The arrays of a file that is a buffer.
SafetensorsLoad load(const Ref<Buffer>& file) {
  SafetensorsHeader header = parse_safetensors_header({file->data(), file->size()});
  SafetensorsLoad loaded;
  loaded.first.reserve(header.tensors.size());
  for (const auto& [name, entry] : header.tensors) {
    TensorData data;
    data.file = file;
    data.offset = header.data_start + static_cast<size_t>(entry.begin);
    data.dtype = entry.dtype;
    for (const uint64_t extent : entry.shape) data.shape.push_back(Dim(extent));
    const array stored = data.to_array();
    loaded.first.emplace(name, entry.float8 ? decode_float8(stored, *entry.float8) : stored);
  }
  loaded.second = std::move(header.metadata);
  return loaded;
}

/// Larger elements first: so all are aligned, although the format allows no gaps.
std::vector<const Tensors::value_type*> in_file_order(const Tensors& arrays) {
  std::vector<const Tensors::value_type*> order;
  order.reserve(arrays.size());
  for (const auto& item : arrays) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const size_t size_a = a->second.itemsize();
    const size_t size_b = b->second.itemsize();
    return size_a != size_b ? size_a > size_b : a->first < b->first;
  });
  return order;
}

std::string header_of(const std::vector<const Tensors::value_type*>& order,
                      const std::unordered_map<std::string, std::string>& metadata) {
  // An ordinary JSON object sorts its keys.
  nlohmann::json header = nlohmann::json::object();
  size_t at = 0;
  for (const auto* item : order) {
    const array& a = item->second;
    if (item->first == "__metadata__") throw std::runtime_error("an array cannot be called __metadata__");
    nlohmann::json shape = nlohmann::json::array();
    for (const Dim extent : a.shape()) shape.push_back(static_cast<int>(extent));
    header[item->first] = {{"dtype", safetensors_dtype_name(a.dtype())},
                           {"shape", std::move(shape)},
                           {"data_offsets", {at, at + a.nbytes()}}};
    at += a.nbytes();
  }
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::string text = header.dump();
  // The data behind it begins aligned in a mapped file.
  constexpr size_t alignment = 64;
  const size_t size = sizeof(uint64_t) + text.size();
  text.append((alignment - size % alignment) % alignment, ' ');
  return text;
}

void save(io::Writer& writer, const Tensors& arrays,
          const std::unordered_map<std::string, std::string>& metadata) {
  if (!writer.is_open()) throw std::runtime_error("the writer is not open");
  const auto order = in_file_order(arrays);
  const std::string header = header_of(order, metadata);
  const uint64_t length = header.size();
  io::write_checked(writer, &length, sizeof(length));
  io::write_checked(writer, header.data(), header.size());
  for (const auto* item : order) io::write_elements(writer, item->second);
}

void eval_all(const Tensors& arrays) {
  std::vector<array> pending;
  for (const auto& item : arrays) pending.push_back(item.second);
  eval(std::move(pending));
}

}  // namespace

SafetensorsLoad load_safetensors(const std::string& file, StreamOrDevice s) {
  to_stream(s);
  try {
    return load(MappedFile(file).buffer());
  } catch (const std::exception& error) {
    throw std::runtime_error("[load_safetensors] " + file + ": " + error.what());
  }
}

SafetensorsLoad load_safetensors(std::shared_ptr<io::Reader> in_stream, StreamOrDevice s) {
  to_stream(s);
  try {
    return load(io::read_buffer(*in_stream, io::bytes_left(*in_stream)));
  } catch (const std::exception& error) {
    throw std::runtime_error("[load_safetensors] " + in_stream->label() + ": " + error.what());
  }
}

void save_safetensors(std::string file, std::unordered_map<std::string, array> arrays,
                      std::unordered_map<std::string, std::string> metadata) {
  if (!file.ends_with(extension)) file += extension;
  eval_all(arrays);
  try {
    FileWriter writer(file);
    save(writer, arrays, metadata);
    writer.commit();
  } catch (const std::exception& error) {
    throw std::runtime_error("[save_safetensors] " + file + ": " + error.what());
  }
}

void save_safetensors(std::shared_ptr<io::Writer> in_stream, std::unordered_map<std::string, array> arrays,
                      std::unordered_map<std::string, std::string> metadata) {
  eval_all(arrays);
  try {
    save(*in_stream, arrays, metadata);
  } catch (const std::exception& error) {
    throw std::runtime_error("[save_safetensors] " + in_stream->label() + ": " + error.what());
  }
}

}  // namespace lazuli
