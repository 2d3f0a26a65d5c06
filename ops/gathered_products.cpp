#include <lazuli/ops/gathered_products.h>

#include <stdexcept>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/float_quantized.h>
#include <lazuli/ops/gathered_operations.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/quantized.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

[[noreturn]] void fail(const char* name, const std::string& what) {
  throw std::invalid_argument("[" + std::string(name) + "] " + what);
}

void require_matrices(const array& a, const char* name) {
  if (a.ndim() < 2) fail(name, "an operand of shape " + shape_to_string(a.shape()) + " is no matrix");
}

void require_inner(Dim a, Dim b, const char* name, const array& left, const array& right) {
  if (a != b) {
    fail(name, "operands of shapes " + shape_to_string(left.shape()) + " and " +
                   shape_to_string(right.shape()) + " do not match");
  }
}

Dtype inexact_dtype(const array& a, const array& b, const char* name) {
  const Dtype dtype = promote_types(a.dtype(), b.dtype());
  if (!issubdtype(dtype, inexact)) {
    fail(name, std::string(dtype_name(dtype)) + " is not supported: floating point only");
  }
  return dtype;
}

Shape batch_shape(const array& a) {
  return Shape(a.shape().begin(), a.shape().end() - 2);
}

/// A stack of matrices with one axis before them.
array stacked(const array& a, StreamOrDevice s) {
  if (a.ndim() == 2) return expand_dims(a, 0, s);
  return a.ndim() == 3 ? a : flatten(a, 0, -3, s);
}

/// The indices broadcast to one shape, as vectors; those that are not given are all matrices in order.
struct Choice {
  Shape shape;
  array lhs;
  array rhs;
};

Choice choice_of(const array& a, const array& b, const std::optional<array>& lhs,
                 const std::optional<array>& rhs, const char* name, StreamOrDevice s) {
  const auto indices = [&](const std::optional<array>& given, const array& of) {
    if (!given) {
      Dim count = 1;
      const Shape shape = batch_shape(of);
      for (const Dim extent : shape) count *= extent;
      return reshape(arange(count, int32, s), shape, s);
    }
    if (!issubdtype(given->dtype(), integer)) {
      fail(name, "indices must be integers, not " + std::string(dtype_name(given->dtype())));
    }
    for (const Dim extent : batch_shape(of)) {
      if (extent == 0) fail(name, "there is no matrix to choose in " + shape_to_string(of.shape()));
    }
    return astype(*given, int32, s);
  };
  const array left = indices(lhs, a);
  const array right = indices(rhs, b);
  const Shape shape = broadcast_shapes(left.shape(), right.shape());
  return {shape, flatten(broadcast_to(left, shape, s), s), flatten(broadcast_to(right, shape, s), s)};
}

/// [n, m, k] with the first axis in its shape again.
array in_shape(const array& members, const Shape& shape, StreamOrDevice s) {
  Shape full = shape;
  full.push_back(members.shape(1));
  full.push_back(members.shape(2));
  return reshape(members, full, s);
}

}  // namespace

array gather_mm(array a, array b, std::optional<array> lhs_indices, std::optional<array> rhs_indices, bool,
                StreamOrDevice s) {
  constexpr const char* name = "gather_mm";
  const StreamContext on(s);
  require_matrices(a, name);
  require_matrices(b, name);
  require_inner(a.shape(-1), b.shape(-2), name, a, b);
  const Dtype dtype = inexact_dtype(a, b, name);
  const Choice choice = choice_of(a, b, lhs_indices, rhs_indices, name, s);
  const array members = lazuli::apply(
      make_ref<GatherMatmulOperation>(),
      {stacked(astype(a, dtype, s), s), stacked(astype(b, dtype, s), s), choice.lhs, choice.rhs});
  return in_shape(members, choice.shape, s);
}

array gather_qmm(const array& x, const array& w, const array& scales, const std::optional<array>& biases,
                 std::optional<array> lhs_indices, std::optional<array> rhs_indices, bool transpose,
                 std::optional<int> group_size, std::optional<int> bits, const std::string& mode, bool,
                 StreamOrDevice s) {
  constexpr const char* name = "gather_qmm";
  const StreamContext on(s);
  if (const auto floats = float_format(mode, group_size, bits, name)) {
    if (biases) fail(name, "the mode \"" + mode + "\" has no biases");
    require_matrices(x, name);
    require_matrices(w, name);
    check_float_product(x, w, scales, *floats, transpose, name);
    if (!takes_float_codes(x.dtype())) {
      const array weights = float_dequantize(w, scales, *floats, std::nullopt, x.dtype(), name, s);
      return gather_mm(x, transpose ? swapaxes(weights, -1, -2, s) : weights, std::move(lhs_indices),
                       std::move(rhs_indices), false, s);
    }
    const Choice choice = choice_of(x, w, lhs_indices, rhs_indices, name, s);
    const array members =
        lazuli::apply(make_ref<GatherQuantizedMatmulOperation>(transpose, floats->group_size, floats->bits),
                      {stacked(x, s), stacked(w, s), stacked(scales, s), choice.lhs, choice.rhs});
    return in_shape(members, choice.shape, s);
  }
  if (mode != "affine") fail(name, "there is no mode \"" + mode + "\"");
  if (!biases) fail(name, "the affine mode needs biases");
  require_matrices(x, name);
  require_matrices(w, name);
  const int group = group_size.value_or(64);
  const int width = bits.value_or(4);
  if (group != 32 && group != 64 && group != 128) fail(name, "the group size must be 32, 64 or 128");
  if (width < 2 || width > 8 || width == 7) fail(name, "the bits must be 2, 3, 4, 5, 6 or 8");
  const bool fit = w.dtype() == uint32 && scales.ndim() == w.ndim() && scales.shape() == biases->shape() &&
                   scales.dtype() == biases->dtype() && batch_shape(w) == batch_shape(scales) &&
                   w.shape(-2) == scales.shape(-2) && w.shape(-1) * 32 == scales.shape(-1) * (group * width);
  if (!fit) {
    fail(name, "codes " + shape_to_string(w.shape()) + ", scales " + shape_to_string(scales.shape()) +
                   " and biases " + shape_to_string(biases->shape()) + " do not belong together");
  }
  require_inner(x.shape(-1), transpose ? scales.shape(-1) * group : w.shape(-2), name, x, w);
  const Dtype dtype = promote_types(x.dtype(), scales.dtype());
  if (dtype != float32 && dtype != float16 && dtype != bfloat16) {
    fail(name, std::string(dtype_name(dtype)) + " is not supported: float32, float16 and bfloat16 only");
  }
  const Choice choice = choice_of(x, w, lhs_indices, rhs_indices, name, s);
  const array members = lazuli::apply(make_ref<GatherQuantizedMatmulOperation>(transpose, group, width),
                                      {stacked(astype(x, dtype, s), s), stacked(w, s), stacked(scales, s),
                                       stacked(*biases, s), choice.lhs, choice.rhs});
  return in_shape(members, choice.shape, s);
}

