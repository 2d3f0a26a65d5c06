#include <lazuli/ops/quantized.h>

#include <algorithm>
#include <stdexcept>

#include <lazuli/ops/affine_format.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/float_quantized.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/packed_codes.h>
#include <lazuli/ops/quantized_operations.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

AffineFormat affine_format(std::optional<int> group_size, std::optional<int> bits, const std::string& name) {
  const AffineFormat format{group_size.value_or(64), bits.value_or(4)};
  if (format.group_size != 32 && format.group_size != 64 && format.group_size != 128) {
    throw std::invalid_argument("[" + name + "] the group size must be 32, 64 or 128, not " +
                                std::to_string(format.group_size));
  }
  if (format.bits < 2 || format.bits > 8 || format.bits == 7) {
    throw std::invalid_argument("[" + name + "] the bits must be 2, 3, 4, 5, 6 or 8, not " +
                                std::to_string(format.bits));
  }
  return format;
}

void check_affine_parts(const array& w, const array& scales, const array& biases, AffineFormat format,
                        const std::string& name) {
  const auto fail = [&](const std::string& what) { throw std::invalid_argument("[" + name + "] " + what); };
  if (w.dtype() != uint32) fail("the codes must be uint32, not " + std::string(dtype_name(w.dtype())));
  if (!issubdtype(scales.dtype(), floating) || scales.dtype() != biases.dtype()) {
    fail("scales and biases must have one floating point dtype");
  }
  if (w.ndim() < 2 || !(scales.shape() == biases.shape()) || w.ndim() != scales.ndim() ||
      !std::equal(w.shape().begin(), w.shape().end() - 1, scales.shape().begin()) ||
      w.shape(-1) * bits_per_word != scales.shape(-1) * (format.group_size * format.bits)) {
    fail("codes " + shape_to_string(w.shape()) + ", scales " + shape_to_string(scales.shape()) +
         " and biases " + shape_to_string(biases.shape()) + " do not belong together, with " +
         std::to_string(format.bits) + " bits in groups of " + std::to_string(format.group_size));
  }
}

namespace {

AffineFormat checked_format(std::optional<int> group_size, std::optional<int> bits, const std::string& mode,
                            const std::string& name) {
  if (mode != "affine") {
    throw std::invalid_argument("[" + name + "] there is no mode \"" + mode + "\"");
  }
  return affine_format(group_size, bits, name);
}

void require_no_global_scale(const std::optional<array>& global_scale, const std::string& name) {
  if (global_scale) throw std::invalid_argument("[" + name + "] the affine mode has no global scale");
}

const array& required_biases(const std::optional<array>& biases, const std::string& name) {
  if (!biases) throw std::invalid_argument("[" + name + "] the affine mode needs biases");
  return *biases;
}

void require_no_biases(const std::optional<array>& biases, const std::string& mode, const std::string& name) {
  if (biases) throw std::invalid_argument("[" + name + "] the mode \"" + mode + "\" has no biases");
}

array dequantized(const array& w, const array& scales, const array& biases, AffineFormat format, Dtype dtype,
                  StreamOrDevice s) {
  // [rows, groups, blocks, codes]: the groups' scales broadcast, and the result is in order as it is.
  const int count = codes_per_block(format.bits);
  const int blocks = format.group_size / count;
  const int words = count * format.bits / bits_per_word;
  const Dim groups = scales.shape(-1);
  const array codes = unpack_codes(reshape(w, with_last(w, {groups, blocks, words}), s), format.bits, s);
  const Dtype work = dtype == float64 ? float64 : float32;
  const auto per_group = [&](const array& a) { return expand_dims(astype(a, work, s), {-2, -1}, s); };
  const array values = add(multiply(astype(codes, work, s), per_group(scales), s), per_group(biases), s);
  return reshape(astype(values, dtype, s), with_last(w, {groups * format.group_size}), s);
}

}  // namespace

