#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <lazuli/array/dtype.h>
#include <lazuli/array/io/float8.h>

namespace lazuli {

/// What a safetensors header says of one tensor.
struct SafetensorsEntry {
  Dtype dtype = float32;         ///< of the bytes in the file
  std::optional<Float8> float8;  ///< what uint8 stands for, where it does
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  ///< first byte, counted from the end of the header
  uint64_t end = 0;    ///< past the last byte
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> tensors;
  std::unordered_map<std::string, std::string> metadata;
  size_t data_start = 0;  ///< in the file
};

/// Reads and checks the header of a file: afterwards each tensor's bytes lie within it, are as many as its
/// shape and dtype need, and belong to no other. Throws std::runtime_error saying what is wrong.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file);

/// The format's name of a dtype: "F32".
std::string_view safetensors_dtype_name(Dtype dtype);

}  // namespace lazuli
