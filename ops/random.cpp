#include <lazuli/ops/random.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/factorizations.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/sorting.h>
#include <lazuli/ops/threefry.h>

namespace lazuli::random {

namespace {

void require_floating(Dtype dtype, const char* name) {
  if (!issubdtype(dtype, floating)) {
    throw std::invalid_argument("[" + std::string(name) + "] the dtype must be real floating point, not " +
                                std::string(dtype_name(dtype)));
  }
}

void require_fit(const Shape& parameters, const Shape& shape, const char* name) {
  if (!broadcasts_to(parameters, shape)) {
    throw std::invalid_argument("[" + std::string(name) + "] parameters of shape " +
                                shape_to_string(parameters) + " do not broadcast to " +
                                shape_to_string(shape));
  }
}

/// The largest number below 1, as float32.
float below_one(Dtype dtype) {
  if (dtype == float16) return 1.0f - 0x1p-11f;
  if (dtype == bfloat16) return 1.0f - 0x1p-8f;
  if (dtype == float32) return 1.0f - 0x1p-24f;
  throw std::runtime_error("[uniform] " + std::string(dtype_name(dtype)) + " is not supported");
}

/// Uniform in (-1, 1): what the inverse error function takes.
array symmetric_uniform(const Shape& shape, const std::optional<array>& key, StreamOrDevice s) {
  return uniform(array(std::nextafter(-1.0f, 0.0f)), array(1.0f), shape, float32, key, s);
}

array complex_normal(Shape shape, const std::optional<array>& loc, const std::optional<array>& scale,
                     const std::optional<array>& key, StreamOrDevice s) {
  // Both parts have half the variance.
  shape.push_back(2);
  array samples = view(erfinv(symmetric_uniform(shape, key, s), s), complex64, s);
  samples = squeeze(samples, -1, s);
  if (scale) samples = multiply(*scale, samples, s);
  return loc ? add(*loc, samples, s) : samples;
}

}  // namespace

KeySequence::KeySequence(uint64_t seed) {
  this->seed(seed);
}

void KeySequence::seed(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  key_[0] = static_cast<uint32_t>(seed >> 32);
  key_[1] = static_cast<uint32_t>(seed);
}

array KeySequence::next() {
  const std::lock_guard lock(mutex_);
  // What `split` gives, without a graph: four words from the counters (0, 2) and (1, 3).
  const std::pair<uint32_t, uint32_t> key{key_[0], key_[1]};
  const auto even = threefry2x32(key, {0, 2});
  const auto odd = threefry2x32(key, {1, 3});
  key_[0] = even.first;
  key_[1] = odd.first;
  return array({even.second, odd.second});
}

KeySequence& KeySequence::default_() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  static KeySequence sequence(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
  return sequence;
}

array key(uint64_t seed) {
  return array({static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)});
}

void seed(uint64_t seed) {
  KeySequence::default_().seed(seed);
}

array bits(const Shape& shape, int width, const std::optional<array>& key, StreamOrDevice s) {
  const StreamContext on(s);
  if (width != 1 && width != 2 && width != 4) {
    throw std::invalid_argument("[bits] the width must be 1, 2 or 4 bytes, not " + std::to_string(width));
  }
  for (Dim extent : shape) {
    if (extent < 0) throw std::invalid_argument("[bits] an extent is negative: " + shape_to_string(shape));
  }
  const array words = key ? *key : KeySequence::default_().next();
  if (words.dtype() != uint32 || !(words.shape() == Shape{2})) {
    throw std::invalid_argument("[bits] the key must be uint32 of shape (2,), not " +
                                std::string(dtype_name(words.dtype())) + " of shape " +
                                shape_to_string(words.shape()));
  }
  return lazuli::apply(make_ref<RandomBits>(shape, width), {take(words, 0, 0, s), take(words, 1, 0, s)});
}

std::pair<array, array> split(const array& key, StreamOrDevice s) {
  const array keys = random::split(key, 2, s);
  return {take(keys, 0, 0, s), take(keys, 1, 0, s)};
}

array split(const array& key, int num, StreamOrDevice s) {
  return bits({num, 2}, 4, key, s);
}

array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype,
              const std::optional<array>& key, StreamOrDevice s) {
  require_floating(dtype, "uniform");
  const array from = promoted(low, dtype, s);
  const array range = subtract(promoted(high, dtype, s), from, s);
  require_fit(range.shape(), shape, "uniform");
  // The largest draws would round to 1, which is out of the interval.
  const array upper(below_one(dtype));
  const array scale(static_cast<float>(std::numeric_limits<uint32_t>::max()));
  const array unit = minimum(divide(bits(shape, 4, key, s), scale, s), upper, s);
  return add(multiply(range, astype(unit, dtype, s), s), from, s);
}

