#include <lazuli/compiler/templates/fft.h>

#include <algorithm>
#include <memory>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/fft_factors.h>
#include <lazuli/compiler/templates/fft_plan.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

using Complex = std::complex<float>;

/// Lengths up to which rows are transformed as a whole: `fft_lanes` of them stay in the second-level cache.
constexpr int64_t longest_whole = 2048;

/// Bytes of rows that a thread takes at a time, where they are short, and up to which the next ones are asked
/// for.
constexpr int64_t part_bytes = 128 << 10;
constexpr int64_t most_fetched_bytes = 16 << 10;

const float* floats(const Complex* x) {
  return reinterpret_cast<const float*>(x);
}
float* floats(Complex* x) {
  return reinterpret_cast<float*>(x);
}

/// Whether results are too many for the caches, and rows of them begin at lines.
bool goes_past_caches(const Complex* out, int64_t rows, int64_t length) {
  constexpr int64_t line = 64;
  constexpr auto size = static_cast<int64_t>(sizeof(Complex));
  return rows * length * size >= cache_sizes().l3 / 2 && length * size % line == 0 &&
         reinterpret_cast<uintptr_t>(out) % line == 0;
}

/// Rows side by side, `fft_lanes` at a time.
void transform_rows(const Complex* in, Complex* out, int64_t rows, int64_t length, bool inverse) {
  const std::shared_ptr<const FftPlan> plan = FftPlan::of(length);
  const Kernels& table = kernels();
  const bool past_caches = goes_past_caches(out, rows, length);
  // A thread reads on where it was, and asks for the next rows while it has these, where they are short:
  // the processor's own fetching does not find them in time.
  const int64_t blocks = ceil_div(rows, fft_lanes);
  const int64_t block_bytes = fft_lanes * length * static_cast<int64_t>(sizeof(Complex));
  const int64_t blocks_a_part =
      std::clamp<int64_t>(part_bytes / block_bytes, 1, std::max<int64_t>(blocks / (4 * num_threads()), 1));
  const auto make_memory = [&] {
    return Scratch(static_cast<size_t>(fft_element * length + plan->memory_size()) * sizeof(float));
  };
  share_out_with<Scratch>(
      ceil_div(blocks, blocks_a_part), make_memory, [&](int64_t part, const Scratch& memory) {
        float* const x = memory.as<float>();
        const int64_t end = std::min((part + 1) * blocks_a_part * fft_lanes, rows);
        for (int64_t first = part * blocks_a_part * fft_lanes; first < end; first += fft_lanes) {
          const int64_t count = std::min(fft_lanes, rows - first);
          const bool fetch = block_bytes <= most_fetched_bytes && first + 2 * fft_lanes <= rows;
          table.fft_from_rows(floats(in + first * length), 2 * length, count, length, inverse, x,
                              fetch ? floats(in + (first + fft_lanes) * length) : nullptr);
          plan->run_to_rows(x, x + fft_element * length,
                            {floats(out + first * length), 2 * length, count, inverse, past_caches});
        }
      });
}

/// A row of n = n1 * n2 elements as a matrix [n1][n2]: its columns are transformed, multiplied by
/// exp(-2πi k1 i2 / n), and then its rows, which gives element k1 + n1 * k2.
class TransformInTwo {
 public:
  TransformInTwo(const FftFactors& factors, bool inverse)
      : factors_(factors),
        n1_(factors.first()),
        n2_(factors.second()),
        plan1_(FftPlan::of(n1_)),
        plan2_(FftPlan::of(n2_)),
        inverse_(inverse) {}

  /// Floats between the steps: for each block of k1, elements i2 of its rows side by side.
  int64_t between_size() const { return blocks_of_rows() * n2_ * fft_element; }
  /// Floats that each thread needs for itself.
  int64_t memory_size() const {
    return std::max(round_up(n1_, fft_lanes) * fft_element + plan1_->memory_size(), plan2_->memory_size());
  }

  int64_t blocks_of_columns() const { return ceil_div(n2_, fft_lanes); }
  void columns(const Complex* in, int64_t block, float* between, float* memory) const {
    const int64_t first = block * fft_lanes;
    const int64_t count = std::min(fft_lanes, n2_ - first);
    table_.fft_from_columns(floats(in + first), 2 * n2_, count, n1_, inverse_, memory);
    float* const x = plan1_->run(memory, memory + round_up(n1_, fft_lanes) * fft_element);
    table_.fft_turn(x, n1_, factors_.of_block(block), factors_.of_lanes(), count,
                    between + first * fft_element, n2_ * fft_element);
  }

