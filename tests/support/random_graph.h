#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include <lazuli/lazuli.h>

namespace lazuli::test {

/// Random graphs of a few operations on small arrays, the same for the same seed.
class RandomGraph {
 public:
  /// `wide` takes float32 wherever the graph has something narrower.
  /// With `shake`, which is another random seed, every floating-point result is off by some units in the last
  /// place.
  explicit RandomGraph(uint64_t seed, bool wide = false, uint64_t shake = 0)
      : random_(seed), wide_(wide), shake_(shake), shaking_(shake) {}

  /// Builds the graph's outputs; with `one_by_one`, evaluates every operation as it is made.
  std::vector<array> build(bool one_by_one) {
    one_by_one_ = one_by_one;
    std::vector<array> pool;
    const int inputs = pick(1, 3);
    const Shape shape = random_shape();
    for (int i = 0; i < inputs; ++i) pool.push_back(input(i == 0 ? shape : related(shape)));
    const int operations = pick(2, 14);
    for (int i = 0; i < operations; ++i) {
      try {
        pool.push_back(step(pool));
      } catch (const TooLarge&) {
        pool.push_back(pool.back());
      }
    }
    std::vector<array> outputs{pool.back()};
    const int more = std::max(0, pick(-2, 3));
    for (int i = 0; i < more; ++i) {
      outputs.push_back(pool[static_cast<size_t>(pick(0, static_cast<int>(pool.size()) - 1))]);
    }
    return outputs;
  }

  /// How far fused and unfused results may lie apart: narrow floats are rounded after every operation there.
  double tolerance() const { return narrow_ ? 0.08 : 1e-4; }
  bool is_narrow() const { return narrow_; }

 private:
  int pick(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<uint64_t>(high - low + 1));
  }

  /// Outer products of outer products soon have more elements than there is memory for.
  struct TooLarge {};
  static constexpr size_t most_elements = size_t{1} << 22;

  array done(array a) {
    if (static_cast<size_t>(a.size()) > most_elements) throw TooLarge();
    if (shakes(a.dtype())) a = a * array(static_cast<float>(1 + shake_of(8)), a.dtype());
    if (one_by_one_) a.eval();
    return a;
  }

  /// Adding up n terms in c chains is off by n / c units of the terms' magnitudes at most. c is 64 or more
  /// but for the narrowest vectors, and what a shake changes is taken eight times in the end: n / 512 of
  /// them.
  template <typename Reduce>
  array summed(const array& a, const Reduce& reduce) {
    array result = reduce(a);
    if (shakes(result.dtype()) && shakes(a.dtype())) {
      const double change = shake_of(8 + static_cast<double>(a.size()) / 512);
      result = result + reduce(abs(a)) * array(static_cast<float>(change), result.dtype());
    }
    if (one_by_one_) result.eval();
    return result;
  }

  bool shakes(Dtype dtype) const { return shake_ != 0 && (dtype == float32 || dtype == float64); }
  /// Up to that many units in the last place of float32, either way.
  double shake_of(double units) { return (static_cast<double>(shaking_() % 17) - 8) / 8 * units * 0x1p-23; }

  Shape random_shape() {
    static const int extents[] = {1, 2, 3, 5, 8, 17, 33, 64, 100};
    Shape shape;
    const int rank = pick(1, 3);
    for (int d = 0; d < rank; ++d) shape.push_back(extents[pick(0, 8)]);
    return shape;
  }

  /// A shape that broadcasts with `shape`.
  Shape related(const Shape& shape) {
    Shape result = shape;
    for (Dim& dim : result) {
      if (pick(0, 2) == 0) dim = 1;
    }
    while (result.size() > 1 && pick(0, 3) == 0) result.erase(result.begin());
    return result;
  }

  array input(const Shape& shape) {
    static const Dtype dtypes[] = {float32, float32, float32, float16, bfloat16, float64, int32,
                                   int8,    uint8,   int16,   int64,   uint32,   bool_};
    const Dtype dtype = noted(dtypes[pick(0, 12)]);
    std::vector<float> values(static_cast<size_t>(element_count(shape)));
    for (float& value : values)
      value = static_cast<float>(pick(-64, 64)) / (issubdtype(dtype, floating) ? 16.0f : 4.0f);
    if (dtype == uint8 || dtype == uint32) {
      for (float& value : values) value = std::abs(value);
    }
    array result(values.begin(), shape, dtype);
    result.eval();
    return result;
  }

