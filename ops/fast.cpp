#include <lazuli/ops/fast.h>

#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <lazuli/graph/transforms/transforms.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli::fast {

namespace {

/// Checks the parameters of a norm and gives the dtype of its result.
Dtype norm_dtype(const array& x, const std::optional<array>& parameter, Dtype dtype, const char* what,
                 const std::string& name) {
  if (x.ndim() == 0) throw std::invalid_argument("[" + name + "] the array must have a dimension");
  if (!parameter) return dtype;
  if (parameter->ndim() != 1 || parameter->shape(0) != x.shape(-1)) {
    throw std::invalid_argument("[" + name + "] the " + what + " of shape " +
                                shape_to_string(parameter->shape()) + " does not fit the last axis of " +
                                shape_to_string(x.shape()));
  }
  return promote_types(dtype, parameter->dtype());
}

void require_floating(Dtype dtype, const std::string& name) {
  if (!issubdtype(dtype, floating)) {
    throw std::invalid_argument("[" + name + "] " + std::string(dtype_name(dtype)) +
                                " is not supported: real floating point only");
  }
}

/// x times 1 / sqrt(`power` + eps), then weight and bias, rounded once at the end.
array scaled(const array& x, const array& power, const std::optional<array>& weight,
             const std::optional<array>& bias, float eps, Dtype dtype, StreamOrDevice s) {
  array result = multiply(x, rsqrt(add(power, array(eps, x.dtype()), s), s), s);
  if (weight) result = multiply(result, astype(*weight, x.dtype(), s), s);
  if (bias) result = add(result, astype(*bias, x.dtype(), s), s);
  return astype(result, dtype, s);
}

/// The operands are x, then weight and bias where they are there.
struct Norm {
  bool centres;  ///< subtracts the mean first
  bool has_weight;
  bool has_bias;
  float eps;
  Dtype dtype;  ///< of the result
  StreamOrDevice s;

  Dtype wide_dtype() const { return dtype == float64 ? float64 : float32; }
  array centred(const array& x) const {
    const array wide = astype(x, wide_dtype(), s);
    return centres ? subtract(wide, mean(wide, -1, true, s), s) : wide;
  }
  array power(const array& centred) const { return mean(square(centred, s), -1, true, s); }

  array value(const std::vector<array>& in) const {
    const array x = centred(in[0]);
    const std::optional<array> weight = has_weight ? std::optional(in[1]) : std::nullopt;
    const std::optional<array> bias = has_bias ? std::optional(in.back()) : std::nullopt;
    return scaled(x, power(x), weight, bias, eps, dtype, s);
  }

  /// That of the operations above, with what they show to be zero (the mean of what is centred) left out,
  /// with averages of the cotangent itself, which are known as soon as a row has been read, and with as few
  /// operations an element as can be: what is the same for a row is multiplied first.
  std::vector<array> gradient(const std::vector<array>& in, const array& cotangent) const {
    const array x = centred(in[0]);
    const array scale = rsqrt(add(power(x), array(eps, wide_dtype()), s), s);
    const array g = astype(cotangent, wide_dtype(), s);
    const array weighted = has_weight ? multiply(g, astype(in[1], wide_dtype(), s), s) : g;
    // Level first: what is the same everywhere has no gradient, to the last bit.
    const array slanted = centres ? subtract(weighted, mean(weighted, -1, true, s), s) : weighted;
    const array cube = multiply(square(scale, s), scale, s);
    const array slope = multiply(mean(multiply(weighted, x, s), -1, true, s), cube, s);
    const array of_x = subtract(multiply(slanted, scale, s), multiply(x, slope, s), s);
    std::vector<array> result{astype(of_x, in[0].dtype(), s)};
    if (has_weight) result.push_back(summed(multiply(multiply(g, scale, s), x, s), in[1].dtype()));
    if (has_bias) result.push_back(summed(g, in.back().dtype()));
    return result;
  }

  array operator()(const array& x, const std::optional<array>& weight,
                   const std::optional<array>& bias) const {
    const StreamContext on(s);
    std::vector<array> operands{x};
    if (weight) operands.push_back(*weight);
    if (bias) operands.push_back(*bias);
    const auto of = [norm = *this](const std::vector<array>& in) {
      return std::vector<array>{norm.value(in)};
    };
    const auto gradient_of = [norm = *this](const std::vector<array>& in,
                                            const std::vector<array>& cotangents, const std::vector<array>&) {
      return norm.gradient(in, cotangents[0]);
    };
    return custom_vjp(of, gradient_of)(operands)[0];
  }

  /// Over all axes but the last.
  array summed(const array& a, Dtype to) const {
    std::vector<int> axes(a.ndim() - 1);
    std::iota(axes.begin(), axes.end(), 0);
    return astype(axes.empty() ? a : sum(a, axes, false, s), to, s);
  }
};

}  // namespace

array rms_norm(const array& x, const std::optional<array>& weight, float eps, StreamOrDevice s) {
  require_floating(x.dtype(), "rms_norm");
  const Dtype dtype = norm_dtype(x, weight, x.dtype(), "weight", "rms_norm");
  return Norm{false, weight.has_value(), false, eps, dtype, s}(x, weight, std::nullopt);
}

