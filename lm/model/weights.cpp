#include <lazuli/lm/model/weights.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <lazuli/array/io/safetensors.h>
#include <lazuli/lm/model/config.h>
#include <lazuli/lm/tokenizer/json_node.h>

namespace lazuli::lm {
namespace {

std::unordered_map<std::string, array> load_file(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    throw std::runtime_error(fmt::format("[load] {} does not exist", file.string()));
  }
  return load_safetensors(file.string()).first;
}

/// From tensor to file name, as the index says.
std::vector<std::pair<std::string, std::string>> read_index(const std::filesystem::path& file) {
  const nlohmann::json index = read_json_file(file);
  std::vector<std::pair<std::string, std::string>> entries;
  try {
    const JsonNode map = JsonNode(index, "").member("weight_map");
    if (!map.value().is_object()) map.fail("must be an object");
    for (const auto& [tensor, value] : map.value().items()) {
      const std::string& shard = JsonNode(value, tensor).as_string();
      // A file beside the index, nowhere else.
      if (shard.empty() || std::filesystem::path(shard).filename() != shard || shard == "..") {
        map.fail(fmt::format("names \"{}\", which is no file name", shard));
      }
      entries.emplace_back(tensor, shard);
    }
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("[load] {}: {}", file.string(), error.what()));
  }
  return entries;
}

}  // namespace

bool is_weight_dtype(Dtype dtype) {
  return dtype == float32 || dtype == float16 || dtype == bfloat16;
}

Weights::Weights(std::unordered_map<std::string, array> tensors, std::string origin)
    : tensors_(std::move(tensors)), origin_(std::move(origin)) {}

Weights Weights::from_directory(const std::filesystem::path& directory) {
  if (!std::filesystem::is_directory(directory)) {
    throw std::runtime_error(fmt::format("[load] {} is no folder", directory.string()));
  }
  const std::filesystem::path index_file = directory / "model.safetensors.index.json";
  if (!std::filesystem::exists(index_file)) {
    return {load_file(directory / "model.safetensors"), directory.string()};
  }
  const auto entries = read_index(index_file);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : entries) shards.insert(shard);
  std::unordered_map<std::string, array> tensors;
  for (const std::string& shard : shards) tensors.merge(load_file(directory / shard));
  for (const auto& [tensor, shard] : entries) {
    if (!tensors.contains(tensor)) {
      throw std::runtime_error(fmt::format("[load] {} says that {} holds tensor \"{}\", but it does not",
                                           index_file.string(), shard, tensor));
    }
  }
  return {std::move(tensors), directory.string()};
}

const array& Weights::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw std::runtime_error(fmt::format("[load] {} lacks tensor \"{}\"", origin_, name));
  }
  return found->second;
}

const array& Weights::check_shape(const std::string& name, const Shape& shape) const {
  const array& tensor = get(name);
  if (tensor.shape() != shape) {
    throw std::runtime_error(fmt::format("[load] tensor \"{}\" has shape {}, where the config asks for {}",
                                         name, shape_to_string(tensor.shape()), shape_to_string(shape)));
  }
  return tensor;
}

const array& Weights::get_floating(const std::string& name, const Shape& shape) const {
  const array& tensor = check_shape(name, shape);
  if (!is_weight_dtype(tensor.dtype())) {
    throw std::runtime_error(
        fmt::format("[load] tensor \"{}\" is {}; weights are float32, float16 or bfloat16", name,
                    dtype_name(tensor.dtype())));
  }
  return tensor;
}

const array& Weights::get(const std::string& name, const Shape& shape, Dtype dtype) const {
  const array& tensor = check_shape(name, shape);
  if (tensor.dtype() != dtype) {
    throw std::runtime_error(fmt::format("[load] tensor \"{}\" is {}, where {} is expected", name,
                                         dtype_name(tensor.dtype()), dtype_name(dtype)));
  }
  return tensor;
}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lazuli::lm
