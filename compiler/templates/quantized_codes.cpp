#include <lazuli/compiler/templates/quantized_codes.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

/// Bits [0, width) of every `period` bits of a word.
constexpr uint64_t repeated_mask(int width, int period) {
  uint64_t mask = 0;
  for (int at = 0; at < 64; at += period) mask |= ((uint64_t{1} << width) - 1) << at;
  return mask;
}

/// Moves the upper half of each field of 2 * `half` bits up, so that fields of `half` bits stand `period`
/// bits apart, where before fields of twice the size stood twice as far apart.
template <int half, int period>
uint64_t spread(uint64_t word) {
  constexpr uint64_t lower = repeated_mask(half, 2 * period);
  constexpr uint64_t upper = lower << half;
  return (word & lower) | (word & upper) << (period - half);
}

/// Eight codes of `bits` bits each, spread to bytes: halves move apart, then quarters, then eighths.
template <int bits>
void unpack_eights(const uint8_t* src, int64_t count, uint8_t* codes) {
  for (int64_t i = 0; i < count; i += 8, src += bits) {
    uint64_t word = 0;
    std::memcpy(&word, src, bits);
    if constexpr (bits < 8) word = spread<bits, 8>(spread<2 * bits, 16>(spread<4 * bits, 32>(word)));
    std::memcpy(codes + i, &word, 8);
  }
}

}  // namespace

void check_quantized(const char* function, int bits, int group_size, Dtype scale_dtype, int64_t columns,
                     QuantizedMode mode) {
  const auto refuse = [&](const std::string& what) {
    throw std::invalid_argument("[" + std::string(function) + "] " + what);
  };
  if (mode != QuantizedMode::affine) {
    const bool is_known = bits == 4 ? group_size == 16 || group_size == 32 : bits == 8 && group_size == 32;
    if (!is_known || mode != float_mode(bits, group_size) || scale_dtype != uint8) {
      refuse("there are no floating point elements of " + std::to_string(bits) + " bits in groups of " +
             std::to_string(group_size) + " with scales of " + std::string(dtype_name(scale_dtype)) + ".");
    }
  } else if (bits != 2 && bits != 3 && bits != 4 && bits != 5 && bits != 6 && bits != 8) {
    refuse("bits are 2, 3, 4, 5, 6 or 8, not " + std::to_string(bits) + ".");
  }
  if (mode == QuantizedMode::affine && group_size != 32 && group_size != 64 && group_size != 128) {
    refuse("a group has 32, 64 or 128 elements, not " + std::to_string(group_size) + ".");
  }
  if (mode == QuantizedMode::affine && scale_dtype != float32 && scale_dtype != float16 &&
      scale_dtype != bfloat16) {
    refuse("scales are float32, float16 or bfloat16, not " + std::string(dtype_name(scale_dtype)) + ".");
  }
  if (columns % group_size != 0) {
    refuse("rows of " + std::to_string(columns) + " elements are not whole groups of " +
           std::to_string(group_size) + ".");
  }
}

void unpack_codes(const QuantizedMatrix& w, int64_t row, int64_t first, int64_t count, uint8_t* codes) {
  const uint8_t* src =
      reinterpret_cast<const uint8_t*>(w.codes + row * w.codes_row_stride) + first / 8 * w.bits;
  switch (w.bits) {
    case 2:
      return unpack_eights<2>(src, count, codes);
    case 3:
      return unpack_eights<3>(src, count, codes);
    case 4:
      return unpack_eights<4>(src, count, codes);
    case 5:
      return unpack_eights<5>(src, count, codes);
    case 6:
      return unpack_eights<6>(src, count, codes);
    default:
      return unpack_eights<8>(src, count, codes);
  }
}

void widen_scales(const QuantizedMatrix& w, int64_t row, int64_t first, int64_t count, float* out) {
  const Kernels& table = kernels();
  const std::byte* scales = w.scales + (row * w.scales_row_stride + first) * w.scale_dtype.size();
  if (w.mode == QuantizedMode::affine) {
    table.widen[static_cast<size_t>(storage_of(w.scale_dtype))](scales, out, count);
  } else if (w.mode == QuantizedMode::nvfp4) {
    table.widen_e4m3(reinterpret_cast<const uint8_t*>(scales), 1, count, out);
  } else {
    table.widen_e8m0(reinterpret_cast<const uint8_t*>(scales), count, out);
  }
}

void dequantize_row(const QuantizedMatrix& w, int64_t row, int64_t first, int64_t count, float* out) {
  // Groups whose scales are widened at a time.
  constexpr int64_t most_groups = 16;
  const Kernels& table = kernels();
  const int64_t size = w.scale_dtype.size();
  const uint8_t* codes = reinterpret_cast<const uint8_t*>(w.codes + row * w.codes_row_stride);
  const int64_t end = first + count;
  for (int64_t group = first / w.group_size; group * w.group_size < end; group += most_groups) {
    const int64_t groups = std::min(most_groups, ceil_div(end, w.group_size) - group);
    float scales[most_groups];
    float biases[most_groups];
    widen_scales(w, row, group, groups, scales);
    if (w.mode == QuantizedMode::affine) {
      const auto widen = table.widen[static_cast<size_t>(storage_of(w.scale_dtype))];
      widen(w.biases + (row * w.biases_row_stride + group) * size, biases, groups);
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t from = std::max((group + g) * w.group_size, first);
      const int64_t to = std::min((group + g + 1) * w.group_size, end);
      const uint8_t* src = codes + from / 8 * w.bits;
      float* dst = out + (from - first);
      if (w.mode == QuantizedMode::affine) {
        table.dequantize(w.bits, src, to - from, scales[g], biases[g], dst);
      } else if (w.bits == 4) {
        table.widen_e2m1(src, scales[g], to - from, dst);
      } else {
        table.widen_e4m3(src, scales[g], to - from, dst);
      }
    }
  }
}

}  // namespace lazuli::templates
