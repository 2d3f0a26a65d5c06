#include <lazuli/compiler/templates/fft_plan.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

#include <lazuli/compiler/lru_cache.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

/// A radix, and the vector operations that its sums take for an element (of two vectors).
struct Radix {
  int radix;
  double operations;
};

constexpr Radix prime_radices[] = {{2, 2}, {3, 5.3}, {5, 7.2}, {7, 9.4}, {11, 13.6}, {13, 15.7}};
/// From 10 on, registers hardly hold the elements.
constexpr Radix products[] = {{4, 4}, {6, 7.3}, {8, 6.5}, {10, 10.2}, {12, 10.5}, {15, 14.5}, {16, 12}};

/// What each stage adds for an element: to be loaded, multiplied and stored.
constexpr double stage_operations = 9;

/// The radices of a length that take the fewest operations; none where it has a prime factor that is too
/// large.
class RadixSearch {
 public:
  explicit RadixSearch(int largest_product) : largest_product_(largest_product) {}

  std::vector<int> radices_of(int64_t length) {
    std::vector<int> radices;
    while (length > 1) {
      const Best best = best_of(length);
      if (best.radix == 0) return {};
      radices.push_back(best.radix);
      length /= best.radix;
    }
    std::sort(radices.begin(), radices.end());
    return radices;
  }

 private:
  struct Best {
    int radix = 0;  ///< 0: there is none
    double operations = 0;
  };

  Best best_of(int64_t length) {
    if (const auto known = known_.find(length); known != known_.end()) return known->second;
    Best best;
    const auto consider = [&](const Radix& first) {
      if (length % first.radix != 0) return;
      const int64_t rest = length / first.radix;
      const Best after = rest > 1 ? best_of(rest) : Best{1, 0};
      const double operations = first.operations + stage_operations + after.operations;
      if (after.radix != 0 && (best.radix == 0 || operations < best.operations)) {
        best = {first.radix, operations};
      }
    };
    for (const Radix& radix : prime_radices) consider(radix);
    for (const Radix& radix : products) {
      if (radix.radix <= largest_product_) consider(radix);
    }
    known_.emplace(length, best);
    return best;
  }

  int largest_product_;
  std::map<int64_t, Best> known_;
};

std::vector<int> radices_of(int64_t length) {
  return RadixSearch(kernels().fft_largest_product).radices_of(length);
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
  float* rows = memory.as<float>();
  std::fill_n(rows, fft_element * inner_length_, 0.0f);
  const auto each = [&](auto&& f) {
    for (int64_t k = 0; k < inner_length_; ++k) {
      f(rows[k * fft_element], spectrum_[static_cast<size_t>(k)]);
      f(rows[k * fft_element + fft_lanes], spectrum_[static_cast<size_t>(inner_length_ + k)]);
    }
  };
  each([](float& row, float& value) { row = value; });
  rows = inner_->run(rows, rows + fft_element * inner_length_);
  each([](float& row, float& value) { value = row; });
}

int64_t FftPlan::memory_size() const {
  return inner_ ? fft_element * inner_length_ + inner_->memory_size()
                : fft_element * round_up(length_, fft_lanes);
}

float* FftPlan::run(float* x, float* memory) const {
  return inner_ ? run_convolution(x, memory) : run_stages(x, memory, stages_.size());
}

float* FftPlan::run_stages(float* x, float* memory, size_t count) const {
  const auto run = kernels().fft_stage;
  float* from = x;
  float* to = memory;
  int64_t stride = 1;
  for (size_t i = 0; i < count; ++i) {
    const Stage& stage = stages_[i];
    run({stage.radix, stage.length, stride, stage.twiddles.data(), from, to, stride});
    std::swap(from, to);
    stride *= stage.radix;
  }
  return from;
}

void FftPlan::run_to_rows(float* x, float* memory, const FftRows& rows) const {
  const Kernels& table = kernels();
  // Of the last stage at a time: two lines of each row. With one, rows' pages change too often.
  constexpr int64_t columns = 16;
  const int64_t radix = stages_.empty() ? 1 : stages_.back().radix;
  const int64_t stride = length_ / radix;
  if (inner_ || radix == 1 || stride % columns != 0) {
    return table.fft_to_rows(run(x, memory), length_, rows.exchanged, rows.count, rows.to, rows.stride,
                             rows.past_caches);
  }
  float* const from = run_stages(x, memory, stages_.size() - 1);
  float* const to = from == x ? memory : x;
  for (int64_t q = 0; q < stride; q += columns) {
    table.fft_stage({static_cast<int>(radix), radix, stride, nullptr, from + q * fft_element, to, columns});
    for (int64_t j = 0; j < radix; ++j) {
      table.fft_to_rows(to + j * columns * fft_element, columns, rows.exchanged, rows.count,
                        rows.to + 2 * (q + j * stride), rows.stride, rows.past_caches);
    }
  }
}

float* FftPlan::run_convolution(float* x, float* memory) const {
  float* y = memory;
  float* rest = memory + fft_element * inner_length_;
  const auto run_inner = [&] {
    if (inner_->run(y, rest) == rest) std::swap(y, rest);
  };
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
  run_inner();
  multiply(y, inner_length_, spectrum_.data(), spectrum_.data() + inner_length_,
           1 / static_cast<float>(inner_length_), y);
  exchange();  // the inverse is the transform with real and imaginary parts exchanged
  run_inner();
  exchange();
  multiply(y, length_, chirp_.data(), chirp_.data() + length_, 1, x);
  return x;
}

}  // namespace lazuli::templates
