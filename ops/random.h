#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Random numbers from counters: the same key gives the same numbers (threefry2x32, in the order in which MLX
/// and JAX count). Functions without a key take the next one of the default sequence.
namespace lazuli::random {

/// A sequence of keys. Threads may share it.
class KeySequence {
 public:
  explicit KeySequence(uint64_t seed);
  void seed(uint64_t seed);
  array next();
  /// The process's own, seeded by the time.
  static KeySequence& default_();

 private:
  std::mutex mutex_;
  uint32_t key_[2];
};

/// The key for a seed: uint32 of shape (2,).
array key(uint64_t seed);
/// Seeds the default sequence.
void seed(uint64_t seed);

/// Uniform bits: uint32, uint16 or uint8 for a width of 4, 2 or 1 bytes.
array bits(const Shape& shape, int width, const std::optional<array>& key = std::nullopt,
           StreamOrDevice s = {});
inline array bits(const Shape& shape, const std::optional<array>& key = std::nullopt, StreamOrDevice s = {}) {
  return bits(shape, 4, key, s);
}
/// Two keys from one.
std::pair<array, array> split(const array& key, StreamOrDevice s = {});
/// `num` keys from one, of shape (num, 2).
array split(const array& key, int num, StreamOrDevice s = {});

/// Uniform in [low, high), which broadcast to `shape`; float16, bfloat16 or float32.
array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype = float32,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array uniform(const Shape& shape, Dtype dtype, const std::optional<array>& key = std::nullopt,
              StreamOrDevice s = {});
inline array uniform(const Shape& shape, const std::optional<array>& key = std::nullopt,
                     StreamOrDevice s = {}) {
  return uniform(shape, float32, key, s);
}

/// Normal with mean `loc` and standard deviation `scale`; floating point or complex64.
array normal(const Shape& shape, Dtype dtype, const std::optional<array>& loc,
             const std::optional<array>& scale, const std::optional<array>& key, StreamOrDevice s = {});
array normal(const Shape& shape, Dtype dtype, const float loc, const float scale,
             const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
inline array normal(const Shape& shape, const float loc, const float scale,
                    const std::optional<array>& key = std::nullopt, StreamOrDevice s = {}) {
  return normal(shape, float32, loc, scale, key, s);
}
inline array normal(const Shape& shape, const Dtype dtype, const std::optional<array>& key = std::nullopt,
                    StreamOrDevice s = {}) {
  return normal(shape, dtype, std::nullopt, std::nullopt, key, s);
}
inline array normal(const Shape& shape, const std::optional<array>& key = std::nullopt,
                    StreamOrDevice s = {}) {
  return normal(shape, float32, std::nullopt, std::nullopt, key, s);
}

/// Normal vectors: `mean` [..., n] and `cov` [..., n, n], a symmetric positive semidefinite matrix, broadcast
/// with `shape`, to which the result adds an axis of n. Made of independent normal numbers and the root of
/// `cov` by its singular values. Throws std::invalid_argument for shapes that do not fit, and unless `dtype`
/// is float32.
array multivariate_normal(const array& mean, const array& cov, const Shape& shape, Dtype dtype,
                          const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});

/// Integers (or bools) uniform in [low, high), which broadcast to `shape`; `low` where the interval is empty.
array randint(const array& low, const array& high, const Shape& shape, Dtype dtype = int32,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});

/// True with probability `p`, which is floating point and broadcasts to `shape`.
array bernoulli(const array& p, const Shape& shape, const std::optional<array>& key = std::nullopt,
                StreamOrDevice s = {});
array bernoulli(const array& p, const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array bernoulli(const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
template <typename T>
requires std::is_arithmetic_v<T> array bernoulli(T p, const std::optional<array>& key = std::nullopt,
                                                 StreamOrDevice s = {}) {
  return bernoulli(array(p), key, s);
}
template <typename T>
requires std::is_arithmetic_v<T> array bernoulli(T p, const Shape& shape,
                                                 const std::optional<array>& key = std::nullopt,
                                                 StreamOrDevice s = {}) {
  return bernoulli(array(p), shape, key, s);
}

/// Standard normal, limited to [lower, upper].
array truncated_normal(const array& lower, const array& upper, const Shape& shape, Dtype dtype = float32,
                       const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array truncated_normal(const array& lower, const array& upper, Dtype dtype = float32,
                       const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
/// Standard Gumbel.
array gumbel(const Shape& shape, Dtype dtype = float32, const std::optional<array>& key = std::nullopt,
             StreamOrDevice s = {});
/// Positions along `axis`, uint32, drawn with probabilities softmax(logits). `shape` is what the logits
/// without that axis broadcast to.
array categorical(const array& logits, int axis, const Shape& shape,
                  const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
/// `num_samples` draws for each row of logits, along a new last axis.
array categorical(const array& logits, int axis, int num_samples,
                  const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array categorical(const array& logits, int axis = -1, const std::optional<array>& key = std::nullopt,
                  StreamOrDevice s = {});

/// Laplace with mean `loc` and the given scale.
array laplace(const Shape& shape, Dtype dtype, const float loc, const float scale,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
inline array laplace(const Shape& shape, const float loc, const float scale,
                     const std::optional<array>& key = std::nullopt, StreamOrDevice s = {}) {
  return laplace(shape, float32, loc, scale, key, s);
}
inline array laplace(const Shape& shape, const Dtype dtype, const std::optional<array>& key = std::nullopt,
                     StreamOrDevice s = {}) {
  return laplace(shape, dtype, 0.0f, 1.0f, key, s);
}
inline array laplace(const Shape& shape, const std::optional<array>& key = std::nullopt,
                     StreamOrDevice s = {}) {
  return laplace(shape, float32, 0.0f, 1.0f, key, s);
}

/// The slices of `x` along `axis` in random order, or 0, ..., x - 1 (uint32) in random order.
array permutation(const array& x, int axis = 0, const std::optional<array>& key = std::nullopt,
                  StreamOrDevice s = {});
array permutation(int x, const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});

}  // namespace lazuli::random
