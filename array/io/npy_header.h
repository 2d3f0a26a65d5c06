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
  size_t data_start = 0;  ///< in the file
};

/// Reads and checks the header: afterwards the file holds just as much data as it says. Throws
/// std::runtime_error saying what is wrong.
NpyHeader parse_npy_header(std::span<const std::byte> file);

/// The header, magic and padding included, of a file of row-major data.
std::string npy_header_text(Dtype dtype, std::span<const uint64_t> shape);

}  // namespace lazuli