array uniform(const Shape& shape, Dtype dtype, const std::optional<array>& key, StreamOrDevice s) {
  return uniform(array(0.0f, dtype), array(1.0f, dtype), shape, dtype, key, s);
}

array normal(const Shape& shape, Dtype dtype, const std::optional<array>& loc,
             const std::optional<array>& scale, const std::optional<array>& key, StreamOrDevice s) {
  if (dtype == complex64) return complex_normal(shape, loc, scale, key, s);
  require_floating(dtype, "normal");
  const array samples = astype(erfinv(symmetric_uniform(shape, key, s), s), dtype, s);
  array factor(std::sqrt(2.0), dtype);
  if (scale) factor = multiply(factor, promoted(*scale, dtype, s), s);
  const array scaled = multiply(factor, samples, s);
  return loc ? add(promoted(*loc, dtype, s), scaled, s) : scaled;
}

array normal(const Shape& shape, Dtype dtype, const float loc, const float scale,
             const std::optional<array>& key, StreamOrDevice s) {
  const auto given = [&](float value, float usual) {
    return value == usual ? std::nullopt : std::make_optional(array(value, dtype));
  };
  return normal(shape, dtype, given(loc, 0), given(scale, 1), key, s);
}

array multivariate_normal(const array& mean, const array& cov, const Shape& shape, Dtype dtype,
                          const std::optional<array>& key, StreamOrDevice s) {
  const auto fail = [](const std::string& what) {
    throw std::invalid_argument("[multivariate_normal] " + what);
  };
  if (dtype != float32) fail("the dtype must be float32, not " + std::string(dtype_name(dtype)));
  if (mean.ndim() < 1) fail("the mean must have at least one dimension");
  if (cov.ndim() < 2) fail("the covariance must have at least two dimensions");
  const Dim n = mean.shape()[mean.ndim() - 1];
  if (cov.shape()[cov.ndim() - 1] != n || cov.shape()[cov.ndim() - 2] != n) {
    fail("a covariance of shape " + shape_to_string(cov.shape()) + " does not fit a mean of shape " +
         shape_to_string(mean.shape()));
  }
  Shape drawn = broadcast_shapes(Shape(mean.shape().begin(), mean.shape().end() - 1),
                                 Shape(cov.shape().begin(), cov.shape().end() - 2));
  drawn = broadcast_shapes(drawn, shape);
  drawn.push_back(n);
  const std::vector<array> factors = linalg::svd(astype(cov, float32, s), true, s);
  const array scaled = multiply(factors[0], expand_dims(sqrt(factors[1], s), -2, s), s);
  const array root = matmul(scaled, factors[2], s);
  const array samples = expand_dims(normal(drawn, dtype, key, s), -2, s);
  return add(astype(mean, dtype, s), squeeze(matmul(samples, root, s), -2, s), s);
}

array randint(const array& low, const array& high, const Shape& shape, Dtype dtype,
              const std::optional<array>& key, StreamOrDevice s) {
  if (issubdtype(dtype, inexact)) {
    throw std::invalid_argument("[randint] the dtype must be an integer or bool, not " +
                                std::string(dtype_name(dtype)));
  }
  // Modulo the width of the interval, which is exact where floating point would not be. As an unsigned
  // number it is right even where it overflows int64.
  const array from = astype(low, int64, s);
  const array width = subtract(astype(high, int64, s), from, s);
  require_fit(width.shape(), shape, "randint");
  const Dtype order = issubdtype(dtype, unsignedinteger) ? uint64 : int64;
  const array is_empty = less_equal(astype(high, order, s), astype(low, order, s), s);
  const array modulus = where(is_empty, array(uint64_t{1}), astype(width, uint64, s), s);

  const bool is_wide = dtype == int64 || dtype == uint64;
  const auto draw = [&](const std::optional<array>& from_key) {
    return astype(bits(shape, 4, from_key, s), uint64, s);
  };
  const array number = [&] {
    if (!is_wide) return draw(key);
    std::optional<array> low_key;
    std::optional<array> high_key;
    if (key) {
      auto keys = random::split(*key, s);
      low_key = keys.first;
      high_key = keys.second;
    }
    const array low_bits = draw(low_key);
    return bitwise_or(left_shift(draw(high_key), array(uint64_t{32}), s), low_bits, s);
  }();
  return astype(add(astype(from, uint64, s), remainder(number, modulus, s), s), dtype, s);
}

