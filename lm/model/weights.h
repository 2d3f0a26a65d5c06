#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli::lm {

/// The tensors of a model folder by name, mapped from its safetensors files: `model.safetensors`, or those
/// that `model.safetensors.index.json` lists.
class Weights {
 public:
  /// Throws std::runtime_error `[load] ...` where a file is missing, malformed, or lacks a tensor that the
  /// index says it has.
  static Weights from_directory(const std::filesystem::path& directory);
  Weights(std::unordered_map<std::string, array> tensors, std::string origin);

  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// The tensor; throws std::runtime_error `[load] DIR lacks tensor "..."`.
  const array& get(const std::string& name) const;
  /// The same of floating point with the given shape; another shape or dtype is an error that names all
  /// three.
  const array& get_floating(const std::string& name, const Shape& shape) const;
  /// The same of a given dtype and shape.
  const array& get(const std::string& name, const Shape& shape, Dtype dtype) const;

  const std::unordered_map<std::string, array>& tensors() const { return tensors_; }
  /// All names, sorted.
  std::vector<std::string> names() const;

 private:
  const array& check_shape(const std::string& name, const Shape& shape) const;

  std::unordered_map<std::string, array> tensors_;
  std::string origin_;
};

/// Whether elements are float32, float16 or bfloat16.
bool is_weight_dtype(Dtype dtype);

}  // namespace lazuli::lm
