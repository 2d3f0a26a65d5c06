#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lazuli::templates {

/// A length as a product of two, each of which makes good use of rows side by side, and the factors
/// exp(-2πi k1 i2 / length) between their transforms.
class FftFactors {
 public:
  /// From a stock that the process keeps; null for lengths that have no such product.
  static std::shared_ptr<const FftFactors> of(int64_t length);
  FftFactors(int64_t first, int64_t second);

  int64_t first() const { return first_; }
  int64_t second() const { return second_; }
  /// The factors of columns `fft_lanes` * block and following, for all k1, as products of these two.
  const float* of_block(int64_t block) const { return blocks_.data() + block * first_ * 2; }  ///< re, im
  const float* of_lanes() const { return lanes_.data(); }

 private:
  int64_t first_;
  int64_t second_;
  // A factor is the product of that of the block's first column and that of the column within the block.
  std::vector<float> blocks_;  ///< [block][k1]: re, im
  std::vector<float> lanes_;   ///< [k1]: re of the lanes, then im
};

}  // namespace lazuli::templates
