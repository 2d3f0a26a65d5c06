#pragma once

#include <vector>

#include <lazuli/array/array.h>

namespace lazuli::lm {

/// The keys and values of a text, for each layer [1, heads, capacity, head_dim] of which the first `length`
/// rows count. Memory grows in steps, so that the program that extends it seldom sees new extents; in between
/// it is written in place, since the model is handed the only references (see `give_up`).
class KvCache {
 public:
  static constexpr int step = 256;

  KvCache(int layers, int heads, int head_dim, Dtype dtype);

  /// Tokens in the cache.
  int length() const { return length_; }
  int capacity() const { return capacity_; }
  /// Forgets the text but keeps the memory.
  void clear() { length_ = 0; }
  /// Makes room for `count` tokens beyond `length`.
  void reserve(int count);

  /// Moves keys and values of every layer, in turn, to the end of `arguments`. The cache has no memory until
  /// `take_back`; if that never comes, because the model failed, the text is lost.
  void give_up(std::vector<array>& arguments);
  /// Takes them from `results`, beginning at `first`; the text is `count` tokens longer.
  void take_back(std::vector<array>& results, std::size_t first, int count);

 private:
  array grown(const array* old) const;

  int layers_;
  int heads_;
  int head_dim_;
  Dtype dtype_;
  int length_ = 0;
  int capacity_ = 0;
  std::vector<array> arrays_;
};

}  // namespace lazuli::lm