array bernoulli(const array& p, const Shape& shape, const std::optional<array>& key, StreamOrDevice s) {
  require_floating(p.dtype(), "bernoulli");
  require_fit(p.shape(), shape, "bernoulli");
  // Above every draw, so that a probability of 1 is always true.
  const array upper(std::nextafter(static_cast<float>(std::numeric_limits<uint32_t>::max()),
                                   std::numeric_limits<float>::max()));
  return less(bits(shape, 4, key, s), multiply(p, upper, s), s);
}

array bernoulli(const array& p, const std::optional<array>& key, StreamOrDevice s) {
  return bernoulli(p, p.shape(), key, s);
}

array bernoulli(const std::optional<array>& key, StreamOrDevice s) {
  return bernoulli(array(0.5f), key, s);
}

array truncated_normal(const array& lower, const array& upper, const Shape& shape, Dtype dtype,
                       const std::optional<array>& key, StreamOrDevice s) {
  require_floating(dtype, "truncated_normal");
  const array sqrt2(std::sqrt(2.0), dtype);
  const array low = promoted(lower, dtype, s);
  const array high = promoted(upper, dtype, s);
  const array from = erf(divide(low, sqrt2, s), s);
  const array to = erf(divide(high, sqrt2, s), s);
  const array samples = multiply(sqrt2, erfinv(uniform(from, to, shape, dtype, key, s), s), s);
  return maximum(minimum(high, samples, s), low, s);
}

array truncated_normal(const array& lower, const array& upper, Dtype dtype, const std::optional<array>& key,
                       StreamOrDevice s) {
  return truncated_normal(lower, upper, broadcast_shapes(lower.shape(), upper.shape()), dtype, key, s);
}

array gumbel(const Shape& shape, Dtype dtype, const std::optional<array>& key, StreamOrDevice s) {
  return negative(log(negative(log(uniform(shape, dtype, key, s), s), s), s), s);
}

namespace {

array draw_categories(const array& logits, int axis, const Shape& shape, const std::optional<array>& key,
                      StreamOrDevice s) {
  // The largest of the logits with Gumbel noise is a draw from their softmax.
  Shape noise_shape = shape;
  const size_t position = static_cast<size_t>(axis) + shape.size() + 1 - logits.ndim();
  noise_shape.insert(noise_shape.begin() + position, logits.shape()[axis]);
  return argmax(add(gumbel(noise_shape, float32, key, s), logits, s), static_cast<int>(position), false, s);
}

}  // namespace

array categorical(const array& logits, int axis, const Shape& shape, const std::optional<array>& key,
                  StreamOrDevice s) {
  axis = normalize_axis(axis, logits.ndim(), "categorical");
  Shape rows = logits.shape();
  rows.erase(rows.begin() + axis);
  require_fit(rows, shape, "categorical");
  return draw_categories(logits, axis, shape, key, s);
}

array categorical(const array& logits, int axis, int num_samples, const std::optional<array>& key,
                  StreamOrDevice s) {
  axis = normalize_axis(axis, logits.ndim(), "categorical");
  Shape shape = logits.shape();
  shape.erase(shape.begin() + axis);
  shape.push_back(num_samples);
  return draw_categories(expand_dims(logits, -1, s), axis, shape, key, s);
}

array categorical(const array& logits, int axis, const std::optional<array>& key, StreamOrDevice s) {
  axis = normalize_axis(axis, logits.ndim(), "categorical");
  Shape shape = logits.shape();
  shape.erase(shape.begin() + axis);
  return draw_categories(logits, axis, shape, key, s);
}

array laplace(const Shape& shape, Dtype dtype, const float loc, const float scale,
              const std::optional<array>& key, StreamOrDevice s) {
  require_floating(dtype, "laplace");
  const array u = symmetric_uniform(shape, key, s);
  array samples = astype(multiply(sign(u, s), log1p(negative(abs(u, s), s), s), s), dtype, s);
  if (scale != 1) samples = multiply(array(scale, dtype), samples, s);
  return loc == 0 ? samples : add(array(loc, dtype), samples, s);
}

array permutation(const array& x, int axis, const std::optional<array>& key, StreamOrDevice s) {
  axis = normalize_axis(axis, x.ndim(), "permutation");
  return take(x, permutation(x.shape(axis), key, s), axis, s);
}

array permutation(int x, const std::optional<array>& key, StreamOrDevice s) {
  return argsort(bits({x}, key, s), s);
}

}  // namespace lazuli::random
