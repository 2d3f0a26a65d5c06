#include <lazuli/array/io/safetensors.h>

#include <algorithm>
#include <cstring>
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

SafetensorsLoad load(const std::string& file) {
  const MappedFile mapped(file);
  SafetensorsHeader header = parse_safetensors_header(mapped.bytes());
  SafetensorsLoad loaded;
  loaded.first.reserve(header.tensors.size());
  for (const auto& [name, entry] : header.tensors) {
    TensorData data;
    data.file = mapped.buffer();
    data.offset = header.data_start + static_cast<size_t>(entry.begin);
    data.dtype = entry.dtype;
    for (const uint64_t extent : entry.shape) data.shape.push_back(Dim(extent));
    loaded.first.emplace(name, data.to_array());
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

void save(const std::string& file, const Tensors& arrays,
          const std::unordered_map<std::string, std::string>& metadata) {
  const auto order = in_file_order(arrays);
  const std::string header = header_of(order, metadata);
  FileWriter writer(file);
  const uint64_t length = header.size();
  char length_bytes[sizeof(length)];
  std::memcpy(length_bytes, &length, sizeof(length));
  writer.write(std::string_view(length_bytes, sizeof(length)));
  writer.write(header);
  for (const auto* item : order) writer.write_elements(item->second);
  writer.commit();
}

}  // namespace

SafetensorsLoad load_safetensors(const std::string& file, StreamOrDevice s) {
  to_stream(s);
  try {
    return load(file);
  } catch (const std::exception& error) {
    throw std::runtime_error("[load_safetensors] " + file + ": " + error.what());
  }
}

void save_safetensors(std::string file, std::unordered_map<std::string, array> arrays,
                      std::unordered_map<std::string, std::string> metadata) {
  if (!file.ends_with(extension)) file += extension;
  std::vector<array> pending;
  for (const auto& item : arrays) pending.push_back(item.second);
  eval(std::move(pending));
  try {
    save(file, arrays, metadata);
  } catch (const std::exception& error) {
    throw std::runtime_error("[save_safetensors] " + file + ": " + error.what());
  }
}

}  // namespace lazuli
