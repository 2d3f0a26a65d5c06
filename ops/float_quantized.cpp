#include <lazuli/ops/float_quantized.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <lazuli/graph/transforms/transforms.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/fp8.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/packed_codes.h>
#include <lazuli/ops/quantized.h>
#include <lazuli/ops/quantized_operations.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

constexpr float largest_e2m1 = 6;
constexpr float largest_e4m3 = 448;
constexpr int exponent_bias = 127;
constexpr uint32_t fraction_bits = 23;

[[noreturn]] void fail(const std::string& name, const std::string& what) {
  throw std::invalid_argument("[" + name + "] " + what);
}

/// Only nvfp4 has groups of 16; the scales of the others are powers of two.
bool has_float_scales(FloatFormat format) {
  return format.group_size == 16;
}

float largest_element(FloatFormat format) {
  return format.bits == 4 ? largest_e2m1 : largest_e4m3;
}

/// Codes of the nearest 4-bit numbers, ties to even, as uint32.
array to_e2m1(const array& x, StreamOrDevice s) {
  const array size = abs(x, s);
  // Each limit is half way between neighbours; one that is met goes to the even code.
  const auto above = [&](float limit) { return astype(greater(size, array(limit), s), uint32, s); };
  const auto from = [&](float limit) { return astype(greater_equal(size, array(limit), s), uint32, s); };
  array code = above(0.25f);
  for (const float limit : {1.25f, 2.5f, 5.0f}) code = add(code, above(limit), s);
  for (const float limit : {0.75f, 1.75f, 3.5f}) code = add(code, from(limit), s);
  code = where(isnan(x, s), array(7u), code, s);
  const array sign = right_shift(view(x, uint32, s), array(31u), s);
  return bitwise_or(code, left_shift(sign, array(3u), s), s);
}

/// The numbers of 4-bit codes (uint32), float32: as float16 their bits are right but for the exponent's bias.
array from_e2m1(const array& codes, StreamOrDevice s) {
  const array sign = left_shift(right_shift(codes, array(3u), s), array(15u), s);
  const array magnitude = left_shift(bitwise_and(codes, array(7u), s), array(9u), s);
  const array half = view(astype(bitwise_or(sign, magnitude, s), uint16, s), float16, s);
  return multiply(astype(half, float32, s), array(0x1p14f), s);
}

/// The bytes of the nearest powers of two, in logarithms.
array to_e8m0(const array& x, StreamOrDevice s) {
  const array exponent = clip(round(log2(x, s), s), array(-127.0f), array(127.0f), s);
  const array known = where(isfinite(x, s), exponent, array(128.0f), s);
  return astype(add(known, array(static_cast<float>(exponent_bias)), s), uint8, s);
}

array from_e8m0(const array& x, StreamOrDevice s) {
  const array bits = left_shift(astype(x, uint32, s), array(fraction_bits), s);
  const array smallest(uint32_t{1} << (fraction_bits - 1));
  return view(where(equal(x, array(0, uint8), s), smallest, bits, s), float32, s);
}

/// What one unit of nvfp4's scales is.
std::optional<array> unit_of(const std::optional<array>& global_scale, FloatFormat format,
                             const std::string& name, StreamOrDevice s) {
  if (!global_scale) return std::nullopt;
  if (!has_float_scales(format)) fail(name, "only the mode \"nvfp4\" has a global scale");
  if (global_scale->dtype() != float32 || global_scale->size() != 1) {
    fail(name, "the global scale must be one float32 number, not " +
                   std::string(dtype_name(global_scale->dtype())) + " of shape " +
                   shape_to_string(global_scale->shape()));
  }
  return divide(reshape(*global_scale, {}, s), array(largest_e4m3 * largest_e2m1), s);
}

/// Groups [..., groups, size] of float32: their bytes of scale, and the scale, both with a last axis of one.
std::pair<array, array> scales_of(const array& groups, FloatFormat format, const std::optional<array>& unit,
                                  StreamOrDevice s) {
  array scale = divide(max(abs(groups, s), -1, true, s), array(largest_element(format)), s);
  if (!has_float_scales(format)) {
    const array bytes = to_e8m0(scale, s);
    return {bytes, from_e8m0(bytes, s)};
  }
  if (unit) scale = where(equal(*unit, array(0.0f), s), array(0.0f), divide(scale, *unit, s), s);
  const array bytes = to_fp8(scale, s);
  const array rounded = from_fp8(bytes, float32, s);
  return {bytes, unit ? multiply(rounded, *unit, s) : rounded};
}

