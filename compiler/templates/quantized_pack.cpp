#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/quantized_codes.h>
#include <lazuli/compiler/templates/quantized_layout.h>
#include <lazuli/compiler/templates/quantized_matmul.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

static_assert(packed_quantized_rows == panel_lanes);

namespace {

constexpr uint32_t magic = 0x515a4c50;

struct Header {
  uint32_t magic;
  uint32_t version;
  int32_t bits;
  int32_t group_size;
  int32_t scale_dtype;
  int32_t unused;
  int64_t rows;
  int64_t columns;
};
static_assert(sizeof(Header) <= packed_header_bytes);

/// Sets the bits of a span: `codes` holds 16 rows of 32 codes.
void pack_span(const uint8_t (*codes)[span_columns], int bits, uint8_t* span) {
  for (int column = 0; column < span_columns; ++column) {
    const int quad = column / 4;
    uint8_t* unit = span + quad / unit_quads(bits) * unit_bytes(bits) + column % 4;
    const QuadCodes parts = quad_codes(bits, quad % unit_quads(bits));
    for (int i = 0; i < parts.count; ++i) {
      const CodePiece& piece = parts.pieces[i];
      const uint32_t mask = (1u << piece.width) - 1;
      for (int lane = 0; lane < panel_lanes; ++lane) {
        const uint32_t field = static_cast<uint32_t>(codes[lane][column]) >> piece.weight & mask;
        unit[piece.vector * code_vector_bytes + lane * 4] |= static_cast<uint8_t>(field << piece.first);
      }
    }
  }
}

/// The code of one column and row of a span.
uint32_t code_in_span(const std::byte* span, int bits, int column, int64_t lane) {
  const int quad = column / 4;
  const std::byte* unit = span + quad / unit_quads(bits) * unit_bytes(bits) + column % 4 + lane * 4;
  const QuadCodes parts = quad_codes(bits, quad % unit_quads(bits));
  uint32_t code = 0;
  for (int i = 0; i < parts.count; ++i) {
    const CodePiece& piece = parts.pieces[i];
    const auto byte = std::to_integer<uint32_t>(unit[piece.vector * code_vector_bytes]);
    code |= (byte >> piece.first & ((1u << piece.width) - 1)) << piece.weight;
  }
  return code;
}

/// Element `at` of an array of scales.
float number_at(const std::byte* scales, int64_t at, Dtype dtype) {
  if (dtype == float32) {
    float value = 0;
    std::memcpy(&value, scales + at * 4, 4);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, scales + at * 2, 2);
  return dtype == float16 ? static_cast<float>(float16_t::from_bits(bits))
                          : static_cast<float>(bfloat16_t::from_bits(bits));
}

/// One row, dequantized.
void unpack_row(const PackedQuantizedInfo& info, const std::byte* packed, int64_t row, float* out) {
  const int64_t code_bytes = group_code_bytes(info.bits, info.group_size);
  const int64_t group_size = group_bytes(info.bits, info.group_size, info.scale_dtype);
  const int64_t groups = info.columns / info.group_size;
  const int64_t lane = row % panel_lanes;
  const std::byte* panel = packed + packed_header_bytes + row / panel_lanes * groups * group_size;
  for (int64_t group = 0; group < groups; ++group, panel += group_size) {
    const float scale = number_at(panel + code_bytes, lane, info.scale_dtype);
    const float bias = number_at(panel + code_bytes, panel_lanes + lane, info.scale_dtype);
    for (int64_t column = 0; column < info.group_size; ++column) {
      const std::byte* span = panel + column / span_columns * span_bytes(info.bits);
      const uint32_t code = code_in_span(span, info.bits, static_cast<int>(column % span_columns), lane);
      *out++ = scale * static_cast<float>(code) + bias;
    }
  }
}

void pack_panel(const QuantizedMatrix& w, int64_t first_row, std::byte* panel) {
  const int64_t rows = std::min(panel_lanes, w.rows - first_row);
  const int64_t code_bytes = group_code_bytes(w.bits, w.group_size);
  const int64_t scale_size = w.scale_dtype.size();
  std::memset(
      panel, 0,
      static_cast<size_t>(w.columns / w.group_size * group_bytes(w.bits, w.group_size, w.scale_dtype)));
  for (int64_t group = 0; group < w.columns / w.group_size; ++group) {
    for (int64_t span = 0; span < w.group_size / span_columns; ++span) {
      uint8_t codes[panel_lanes][span_columns] = {};
      for (int64_t lane = 0; lane < rows; ++lane) {
        unpack_codes(w, first_row + lane, group * w.group_size + span * span_columns, span_columns,
                     codes[lane]);
      }
      pack_span(codes, w.bits, reinterpret_cast<uint8_t*>(panel + span * span_bytes(w.bits)));
    }
    std::byte* scales = panel + code_bytes;
    for (int64_t lane = 0; lane < rows; ++lane) {
      const int64_t row = first_row + lane;
      std::memcpy(scales + lane * scale_size, w.scales + (row * w.scales_row_stride + group) * scale_size,
                  static_cast<size_t>(scale_size));
      std::memcpy(scales + (panel_lanes + lane) * scale_size,
                  w.biases + (row * w.biases_row_stride + group) * scale_size,
                  static_cast<size_t>(scale_size));
    }
    panel += code_bytes + 2 * panel_lanes * scale_size;
  }
}

}  // namespace