  static array as_float(const array& a) { return issubdtype(a.dtype(), floating) ? a : astype(a, float32); }

  array step(const std::vector<array>& pool) {
    const array& a = pool[static_cast<size_t>(pick(0, static_cast<int>(pool.size()) - 1))];
    const array& b = pool[static_cast<size_t>(pick(0, static_cast<int>(pool.size()) - 1))];
    const int rank = static_cast<int>(a.ndim());
    switch (pick(0, 19)) {
      case 0:
        return done(binary(a, b, [](const array& x, const array& y) { return x + y; }));
      case 1:
        return done(binary(a, b, [](const array& x, const array& y) { return x - y; }));
      case 2:
        return done(binary(as_float(a), as_float(b),
                           [](const array& x, const array& y) { return tanh(x) * tanh(y); }));
      case 3:
        return done(binary(a, b, [](const array& x, const array& y) { return maximum(x, y); }));
      case 4:
        return done(tanh(as_float(a)));
      case 5:
        return done(sigmoid(as_float(a)));
      case 6:
        return done(exp(-abs(as_float(a))));
      case 7:
        return done(where(a > astype(array(0.5f), a.dtype()), a, astype(array(1.0f), a.dtype())));
      case 8:
        return rank == 0 ? a : rank == 1 ? done(flip(a, 0)) : done(swapaxes(a, 0, rank - 1));
      case 9: {
        Shape start, stop, strides;
        for (Dim dim : a.shape()) {
          const int n = dim;
          start.push_back(n > 2 ? pick(0, 1) : 0);
          stop.push_back(n);
          strides.push_back(n > 4 ? pick(1, 2) : 1);
        }
        return done(slice(a, start, stop, strides));
      }
      case 10:
        return a.size() == 0 ? a : done(reshape(a, {-1}));
      case 11: {
        if (rank == 0) return a;
        const bool keep = pick(0, 1) == 0;
        const int axis = pick(0, rank - 1);
        return summed(tanh(as_float(a)), [&](const array& x) { return sum(x, axis, keep); });
      }
      case 12:
        return rank == 0 ? a : done(max(a, pick(0, rank - 1), pick(0, 1) == 0));
      case 13:
        return rank == 0 ? a : done(softmax(as_float(a), pick(0, rank - 1)));
      case 14:
        return rank == 0 ? a : done(concatenate({a, a * a}, pick(0, rank - 1)));
      case 15: {
        static const Dtype dtypes[] = {float32, bfloat16, float16, float64};
        const Dtype dtype = noted(dtypes[pick(0, 3)]);
        return done(astype(as_float(a), dtype));
      }
      case 16: {
        if (rank == 0) return a;
        const int n = a.shape(0);
        if (n == 0) return a;
        return done(take(a, array({0, n - 1, -1}, int32), 0));
      }
      case 17:
        return done(product(a));
      case 18:
        return rank < 2 ? a
                        : done(broadcast_to(
                              summed(as_float(a), [](const array& x) { return sum(x, 0, true); }) / 64.0f,
                              a.shape()));
      default:
        return done(as_float(a) - summed(as_float(a), [](const array& x) { return mean(x); }));
    }
  }

  /// A matrix product of something, by itself or by new weights.
  array product(const array& a) {
    array left = tanh(as_float(a));
    while (left.ndim() < 2) left = expand_dims(left, 0);
    const int rank = static_cast<int>(left.ndim());
    const int inner = left.shape(rank - 1);
    if (pick(0, 1) == 0) return matmul(left, swapaxes(left, rank - 2, rank - 1));
    const array weights = astype(input({inner, pick(1, 40)}), left.dtype());
    return matmul(left, weights / 8.0f);
  }

  template <typename F>
  array binary(const array& a, const array& b, F&& f) {
    // Operands that do not broadcast are combined by their first elements instead.
    try {
      (void)broadcast_shapes(a.shape(), b.shape());
    } catch (const std::invalid_argument&) {
      return f(a, summed(b, [](const array& x) { return sum(x); }));
    }
    return f(a, b);
  }

  Dtype noted(Dtype dtype) {
    if (dtype != float16 && dtype != bfloat16) return dtype;
    narrow_ = true;
    return wide_ ? Dtype(float32) : dtype;
  }

  std::mt19937_64 random_;
  bool wide_ = false;
  uint64_t shake_ = 0;
  std::mt19937_64 shaking_;
  bool narrow_ = false;
  bool one_by_one_ = false;
};

}  // namespace lazuli::test
