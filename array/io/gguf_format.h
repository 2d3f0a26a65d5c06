#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include <lazuli/array/dtype.h>

/// Numbers of the GGUF format.
namespace lazuli::gguf {

inline constexpr std::string_view magic = "GGUF";
inline constexpr uint32_t version = 3;
inline constexpr uint32_t oldest_version = 2;
inline constexpr std::string_view alignment_key = "general.alignment";
inline constexpr uint32_t usual_alignment = 32;

/// Types of metadata.
enum class ValueType : uint32_t {
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  float32,
  boolean,
  string,
  list,
  uint64,
  int64,
  float64,
};

/// The dtype of a number or boolean; nothing for texts and lists.
std::optional<Dtype> dtype_of_value(ValueType type);
/// The type of a dtype's numbers; nothing where the format has none.
std::optional<ValueType> value_type_of(Dtype dtype);

/// A type of tensors, by its number in files.
struct TensorType {
  uint32_t id;
  std::string_view name;
  std::optional<Dtype> dtype;  ///< of those that are arrays as they stand
  uint32_t block_elements;     ///< of blocks; 1 for arrays
  uint32_t block_bytes;        ///< 0 for formats that are known but not read
};

/// The type with a number; null for none.
const TensorType* find_tensor_type(uint32_t id);
/// The type of arrays of a dtype; null for none.
const TensorType* tensor_type_of(Dtype dtype);

}  // namespace lazuli::gguf
