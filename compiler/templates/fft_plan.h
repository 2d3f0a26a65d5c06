#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lazuli::templates {

/// Complex numbers, real and imaginary parts apart.
struct Parts {
  float* re = nullptr;
  float* im = nullptr;
};

/// How to transform rows of one length.
class FftPlan {
 public:
  /// From a stock that the process keeps.
  static std::shared_ptr<const FftPlan> of(int64_t length);
  explicit FftPlan(int64_t length);

  /// Floats of working memory that `run` needs.
  int64_t memory_size() const;
  /// Transforms `x` (forward), in place.
  void run(Parts x, float* memory) const;

 private:
  struct Stage {
    int radix;
    int64_t length;               ///< of the transforms that are cut in `radix` parts
    std::vector<float> twiddles;  ///< exp(-2πi jp / length) for each p below length / radix, j from 1: re, im
  };
  void add_stages();
  void plan_convolution();
  void run_stages(Parts x, float* memory) const;
  void run_convolution(Parts x, float* memory) const;

  int64_t length_;
  std::vector<Stage> stages_;
  // Bluestein: a transform of any length as a cyclic convolution of one that is a power of two.
  std::shared_ptr<const FftPlan> inner_;
  int64_t inner_length_ = 0;
  std::vector<float> chirp_;     ///< exp(-πi k² / length): re, then im
  std::vector<float> spectrum_;  ///< of its conjugate, over the inner length: re, then im
};

}  // namespace lazuli::templates
