#include <lazuli/compiler/templates/fft_plan.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>

#include <lazuli/compiler/lru_cache.h>

namespace lazuli::templates {

namespace {

constexpr int largest_radix = 13;

/// exp(-2πi numerator / denominator)
void root_of_unity(int64_t numerator, int64_t denominator, float& re, float& im) {
  const double angle =
      -2 * std::numbers::pi * static_cast<double>(numerator % denominator) / static_cast<double>(denominator);
  re = static_cast<float>(std::cos(angle));
  im = static_cast<float>(std::sin(angle));
}

/// What a stage reads and writes: transforms of `length`, `stride` of them side by side.
struct Step {
  Parts in;
  Parts out;
  int64_t length;
  int64_t stride;
  const float* twiddles;
};

/// The part of a stage that all radices share: `combine` makes the sums of `radix` elements, which are
/// multiplied by their twiddles. (Stockham's form: the result is in order.)
template <int radix, typename Combine>
void run_stage(const Step& step, const Combine& combine) {
  const int64_t parts = step.length / radix;
  const int64_t s = step.stride;
  for (int64_t p = 0; p < parts; ++p) {
    const float* twiddles = step.twiddles + p * 2 * (radix - 1);
    const float* from_re = step.in.re + s * p;
    const float* from_im = step.in.im + s * p;
    float* to_re = step.out.re + s * radix * p;
    float* to_im = step.out.im + s * radix * p;
    for (int64_t q = 0; q < s; ++q) {
      float re[radix], im[radix], sum_re[radix], sum_im[radix];
      for (int k = 0; k < radix; ++k) {
        re[k] = from_re[q + s * parts * k];
        im[k] = from_im[q + s * parts * k];
      }
      combine(re, im, sum_re, sum_im);
      to_re[q] = sum_re[0];
      to_im[q] = sum_im[0];
      for (int j = 1; j < radix; ++j) {
        const float wr = twiddles[2 * j - 2];
        const float wi = twiddles[2 * j - 1];
        to_re[q + s * j] = sum_re[j] * wr - sum_im[j] * wi;
        to_im[q + s * j] = sum_re[j] * wi + sum_im[j] * wr;
      }
    }
  }
}

void run_radix2(const Step& step) {
  run_stage<2>(step, [](const float* re, const float* im, float* sum_re, float* sum_im) {
    sum_re[0] = re[0] + re[1];
    sum_im[0] = im[0] + im[1];
    sum_re[1] = re[0] - re[1];
    sum_im[1] = im[0] - im[1];
  });
}

void run_radix4(const Step& step) {
  run_stage<4>(step, [](const float* re, const float* im, float* sum_re, float* sum_im) {
    const float even_re = re[0] + re[2], even_im = im[0] + im[2];
    const float odd_re = re[1] + re[3], odd_im = im[1] + im[3];
    const float even_difference_re = re[0] - re[2], even_difference_im = im[0] - im[2];
    const float odd_difference_re = re[1] - re[3], odd_difference_im = im[1] - im[3];
    sum_re[0] = even_re + odd_re;
    sum_im[0] = even_im + odd_im;
    sum_re[1] = even_difference_re + odd_difference_im;
    sum_im[1] = even_difference_im - odd_difference_re;
    sum_re[2] = even_re - odd_re;
    sum_im[2] = even_im - odd_im;
    sum_re[3] = even_difference_re - odd_difference_im;
    sum_im[3] = even_difference_im + odd_difference_re;
  });
}

/// An odd radix: elements k and radix - k share their products.
template <int radix>
void run_odd(const Step& step) {
  constexpr int half = radix / 2;
  float cosines[radix], sines[radix];
  for (int k = 0; k < radix; ++k) root_of_unity(k, radix, cosines[k], sines[k]);
  run_stage<radix>(step, [&](const float* re, const float* im, float* sum_re, float* sum_im) {
    float plus_re[half], plus_im[half], minus_re[half], minus_im[half];
    sum_re[0] = re[0];
    sum_im[0] = im[0];
    for (int k = 0; k < half; ++k) {
      plus_re[k] = re[k + 1] + re[radix - 1 - k];
      plus_im[k] = im[k + 1] + im[radix - 1 - k];
      minus_re[k] = re[k + 1] - re[radix - 1 - k];
      minus_im[k] = im[k + 1] - im[radix - 1 - k];
      sum_re[0] += plus_re[k];
      sum_im[0] += plus_im[k];
    }
    for (int j = 1; j <= half; ++j) {
      float even_re = re[0], even_im = im[0], odd_re = 0, odd_im = 0;
      for (int k = 0; k < half; ++k) {
        const int at = j * (k + 1) % radix;
        even_re += plus_re[k] * cosines[at];
        even_im += plus_im[k] * cosines[at];
        odd_re -= minus_im[k] * sines[at];
        odd_im += minus_re[k] * sines[at];
      }
      sum_re[j] = even_re + odd_re;
      sum_im[j] = even_im + odd_im;
      sum_re[radix - j] = even_re - odd_re;
      sum_im[radix - j] = even_im - odd_im;
    }
  });
}

void run_radix(int radix, const Step& step) {
  switch (radix) {
    case 2:
      return run_radix2(step);
    case 3:
      return run_odd<3>(step);
    case 4:
      return run_radix4(step);
    case 5:
      return run_odd<5>(step);
    case 7:
      return run_odd<7>(step);
    case 11:
      return run_odd<11>(step);
    default:
      return run_odd<13>(step);
  }
}

/// The radices of a length, or none where it has a prime factor that is too large.
std::vector<int> radices_of(int64_t length) {
  std::vector<int> radices;
  for (const int radix : {4, 2, 3, 5, 7, 11, largest_radix}) {
    for (; length % radix == 0; length /= radix) radices.push_back(radix);
  }
  if (length != 1) radices.clear();
  return radices;
}

}  // namespace

std::shared_ptr<const FftPlan> FftPlan::of(int64_t length) {
  constexpr size_t most_kept = 64;
  static std::mutex mutex;
  static LruCache<int64_t, std::shared_ptr<const FftPlan>> plans(most_kept);
  {
    const std::lock_guard lock(mutex);
    if (auto* const known = plans.find(length)) return *known;
  }
  auto plan = std::make_shared<const FftPlan>(length);
  const std::lock_guard lock(mutex);
  plans.insert(length, plan);
  return plan;
}

FftPlan::FftPlan(int64_t length) : length_(length) {
  if (length > 1) add_stages();
  if (length > 1 && stages_.empty()) plan_convolution();
}

void FftPlan::add_stages() {
  int64_t left = length_;
  for (const int radix : radices_of(length_)) {
    Stage stage{radix, left, {}};
    for (int64_t p = 0; p < left / radix; ++p) {
      for (int j = 1; j < radix; ++j) {
        float re = 0;
        float im = 0;
        root_of_unity(j * p, left, re, im);
        stage.twiddles.push_back(re);
        stage.twiddles.push_back(im);
      }
    }
    stages_.push_back(std::move(stage));
    left /= radix;
  }
}

void FftPlan::plan_convolution() {
  inner_length_ = 1;
  while (inner_length_ < 2 * length_ - 1) inner_length_ *= 2;
  inner_ = FftPlan::of(inner_length_);
  chirp_.resize(static_cast<size_t>(2 * length_));
  spectrum_.assign(static_cast<size_t>(2 * inner_length_), 0.0f);
  for (int64_t k = 0; k < length_; ++k) {
    float re = 0;
    float im = 0;
    root_of_unity(k * k % (2 * length_), 2 * length_, re, im);
    chirp_[static_cast<size_t>(k)] = re;
    chirp_[static_cast<size_t>(length_ + k)] = im;
    for (const int64_t at : {k, (inner_length_ - k) % inner_length_}) {
      spectrum_[static_cast<size_t>(at)] = re;
      spectrum_[static_cast<size_t>(inner_length_ + at)] = -im;
    }
  }
  std::vector<float> memory(static_cast<size_t>(inner_->memory_size()));
  inner_->run({spectrum_.data(), spectrum_.data() + inner_length_}, memory.data());
}

int64_t FftPlan::memory_size() const {
  return inner_ ? 2 * inner_length_ + inner_->memory_size() : 2 * length_;
}

void FftPlan::run(Parts x, float* memory) const {
  inner_ ? run_convolution(x, memory) : run_stages(x, memory);
}

void FftPlan::run_stages(Parts x, float* memory) const {
  Parts from = x;
  Parts to{memory, memory + length_};
  int64_t stride = 1;
  for (const Stage& stage : stages_) {
    run_radix(stage.radix, {from, to, stage.length, stride, stage.twiddles.data()});
    std::swap(from, to);
    stride *= stage.radix;
  }
  if (from.re != x.re) {
    std::copy_n(from.re, length_, x.re);
    std::copy_n(from.im, length_, x.im);
  }
}

void FftPlan::run_convolution(Parts x, float* memory) const {
  Parts y{memory, memory + inner_length_};
  float* const rest = memory + 2 * inner_length_;
  const float* const chirp_re = chirp_.data();
  const float* const chirp_im = chirp_re + length_;
  for (int64_t k = 0; k < length_; ++k) {
    y.re[k] = x.re[k] * chirp_re[k] - x.im[k] * chirp_im[k];
    y.im[k] = x.re[k] * chirp_im[k] + x.im[k] * chirp_re[k];
  }
  std::fill(y.re + length_, y.re + inner_length_, 0.0f);
  std::fill(y.im + length_, y.im + inner_length_, 0.0f);
  inner_->run(y, rest);
  const float* const other_re = spectrum_.data();
  const float* const other_im = other_re + inner_length_;
  const float scale = 1 / static_cast<float>(inner_length_);
  for (int64_t k = 0; k < inner_length_; ++k) {
    const float re = y.re[k] * other_re[k] - y.im[k] * other_im[k];
    y.im[k] = (y.re[k] * other_im[k] + y.im[k] * other_re[k]) * scale;
    y.re[k] = re * scale;
  }
  inner_->run({y.im, y.re}, rest);  // parts exchanged: the inverse
  for (int64_t k = 0; k < length_; ++k) {
    x.re[k] = y.re[k] * chirp_re[k] - y.im[k] * chirp_im[k];
    x.im[k] = y.re[k] * chirp_im[k] + y.im[k] * chirp_re[k];
  }
}

}  // namespace lazuli::templates