array gather_qqmm(array x, array w, const std::optional<array>& scales_w, std::optional<array> lhs_indices,
                  std::optional<array> rhs_indices, std::optional<int> group_size, std::optional<int> bits,
                  const std::string& mode, const std::optional<array>& global_scale_x,
                  const std::optional<array>& global_scale_w, bool, StreamOrDevice s) {
  constexpr const char* name = "gather_qqmm";
  const StreamContext on(s);
  const auto floats = float_format(mode, group_size, bits, name);
  if (!floats) fail(name, "the mode must be one of floating point elements, not \"" + mode + "\"");
  require_matrices(x, name);
  require_matrices(w, name);
  const auto [rounded, weights] =
      rounded_operands(x, w, scales_w, *floats, global_scale_x, global_scale_w, name, s);
  return gather_mm(rounded, swapaxes(weights, -1, -2, s), std::move(lhs_indices), std::move(rhs_indices),
                   false, s);
}

array segmented_mm(array a, array b, array segments, StreamOrDevice s) {
  constexpr const char* name = "segmented_mm";
  const StreamContext on(s);
  if (a.ndim() != 2 || b.ndim() != 2) fail(name, "the operands must be matrices");
  require_inner(a.shape(1), b.shape(0), name, a, b);
  if (segments.ndim() < 1 || segments.shape(-1) != 2 || !issubdtype(segments.dtype(), integer)) {
    fail(name, "segments must be pairs of integers, not " + std::string(dtype_name(segments.dtype())) +
                   " of shape " + shape_to_string(segments.shape()));
  }
  const Dtype dtype = inexact_dtype(a, b, name);
  const Shape shape(segments.shape().begin(), segments.shape().end() - 1);
  const array pairs = segments.ndim() == 1   ? expand_dims(segments, 0, s)
                      : segments.ndim() == 2 ? segments
                                             : flatten(segments, 0, -2, s);
  const array members = lazuli::apply(make_ref<SegmentedMatmulOperation>(),
                                      {astype(a, dtype, s), astype(b, dtype, s), astype(pairs, int32, s)});
  return in_shape(members, shape, s);
}

array block_masked_mm(array a, array b, int block_size, std::optional<array> mask_out,
                      std::optional<array> mask_lhs, std::optional<array> mask_rhs, StreamOrDevice s) {
  constexpr const char* name = "block_masked_mm";
  if (block_size != 32 && block_size != 64) fail(name, "the block size must be 32 or 64");
  require_matrices(a, name);
  require_matrices(b, name);
  require_inner(a.shape(-1), b.shape(-2), name, a, b);
  const Dtype dtype = inexact_dtype(a, b, name);
  const auto masked = [&](const array& x, const std::optional<array>& mask) {
    if (!mask) return x;
    require_matrices(*mask, name);
    const Dim rows = x.shape(-2);
    const Dim columns = x.shape(-1);
    if (mask->shape(-2) != (rows + (block_size - 1)) / block_size ||
        mask->shape(-1) != (columns + (block_size - 1)) / block_size) {
      fail(name, "a mask of shape " + shape_to_string(mask->shape()) + " does not fit a matrix of shape " +
                     shape_to_string(x.shape()));
    }
    const array wide = repeat(repeat(*mask, block_size, -1, s), block_size, -2, s);
    Shape stop = wide.shape();
    stop[stop.size() - 2] = rows;
    stop[stop.size() - 1] = columns;
    const array each = slice(wide, Shape(wide.ndim(), Dim(0)), stop, s);
    return mask->dtype() == bool_ ? where(each, x, array(0, dtype), s)
                                  : multiply(x, astype(each, dtype, s), s);
  };
  const array product =
      matmul(masked(astype(a, dtype, s), mask_lhs), masked(astype(b, dtype, s), mask_rhs), s);
  return masked(product, mask_out);
}

}  // namespace lazuli
