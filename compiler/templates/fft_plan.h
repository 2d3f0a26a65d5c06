#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lazuli::templates {

/// Rows that are transformed side by side. Element k of all of them takes 2 * fft_lanes floats: the real
/// parts, then the imaginary ones.
inline constexpr int64_t fft_lanes = 16;
inline constexpr int64_t fft_element = 2 * fft_lanes;

/// Where up to `fft_lanes` rows of results go; strides count floats (see Kernels::fft_to_rows).
struct FftRows {
  float* to = nullptr;
  int64_t stride = 0;
  int64_t count = 0;
  bool exchanged = false;
  bool past_caches = false;
};

/// How to transform rows of one length.
class FftPlan {
 public:
  /// From a stock that the process keeps.
  static std::shared_ptr<const FftPlan> of(int64_t length);
  explicit FftPlan(int64_t length);
  /// Whether a length has a prime factor that is too large for stages.
  static bool has_large_factor(int64_t length);

  /// Floats of working memory that `run` needs.
  int64_t memory_size() const;
  /// Transforms `fft_lanes` rows (forward). The result is at the address that is returned, `x` or `memory`,
  /// with room for a multiple of `fft_lanes` elements where `x` has that.
  float* run(float* x, float* memory) const;
  /// The same into rows, by the last stage.
  void run_to_rows(float* x, float* memory, const FftRows& rows) const;

  /// Where the length has a prime factor that is too large for stages: a transform of any length as a cyclic
  /// convolution of one that is a power of two (Bluestein). Arrays of real parts and then imaginary ones.
  bool is_convolution() const { return inner_ != nullptr; }
  int64_t inner_length() const { return inner_length_; }
  const float* chirp() const { return chirp_.data(); }        ///< exp(-πi k² / length)
  const float* spectrum() const { return spectrum_.data(); }  ///< of its conjugate, over the inner length

 private:
  struct Stage {
    int radix;
    int64_t length;               ///< of the transforms that are cut in `radix` parts
    std::vector<float> twiddles;  ///< exp(-2πi jp / length) for each p below length / radix, j from 1: re, im
  };
  void add_stages();
  void plan_convolution();
  float* run_stages(float* x, float* memory, size_t count) const;
  float* run_convolution(float* x, float* memory) const;

  int64_t length_;
  std::vector<Stage> stages_;
  std::shared_ptr<const FftPlan> inner_;
  int64_t inner_length_ = 0;
  std::vector<float> chirp_;
  std::vector<float> spectrum_;
};

/// exp(-2πi numerator / denominator)
void root_of_unity(int64_t numerator, int64_t denominator, float& re, float& im);

}  // namespace lazuli::templates