std::vector<array> quantize(const array& w, std::optional<int> group_size, std::optional<int> bits,
                            const std::string& mode, const std::optional<array>& global_scale,
                            StreamOrDevice s) {
  if (const auto floats = float_format(mode, group_size, bits, "quantize")) {
    return float_quantize(w, *floats, global_scale, "quantize", s);
  }
  const AffineFormat format = checked_format(group_size, bits, mode, "quantize");
  require_no_global_scale(global_scale, "quantize");
  if (!issubdtype(w.dtype(), floating)) {
    throw std::invalid_argument("[quantize] " + std::string(dtype_name(w.dtype())) +
                                " is not supported: real floating point only");
  }
  if (w.ndim() < 2 || w.shape(-1) % format.group_size != 0) {
    throw std::invalid_argument("[quantize] the last extent of " + shape_to_string(w.shape()) +
                                " must be a multiple of the group size " + std::to_string(format.group_size) +
                                ", in at least two dimensions");
  }
  const Dim groups = w.shape(-1) / format.group_size;
  const array x = astype(reshape(w, with_last(w, {groups, format.group_size}), s), float32, s);
  const array zero(0.0f);
  const array levels(static_cast<float>((1 << format.bits) - 1));

  // The end of the range that is larger in magnitude becomes a multiple of the scale, so that zero is one.
  const array high = max(x, -1, true, s);
  const array low = min(x, -1, true, s);
  const array low_is_larger = greater(abs(low, s), abs(high, s), s);
  array scale = maximum(divide(subtract(high, low, s), levels, s), array(1e-7f), s);
  scale = where(low_is_larger, scale, negative(scale, s), s);
  const array edge = where(low_is_larger, low, high, s);
  const array steps = round(divide(edge, scale, s), s);
  const array has_steps = not_equal(steps, zero, s);
  scale = where(has_steps, divide(edge, steps, s), scale, s);
  const array bias = where(has_steps, edge, zero, s);

  const array codes = clip(round(divide(subtract(x, bias, s), scale, s), s), zero, levels, s);
  const int count = codes_per_block(format.bits);
  const Dim blocks = w.shape(-1) / count;
  const array words =
      pack_codes(astype(reshape(codes, with_last(w, {blocks, count}), s), uint32, s), format.bits, s);
  const Dim row = blocks * (count * format.bits / bits_per_word);
  return {reshape(words, with_last(w, {row}), s), astype(squeeze(scale, -1, s), w.dtype(), s),
          astype(squeeze(bias, -1, s), w.dtype(), s)};
}

array dequantize(const array& w, const array& scales, const std::optional<array>& biases,
                 std::optional<int> group_size, std::optional<int> bits, const std::string& mode,
                 const std::optional<array>& global_scale, std::optional<Dtype> dtype, StreamOrDevice s) {
  if (const auto floats = float_format(mode, group_size, bits, "dequantize")) {
    require_no_biases(biases, mode, "dequantize");
    return float_dequantize(w, scales, *floats, global_scale, dtype.value_or(bfloat16), "dequantize", s);
  }
  const AffineFormat format = checked_format(group_size, bits, mode, "dequantize");
  require_no_global_scale(global_scale, "dequantize");
  const array& bias = required_biases(biases, "dequantize");
  check_affine_parts(w, scales, bias, format, "dequantize");
  return dequantized(w, scales, bias, format, dtype.value_or(scales.dtype()), s);
}

