#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <lazuli/array/io/gguf.h>
#include <lazuli/array/io/gguf_format.h>

namespace lazuli {

/// What a GGUF file says of one tensor.
struct GGUFTensor {
  std::string name;
  const gguf::TensorType* type = nullptr;
  std::vector<uint64_t> shape;  ///< outermost first
  uint64_t start = 0;           ///< first byte in the file
};

struct GGUFHeader {
  std::vector<GGUFTensor> tensors;
  std::unordered_map<std::string, GGUFMetaData> metadata;
};

/// Reads and checks what stands before the data: afterwards each tensor has a type that can be read, and its
/// bytes lie within the file. Throws std::runtime_error saying what is wrong.
GGUFHeader parse_gguf_header(std::span<const std::byte> file);

/// What a file holds that is a buffer. Throws std::runtime_error, without a prefix.
GGUFLoad read_gguf(const Ref<Buffer>& file, Dtype dequantized);

}  // namespace lazuli
