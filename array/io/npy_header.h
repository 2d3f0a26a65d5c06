#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <lazuli/array/dtype.h>

namespace lazuli {

/// What stands before the data of a .npy file.
struct NpyHeader {
  Dtype dtype = float32;
  bool is_swapped = false;  ///< big-endian
  bool is_column_major = false;
  std::vector<uint64_t> shape;
  size_t data_start = 0;   ///< in the file
  uint64_t data_size = 0;  ///< in bytes
};

/// So many bytes from the start, where the file has them, say how long the header is.
inline constexpr size_t npy_start_size = 12;

/// Where the data begins, by the first bytes of a file. Throws std::runtime_error saying what is wrong.
size_t npy_data_start(std::span<const std::byte> start, uint64_t file_size);

/// Reads and checks the header of a file, of which `start` has at least what stands before the data.
/// Afterwards the file holds just as much data as it says, or more of it where `more_may_follow`. Throws
/// std::runtime_error saying what is wrong.
NpyHeader parse_npy_header(std::span<const std::byte> start, uint64_t file_size,
                           bool more_may_follow = false);

/// The header, magic and padding included, of a file of row-major data.
std::string npy_header_text(Dtype dtype, std::span<const uint64_t> shape);

}  // namespace lazuli