/// Arrays, and a global scale for them, to the format's numbers nearby. Made once for each format, so that
/// graphs with it are found again.
const ArrayFunction& rounding(FloatFormat format, bool is_global) {
  const auto made = [](FloatFormat of) {
    const ArrayFunction function = [of](const std::vector<array>& in) {
      const array matrix = in[0].ndim() == 1 ? expand_dims(in[0], 0) : in[0];
      const std::optional<array> global = in.size() > 1 ? std::make_optional(in[1]) : std::nullopt;
      const std::vector<array> parts = float_quantize(matrix, of, global, "quantize", {});
      const array found = float_dequantize(parts[0], parts[1], of, global, in[0].dtype(), "dequantize", {});
      return std::vector<array>{reshape(found, in[0].shape())};
    };
    return custom_vjp(function, [](const std::vector<array>& in, const std::vector<array>& cotangents,
                                   const std::vector<array>&) {
      std::vector<array> result{cotangents[0]};
      if (in.size() > 1) result.push_back(zeros_like(in[1]));
      return result;
    });
  };
  static const ArrayFunction functions[] = {made({32, 4}), made({32, 8}), made({16, 4}), made({16, 4})};
  return functions[format.bits == 8 ? 1 : format.group_size == 32 ? 0 : is_global ? 3 : 2];
}

void require_floats(const array& w, FloatFormat format, const std::string& name) {
  if (!issubdtype(w.dtype(), floating)) {
    fail(name, std::string(dtype_name(w.dtype())) + " is not supported: real floating point only");
  }
  if (w.ndim() < 1 || w.shape(-1) % format.group_size != 0) {
    fail(name, "the last extent of " + shape_to_string(w.shape()) + " must be a multiple of the group size " +
                   std::to_string(format.group_size));
  }
}

}  // namespace

std::optional<FloatFormat> float_format(const std::string& mode, std::optional<int> group_size,
                                        std::optional<int> bits, const std::string& name) {
  FloatFormat format{32, 4};
  if (mode == "mxfp8") {
    format.bits = 8;
  } else if (mode == "nvfp4") {
    format.group_size = 16;
  } else if (mode != "mxfp4") {
    return std::nullopt;
  }
  if (group_size.value_or(format.group_size) != format.group_size ||
      bits.value_or(format.bits) != format.bits) {
    fail(name, "the mode \"" + mode + "\" has groups of " + std::to_string(format.group_size) + " and " +
                   std::to_string(format.bits) + " bits");
  }
  return format;
}

std::vector<array> float_quantize(const array& w, FloatFormat format,
                                  const std::optional<array>& global_scale, const std::string& name,
                                  StreamOrDevice s) {
  const StreamContext on(s);
  require_floats(w, format, name);
  if (w.ndim() < 2) fail(name, "the matrix must have at least two dimensions");
  const std::optional<array> unit = unit_of(global_scale, format, name, s);
  const Dim groups = w.shape()[w.ndim() - 1] / format.group_size;
  const array x = astype(reshape(w, with_last(w, {groups, format.group_size}), s), float32, s);
  const auto [bytes, scale] = scales_of(x, format, unit, s);
  const array zero(0.0f);
  const array scaled = where(equal(scale, zero, s), zero, divide(x, scale, s), s);
  const array codes = format.bits == 4 ? to_e2m1(scaled, s) : astype(to_fp8(scaled, s), uint32, s);
  const int count = codes_per_block(format.bits);
  const Dim words = w.shape()[w.ndim() - 1] / count;
  const array packed = pack_codes(reshape(codes, with_last(w, {words, count}), s), format.bits, s);
  return {reshape(packed, with_last(w, {words}), s), squeeze(bytes, -1, s)};
}

namespace {

void check_float_parts(const array& w, const array& scales, FloatFormat format, const std::string& name) {
  if (w.dtype() != uint32) fail(name, "the codes must be uint32, not " + std::string(dtype_name(w.dtype())));
  if (scales.dtype() != uint8) {
    fail(name, "the scales must be uint8, not " + std::string(dtype_name(scales.dtype())));
  }
  const int words = format.group_size / codes_per_block(format.bits);
  if (w.ndim() < 2 || w.ndim() != scales.ndim() ||
      !std::equal(w.shape().begin(), w.shape().end() - 1, scales.shape().begin()) ||
      w.shape(-1) != scales.shape(-1) * words) {
    fail(name, "codes " + shape_to_string(w.shape()) + " and scales " + shape_to_string(scales.shape()) +
                   " do not belong together, with " + std::to_string(format.bits) + " bits in groups of " +
                   std::to_string(format.group_size));
  }
}

}  // namespace

