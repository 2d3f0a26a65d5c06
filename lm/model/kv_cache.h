#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/lm/model/config.h>

namespace lazuli::lm {

/// The keys and values of a text, for each layer [1, heads, capacity, head_dim] of which the first `length`
/// rows count; quantized ones are codes, scales and biases (`quantize`) with as many rows. Memory grows in
/// steps, so that the program that extends it seldom sees new extents; in between it is written in place,
/// since the model is handed the only references (see `give_up`).
class KvCache {
 public:
  static constexpr int step = 256;

  /// `dtype` is that of keys and values, or of the scales and biases of quantized ones.
  KvCache(int layers, int heads, int head_dim, Dtype dtype,
          const std::optional<Quantization>& quantization = std::nullopt);

  /// Arrays that each layer's keys are, and its values.
  static constexpr int parts_of(const std::optional<Quantization>& quantization) {
    return quantization ? 3 : 1;
  }
  /// Throws std::invalid_argument `[cache] ...` where heads of `head_dim` cannot be quantized like that.
  static void check(const Quantization& quantization, int head_dim);

  /// Tokens in the cache.
  int length() const { return length_; }
  int capacity() const { return capacity_; }
  /// What a token takes in all layers.
  std::size_t bytes_a_token() const;
  /// Forgets the text but keeps the memory.
  void clear() { length_ = 0; }
  /// Forgets all of it but the first `length` tokens.
  void cut(int length) { length_ = std::min(length, length_); }
  /// Makes room for `count` tokens beyond `length`.
  void reserve(int count);

  /// Moves keys and values of every layer, in turn, to the end of `arguments`. The cache has no memory until
  /// `take_back`; if that never comes, because the model failed, the text is lost.
  void give_up(std::vector<array>& arguments);
  /// Takes them from `results`, beginning at `first`; the text is `count` tokens longer.
  void take_back(std::vector<array>& results, std::size_t first, int count);

 private:
  /// One of the arrays that keys or values are.
  struct Part {
    int width;
    Dtype dtype;
    std::size_t row_bytes() const {
      return static_cast<std::size_t>(width) * static_cast<std::size_t>(dtype.size());
    }
  };

  array grown(const Part& part, const array* old) const;

  int layers_;
  int heads_;
  std::vector<Part> parts_;  ///< of keys as of values
  int length_ = 0;
  int capacity_ = 0;
  std::vector<array> arrays_;
};

}  // namespace lazuli::lm