array layer_norm(const array& x, const std::optional<array>& weight, const std::optional<array>& bias,
                 float eps, StreamOrDevice s) {
  require_floating(x.dtype(), "layer_norm");
  Dtype dtype = norm_dtype(x, weight, x.dtype(), "weight", "layer_norm");
  dtype = norm_dtype(x, bias, dtype, "bias", "layer_norm");
  return Norm{true, weight.has_value(), bias.has_value(), eps, dtype, s}(x, weight, bias);
}

namespace {

/// Rotations a position, for each of the pairs: what the position is multiplied by.
array frequencies(int dims, std::optional<float> base, float scale, const std::optional<array>& freqs,
                  StreamOrDevice s) {
  if (freqs) return divide(array(scale), astype(*freqs, float32, s), s);
  std::vector<float> values;
  for (int i = 0; i < dims / 2; ++i) {
    const double exponent = -2.0 * i / dims;
    values.push_back(static_cast<float>(scale * std::pow(static_cast<double>(*base), exponent)));
  }
  return array(values.begin(), Shape{dims / 2});
}

/// The part of the last axis in [from, to), in steps.
array columns(const array& x, Dim from, Dim to, int step, StreamOrDevice s) {
  Shape start(x.ndim(), Dim(0));
  Shape stop = x.shape();
  Shape strides(x.ndim(), Dim(1));
  start.back() = from;
  stop.back() = to;
  strides.back() = step;
  return slice(x, start, stop, strides, s);
}

array rotate(const array& x, int dims, bool traditional, const array& positions, const array& rates,
             StreamOrDevice s) {
  // One angle for each position and pair, whatever the heads.
  const array angles = multiply(expand_dims(positions, -1, s), rates, s);
  const array cosine = cos(angles, s);
  const array sine = sin(angles, s);
  const int half = dims / 2;
  const array first = traditional ? columns(x, 0, dims, 2, s) : columns(x, 0, half, 1, s);
  const array second = traditional ? columns(x, 1, dims, 2, s) : columns(x, half, dims, 1, s);
  const array turned_first = subtract(multiply(first, cosine, s), multiply(second, sine, s), s);
  const array turned_second = add(multiply(first, sine, s), multiply(second, cosine, s), s);
  std::vector<array> parts;
  if (traditional) {
    Shape shape = x.shape();
    shape.back() = dims;
    const array pairs = stack({turned_first, turned_second}, -1, s);
    parts.push_back(astype(reshape(pairs, std::move(shape), s), x.dtype(), s));
  } else {
    parts.push_back(astype(turned_first, x.dtype(), s));
    parts.push_back(astype(turned_second, x.dtype(), s));
  }
  if (x.shape(-1) != dims) parts.push_back(columns(x, dims, x.shape(-1), 1, s));
  return concatenate(std::move(parts), -1, s);
}

void check_rope(const array& x, int dims, std::optional<float> base, const std::optional<array>& freqs) {
  const auto fail = [](const std::string& what) { throw std::invalid_argument("[rope] " + what); };
  require_floating(x.dtype(), "rope");
  if (x.ndim() < 3) {
    fail("the array must have at least three dimensions, not " + std::to_string(x.ndim()));
  }
  if (dims <= 0 || dims % 2 != 0 || x.shape(-1) < dims) {
    fail("dims must be even, positive and at most the last extent of " + shape_to_string(x.shape()) +
         ", not " + std::to_string(dims));
  }
  if (base.has_value() == freqs.has_value()) fail("either base or freqs must be given");
  if (freqs && (freqs->ndim() != 1 || freqs->shape(0) != dims / 2)) {
    fail("freqs must have one entry for each of the " + std::to_string(dims / 2) + " pairs");
  }
}

}  // namespace

array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale, int offset,
           const std::optional<array>& freqs, StreamOrDevice s) {
  return rope(x, dims, traditional, base, scale, array(offset), freqs, s);
}

array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale,
           const array& offset, const std::optional<array>& freqs, StreamOrDevice s) {
  check_rope(x, dims, base, freqs);
  if (offset.ndim() > 1 || (offset.ndim() == 1 && offset.shape(0) != 1 && offset.shape(0) != x.shape(0))) {
    throw std::invalid_argument("[rope] an offset of shape " + shape_to_string(offset.shape()) +
                                " is neither a scalar nor one for each of the first extent of " +
                                shape_to_string(x.shape()));
  }
  if (!issubdtype(offset.dtype(), integer))
    throw std::invalid_argument("[rope] the offset must be an integer");
  array start = offset;
  if (offset.ndim() == 1) {
    // [B] becomes [B, 1, ..., 1]: all dimensions of x but the last.
    Shape shape(x.ndim() - 1, Dim(1));
    shape[0] = offset.shape(0);
    start = reshape(offset, std::move(shape), s);
  }
  const array positions = astype(add(arange(x.shape(-2), int32, s), start, s), float32, s);
  return rotate(x, dims, traditional, positions, frequencies(dims, base, scale, freqs, s), s);
}

}  // namespace lazuli::fast