array quantized_matmul(array x, array w, array scales, std::optional<array> biases, bool transpose,
                       std::optional<int> group_size, std::optional<int> bits, const std::string& mode,
                       StreamOrDevice s) {
  const StreamContext on(s);
  const std::string name = "quantized_matmul";
  if (const auto floats = float_format(mode, group_size, bits, name)) {
    require_no_biases(biases, mode, name);
    return float_quantized_matmul(x, w, scales, *floats, transpose, name, s);
  }
  const AffineFormat format = checked_format(group_size, bits, mode, name);
  const array& bias = required_biases(biases, name);
  check_affine_parts(w, scales, bias, format, name);
  const Dtype dtype = promote_types(x.dtype(), scales.dtype());
  if (dtype != float32 && dtype != float16 && dtype != bfloat16) {
    throw std::invalid_argument("[" + name + "] " + std::string(dtype_name(dtype)) +
                                " is not supported: float32, float16 and bfloat16 only");
  }
  if (x.ndim() == 0) throw std::invalid_argument("[" + name + "] the operands must have dimensions");
  const Dim length = transpose ? scales.shape(-1) * format.group_size : w.shape(-2);
  if (x.shape(-1) != length) {
    throw std::invalid_argument("[" + name + "] the last extent of " + shape_to_string(x.shape()) +
                                " does not match the " + std::to_string(length.hint()) +
                                (transpose ? " columns" : " rows") + " of the matrix");
  }
  const array rows = x.ndim() == 1 ? expand_dims(x, 0, s) : x;
  const auto operation = make_ref<QuantizedMatmulOperation>(transpose, format.group_size, format.bits);
  const array result = lazuli::apply(operation, {astype(rows, dtype, s), w, scales, bias});
  return x.ndim() == 1 ? squeeze(result, -2, s) : result;
}

array quantized_take(const array& w, const array& scales, const array& biases, const array& indices,
                     int group_size, int bits, StreamOrDevice s) {
  const AffineFormat format = checked_format(group_size, bits, "affine", "quantized_take");
  check_affine_parts(w, scales, biases, format, "quantized_take");
  const auto rows = [&](const array& a) { return take(a, indices, 0, s); };
  return dequantized(rows(w), rows(scales), rows(biases), format, scales.dtype(), s);
}

array pack_quantized(const array& w, const array& scales, const array& biases, int group_size, int bits,
                     StreamOrDevice s) {
  const StreamContext on(s);
  const AffineFormat format = checked_format(group_size, bits, "affine", "pack_quantized");
  check_affine_parts(w, scales, biases, format, "pack_quantized");
  if (w.ndim() != 2) throw std::invalid_argument("[pack_quantized] the matrix must have two dimensions");
  return lazuli::apply(make_ref<PackQuantizedOperation>(format.group_size, format.bits), {w, scales, biases});
}

array packed_quantized_matmul(const array& x, const array& packed, Dim out_features, Dim in_features,
                              int group_size, int bits, QuantizedActivations activations, StreamOrDevice s) {
  const StreamContext on(s);
  const std::string name = "packed_quantized_matmul";
  checked_format(group_size, bits, "affine", name);
  if (x.dtype() != float32 && x.dtype() != float16 && x.dtype() != bfloat16) {
    throw std::invalid_argument("[" + name + "] " + std::string(dtype_name(x.dtype())) +
                                " is not supported: float32, float16 and bfloat16 only");
  }
  if (x.ndim() == 0 || x.shape(-1) != in_features) {
    throw std::invalid_argument("[" + name + "] the last extent of " + shape_to_string(x.shape()) +
                                " is not " + std::to_string(in_features.hint()));
  }
  if (packed.dtype() != uint8 || packed.ndim() != 2) {
    throw std::invalid_argument("[" + name + "] the weights must come from pack_quantized");
  }
  return lazuli::apply(make_ref<PackedMatmulOperation>(out_features, activations), {x, packed});
}

array packed_quantized_take(const array& packed, const array& indices, Dim in_features, Dtype dtype,
                            StreamOrDevice s) {
  const StreamContext on(s);
  if (packed.dtype() != uint8 || packed.ndim() != 2) {
    throw std::invalid_argument("[packed_quantized_take] the weights must come from pack_quantized");
  }
  if (!issubdtype(indices.dtype(), integer)) {
    throw std::invalid_argument("[packed_quantized_take] indices must be integers, not " +
                                std::string(dtype_name(indices.dtype())));
  }
  if (dtype != float32 && dtype != float16 && dtype != bfloat16) {
    throw std::invalid_argument("[packed_quantized_take] " + std::string(dtype_name(dtype)) +
                                " is not supported: float32, float16 and bfloat16 only");
  }
  return lazuli::apply(make_ref<PackedTakeOperation>(in_features, dtype),
                       {packed, astype(indices, int32, s)});
}

}  // namespace lazuli
