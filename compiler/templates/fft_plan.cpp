#include <lazuli/compiler/templates/fft_plan.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>

#include <lazuli/compiler/lru_cache.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

constexpr int largest_radix = 13;

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

void root_of_unity(int64_t numerator, int64_t denominator, float& re, float& im) {
  const double angle =
      -2 * std::numbers::pi * static_cast<double>(numerator % denominator) / static_cast<double>(denominator);
  re = static_cast<float>(std::cos(angle));
  im = static_cast<float>(std::sin(angle));
}

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

bool FftPlan::has_large_factor(int64_t length) {
  return length > 1 && radices_of(length).empty();
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
  // Among the rows of a batch, the others of which are zero.
  const Scratch memory(static_cast<size_t>(fft_element * inner_length_ + inner_->memory_size()) *
                       sizeof(float));
  float* const rows = memory.as<float>();
  std::fill_n(rows, fft_element * inner_length_, 0.0f);
  const auto each = [&](auto&& f) {
    for (int64_t k = 0; k < inner_length_; ++k) {
      f(rows[k * fft_element], spectrum_[static_cast<size_t>(k)]);
      f(rows[k * fft_element + fft_lanes], spectrum_[static_cast<size_t>(inner_length_ + k)]);
    }
  };
  each([](float& row, float& value) { row = value; });
  inner_->run(rows, rows + fft_element * inner_length_);
  each([](float& row, float& value) { value = row; });
}

int64_t FftPlan::memory_size() const {
  return inner_ ? fft_element * inner_length_ + inner_->memory_size() : fft_element * length_;
}

void FftPlan::run(float* x, float* memory) const {
  inner_ ? run_convolution(x, memory) : run_stages(x, memory);
}

void FftPlan::run_stages(float* x, float* memory) const {
  const auto run = kernels().fft_stage;
  float* from = x;
  float* to = memory;
  int64_t stride = 1;
  for (const Stage& stage : stages_) {
    run({stage.radix, stage.length, stride, stage.twiddles.data(), from, to});
    std::swap(from, to);
    stride *= stage.radix;
  }
  if (from != x) std::copy_n(from, fft_element * length_, x);
}

void FftPlan::run_convolution(float* x, float* memory) const {
  float* const y = memory;
  float* const rest = memory + fft_element * inner_length_;
  // y = x * w for complex numbers w, one for each element of all rows; scaled.
  const auto multiply = [](const float* from, int64_t count, const float* re, const float* im, float scale,
                           float* to) {
    for (int64_t k = 0; k < count; ++k, from += fft_element, to += fft_element) {
      const float wr = re[k] * scale;
      const float wi = im[k] * scale;
      for (int64_t lane = 0; lane < fft_lanes; ++lane) {
        const float xr = from[lane];
        const float xi = from[fft_lanes + lane];
        to[lane] = xr * wr - xi * wi;
        to[fft_lanes + lane] = xr * wi + xi * wr;
      }
    }
  };
  const auto exchange = [&] {
    for (int64_t k = 0; k < inner_length_; ++k) {
      std::swap_ranges(y + k * fft_element, y + k * fft_element + fft_lanes, y + k * fft_element + fft_lanes);
    }
  };
  multiply(x, length_, chirp_.data(), chirp_.data() + length_, 1, y);
  std::fill(y + fft_element * length_, y + fft_element * inner_length_, 0.0f);
  inner_->run(y, rest);
  multiply(y, inner_length_, spectrum_.data(), spectrum_.data() + inner_length_,
           1 / static_cast<float>(inner_length_), y);
  exchange();  // the inverse is the transform with real and imaginary parts exchanged
  inner_->run(y, rest);
  exchange();
  multiply(y, length_, chirp_.data(), chirp_.data() + length_, 1, x);
}

}  // namespace lazuli::templates