size_t packed_quantized_size(int64_t rows, int64_t columns, int bits, int group_size, Dtype scale_dtype) {
  check_quantized("packed_quantized_size", bits, group_size, scale_dtype, columns);
  const int64_t panels = ceil_div(rows, panel_lanes);
  return static_cast<size_t>(packed_header_bytes +
                             panels * (columns / group_size) * group_bytes(bits, group_size, scale_dtype));
}

void pack_quantized(const QuantizedMatrix& w, std::byte* packed) {
  check_quantized("pack_quantized", w.bits, w.group_size, w.scale_dtype, w.columns);
  if (w.mode != QuantizedMode::affine) {
    throw std::invalid_argument("[pack_quantized] Only the affine mode is packed.");
  }
  const Header header{magic,
                      packed_quantized_version,
                      w.bits,
                      w.group_size,
                      static_cast<int32_t>(w.scale_dtype.val()),
                      0,
                      w.rows,
                      w.columns};
  std::memset(packed, 0, packed_header_bytes);
  std::memcpy(packed, &header, sizeof(header));
  const int64_t panels = ceil_div(w.rows, panel_lanes);
  const int64_t panel_bytes = w.columns / w.group_size * group_bytes(w.bits, w.group_size, w.scale_dtype);
  constexpr int64_t panels_a_part = 4;
  parallel_for(ceil_div(panels, panels_a_part), [&](int64_t part) {
    const int64_t end = std::min((part + 1) * panels_a_part, panels);
    for (int64_t i = part * panels_a_part; i < end; ++i) {
      pack_panel(w, i * panel_lanes, packed + packed_header_bytes + i * panel_bytes);
    }
  });
}

void unpack_quantized_rows(const std::byte* packed, const int32_t* rows, int64_t count, int64_t columns,
                           float* out) {
  const PackedQuantizedInfo info = packed_quantized_info(packed);
  if (info.columns != columns) {
    throw std::invalid_argument("[unpack_quantized_rows] Packed rows have " + std::to_string(info.columns) +
                                " columns, not " + std::to_string(columns) + ".");
  }
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i] >= 0 && rows[i] < info.rows) continue;
    throw std::invalid_argument("[unpack_quantized_rows] There is no row " + std::to_string(rows[i]) +
                                " of " + std::to_string(info.rows) + ".");
  }
  constexpr int64_t rows_a_part = 16;
  parallel_for(ceil_div(count, rows_a_part), [&](int64_t part) {
    for (int64_t i = part * rows_a_part; i < std::min(count, (part + 1) * rows_a_part); ++i) {
      unpack_row(info, packed, rows[i], out + i * columns);
    }
  });
}

PackedQuantizedInfo packed_quantized_info(const std::byte* packed) {
  Header header;
  std::memcpy(&header, packed, sizeof(header));
  if (header.magic != magic || header.version != packed_quantized_version) {
    throw std::invalid_argument("[packed_quantized_info] Not packed weights of this version.");
  }
  return {header.version,    header.bits,
          header.group_size, dtype_from_value(static_cast<Dtype::Val>(header.scale_dtype)),
          header.rows,       header.columns};
}

void dequantize_packed(const std::byte* packed, int64_t first, int64_t count, std::byte* out, Dtype dtype) {
  const PackedQuantizedInfo info = packed_quantized_info(packed);
  const Kernels& table = kernels();
  const PanelFormat format{info.bits, info.group_size, info.scale_dtype};
  const int64_t panel_bytes =
      info.columns / info.group_size * group_bytes(info.bits, info.group_size, info.scale_dtype);
  const auto narrow = table.narrow[static_cast<size_t>(storage_of(dtype))];
  const int64_t first_panel = first / panel_lanes;
  const int64_t end_panel = ceil_div(first + count, panel_lanes);
  if (count <= 0) return;
  parallel_for(end_panel - first_panel, [&](int64_t part) {
    const int64_t panel = first_panel + part;
    const int64_t begin = std::max(first, panel * panel_lanes);
    const int64_t end = std::min(first + count, (panel + 1) * panel_lanes);
    for (int64_t column = 0; column < info.columns; column += span_columns) {
      float block[span_columns * panel_lanes];
      table.panel_dequantize(format, packed + packed_header_bytes + panel * panel_bytes, column, span_columns,
                             block, panel_lanes);
      for (int64_t row = begin; row < end; ++row) {
        float values[span_columns];
        for (int64_t p = 0; p < span_columns; ++p) values[p] = block[p * panel_lanes + row % panel_lanes];
        narrow(values, out + ((row - first) * info.columns + column) * dtype.size(), span_columns);
      }
    }
  });
}

}  // namespace lazuli::templates