  int64_t blocks_of_rows() const { return ceil_div(n1_, fft_lanes); }
  void rows(float* between, int64_t block, Complex* out, float* memory) const {
    const int64_t first = block * fft_lanes;
    float* const x = plan2_->run(between + block * n2_ * fft_element, memory);
    table_.fft_to_columns(x, n2_, inverse_, std::min(fft_lanes, n1_ - first), floats(out + first), 2 * n1_);
  }

 private:
  const FftFactors& factors_;
  int64_t n1_;
  int64_t n2_;
  std::shared_ptr<const FftPlan> plan1_;
  std::shared_ptr<const FftPlan> plan2_;
  bool inverse_;
  const Kernels& table_ = kernels();
};

/// Rows that are enough for all threads are each left to one; of others, threads share columns, then rows.
void transform_rows_in_two(const Complex* in, Complex* out, int64_t rows, const FftFactors& factors,
                           bool inverse) {
  const TransformInTwo transform(factors, inverse);
  const int64_t length = factors.first() * factors.second();
  const auto memory_of = [](int64_t size) { return Scratch(static_cast<size_t>(size) * sizeof(float)); };
  const auto make_memory = [&] { return memory_of(transform.memory_size()); };
  if (rows >= 2 * num_threads()) {
    const auto make_all = [&] { return memory_of(transform.between_size() + transform.memory_size()); };
    return share_out_with<Scratch>(rows, make_all, [&](int64_t row, const Scratch& all) {
      float* const between = all.as<float>();
      float* const memory = between + transform.between_size();
      for (int64_t i = 0; i < transform.blocks_of_columns(); ++i) {
        transform.columns(in + row * length, i, between, memory);
      }
      for (int64_t i = 0; i < transform.blocks_of_rows(); ++i) {
        transform.rows(between, i, out + row * length, memory);
      }
    });
  }
  const Scratch between = memory_of(transform.between_size());
  for (int64_t row = 0; row < rows; ++row) {
    share_out_with<Scratch>(
        transform.blocks_of_columns(), make_memory, [&](int64_t i, const Scratch& memory) {
          transform.columns(in + row * length, i, between.as<float>(), memory.as<float>());
        });
    share_out_with<Scratch>(transform.blocks_of_rows(), make_memory, [&](int64_t i, const Scratch& memory) {
      transform.rows(between.as<float>(), i, out + row * length, memory.as<float>());
    });
  }
}

/// A row whose length has a large prime factor, as a cyclic convolution.
void transform_by_convolution(const Complex* in, Complex* out, int64_t length, const FftPlan& plan,
                              bool inverse) {
  const int64_t inner = plan.inner_length();
  const Scratch memory(static_cast<size_t>(2 * inner) * sizeof(Complex));
  auto* const x = memory.as<Complex>();
  Complex* const y = x + inner;
  const auto times = [](Complex a, float re, float im) {
    return Complex(a.real() * re - a.imag() * im, a.real() * im + a.imag() * re);
  };
  const float* const chirp = plan.chirp();
  const float* const spectrum = plan.spectrum();
  for (int64_t k = 0; k < length; ++k) {
    x[k] = times(inverse ? std::conj(in[k]) : in[k], chirp[k], chirp[length + k]);
  }
  std::fill(x + length, x + inner, Complex{});
  fourier_transform(x, y, 1, inner, false);
  const float scale = 1 / static_cast<float>(inner);
  for (int64_t k = 0; k < inner; ++k) y[k] = times(y[k], spectrum[k] * scale, spectrum[inner + k] * scale);
  fourier_transform(y, x, 1, inner, true);
  for (int64_t k = 0; k < length; ++k) {
    const Complex value = times(x[k], chirp[k], chirp[length + k]);
    out[k] = inverse ? std::conj(value) : value;
  }
}

}  // namespace

void fourier_transform(const std::complex<float>* in, std::complex<float>* out, int64_t rows, int64_t length,
                       bool inverse) {
  if (rows == 0 || length == 0) return;
  const bool fills_lanes = rows >= fft_lanes / 2;
  if (fills_lanes && length <= longest_whole) return transform_rows(in, out, rows, length, inverse);
  if (const std::shared_ptr<const FftFactors> factors = FftFactors::of(length)) {
    return transform_rows_in_two(in, out, rows, *factors, inverse);
  }
  const std::shared_ptr<const FftPlan> plan = FftPlan::of(length);
  constexpr int64_t short_length = 64;
  if (!plan->is_convolution() || length <= short_length) {
    return transform_rows(in, out, rows, length, inverse);
  }
  const auto one = [&](int64_t row) {
    transform_by_convolution(in + row * length, out + row * length, length, *plan, inverse);
  };
  if (rows >= 2 * num_threads()) return share_out(rows, one);
  for (int64_t row = 0; row < rows; ++row) one(row);
}

}  // namespace lazuli::templates