array float_dequantize(const array& w, const array& scales, FloatFormat format,
                       const std::optional<array>& global_scale, Dtype dtype, const std::string& name,
                       StreamOrDevice s) {
  check_float_parts(w, scales, format, name);
  if (!issubdtype(dtype, floating)) {
    fail(name, "the dtype must be real floating point, not " + std::string(dtype_name(dtype)));
  }
  const int words = format.group_size / codes_per_block(format.bits);
  const std::optional<array> unit = unit_of(global_scale, format, name, s);
  const Dim groups = scales.shape()[scales.ndim() - 1];
  // [..., groups, words, codes]
  const array codes = unpack_codes(reshape(w, with_last(w, {groups, words, 1}), s), format.bits, s);
  const array elements =
      format.bits == 4 ? from_e2m1(codes, s) : from_fp8(astype(codes, uint8, s), float32, s);
  array scale = has_float_scales(format) ? from_fp8(scales, float32, s) : from_e8m0(scales, s);
  if (unit) scale = multiply(scale, *unit, s);
  const array values = multiply(elements, expand_dims(scale, {-2, -1}, s), s);
  return reshape(astype(values, dtype, s), with_last(w, {groups * format.group_size}), s);
}

void check_float_product(const array& x, const array& w, const array& scales, FloatFormat format,
                         bool transpose, const std::string& name) {
  if (!issubdtype(x.dtype(), floating)) {
    fail(name, std::string(dtype_name(x.dtype())) + " is not supported: real floating point only");
  }
  check_float_parts(w, scales, format, name);
  const Dim length = transpose ? scales.shape(-1) * format.group_size : w.shape(-2);
  if (x.ndim() == 0 || !is_same(x.shape()[x.ndim() - 1], length)) {
    fail(name, "the last extent of " + shape_to_string(x.shape()) + " does not match the " +
                   std::to_string(length.hint()) + (transpose ? " columns" : " rows") + " of the matrix");
  }
}

bool takes_float_codes(Dtype dtype) {
  return dtype == float32 || dtype == float16 || dtype == bfloat16;
}

array float_quantized_matmul(const array& x, const array& w, const array& scales, FloatFormat format,
                             bool transpose, const std::string& name, StreamOrDevice s) {
  check_float_product(x, w, scales, format, transpose, name);
  if (!takes_float_codes(x.dtype())) {
    const array weights = float_dequantize(w, scales, format, std::nullopt, x.dtype(), name, s);
    return matmul(x, transpose ? swapaxes(weights, -1, -2, s) : weights, s);
  }
  const array rows = x.ndim() == 1 ? expand_dims(x, 0, s) : x;
  const auto operation = make_ref<QuantizedMatmulOperation>(transpose, format.group_size, format.bits);
  const array result = lazuli::apply(operation, {rows, w, scales});
  return x.ndim() == 1 ? squeeze(result, -2, s) : result;
}

std::pair<array, array> rounded_operands(const array& x, const array& w, const std::optional<array>& w_scales,
                                         FloatFormat format, const std::optional<array>& global_scale_x,
                                         const std::optional<array>& global_scale_w, const std::string& name,
                                         StreamOrDevice s) {
  require_floats(x, format, name);
  const auto rounded = [&](const array& a, const std::optional<array>& global_scale) {
    unit_of(global_scale, format, name, s);  // to complain in this function's name
    std::vector<array> arguments{a};
    if (global_scale) arguments.push_back(*global_scale);
    return rounding(format, global_scale.has_value())(arguments)[0];
  };
  const array left = rounded(x, global_scale_x);
  if (w_scales) {
    return {left, float_dequantize(w, *w_scales, format, global_scale_w, x.dtype(), name, s)};
  }
  require_floats(w, format, name);
  return {left, rounded(w, global_scale_w)};
}

array qqmm(array x, array w, const std::optional<array> w_scales, std::optional<int> group_size,
           std::optional<int> bits, const std::string& mode, const std::optional<array> global_scale_x,
           const std::optional<array> global_scale_w, StreamOrDevice s) {
  const std::string name = "qqmm";
  const StreamContext on(s);
  const auto format = float_format(mode, group_size, bits, name);
  if (!format) fail(name, "the mode must be one of floating point elements, not \"" + mode + "\"");
  if (w.ndim() != 2)
    fail(name, "the second operand must be a matrix, not of shape " + shape_to_string(w.shape()));
  const auto [left, right] =
      rounded_operands(x, w, w_scales, *format, global_scale_x, global_scale_w, name, s);
  if (!is_same(left.shape()[left.ndim() - 1], right.shape()[1])) {
    fail(name, "the last extents of " + shape_to_string(x.shape()) + " and of a matrix with " +
                   std::to_string(right.shape(1)) + " columns differ");
  }
  return matmul(left, swapaxes(right, -1, -2, s), s);
}

}  // namespace lazuli
