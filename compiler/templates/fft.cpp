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

/// One element of up to `fft_lanes` rows, or as many elements of one row that lie side by side.
void split(const Complex* from, int64_t count, bool inverse, float* to) {
  const auto* const values = reinterpret_cast<const float*>(from);
  // The inverse is the transform with real and imaginary parts exchanged.
  float* const re = inverse ? to + fft_lanes : to;
  float* const im = inverse ? to : to + fft_lanes;
  for (int64_t i = 0; i < count; ++i) {
    re[i] = values[2 * i];
    im[i] = values[2 * i + 1];
  }
  std::fill(to + count, to + fft_lanes, 0.0f);
  std::fill(to + fft_lanes + count, to + fft_element, 0.0f);
}

void join(const float* from, int64_t count, bool inverse, Complex* to) {
  const float* const re = inverse ? from + fft_lanes : from;
  const float* const im = inverse ? from : from + fft_lanes;
  auto* const values = reinterpret_cast<float*>(to);
  for (int64_t i = 0; i < count; ++i) {
    values[2 * i] = re[i];
    values[2 * i + 1] = im[i];
  }
}

/// Short rows are transformed before the processor's own fetching has found them: those that this thread is
/// likely to take next are asked for.
void fetch_rows(const Complex* in, int64_t first, int64_t rows, int64_t length) {
  constexpr int64_t most_bytes = 16 << 10;
  constexpr int64_t line_elements = 64 / static_cast<int64_t>(sizeof(Complex));
  const int64_t elements = std::min(fft_lanes, rows - first) * length;
  if (elements * static_cast<int64_t>(sizeof(Complex)) > most_bytes) return;
  for (int64_t i = 0; i < elements; i += line_elements) __builtin_prefetch(in + first * length + i, 0, 2);
}

/// Rows side by side, `fft_lanes` at a time.
void transform_rows(const Complex* in, Complex* out, int64_t rows, int64_t length, bool inverse) {
  const std::shared_ptr<const FftPlan> plan = FftPlan::of(length);
  const Kernels& table = kernels();
  share_out(ceil_div(rows, fft_lanes), [&](int64_t part) {
    const Scratch memory(static_cast<size_t>(fft_element * length + plan->memory_size()) * sizeof(float));
    float* const x = memory.as<float>();
    float* const work = x + fft_element * length;
    const int64_t first = part * fft_lanes;
    const int64_t count = std::min(fft_lanes, rows - first);
    if (count < fft_lanes) std::fill_n(x, fft_element * length, 0.0f);
    // Real and imaginary parts are the columns of a matrix of floats, and rows of it transposed.
    const auto* const from = reinterpret_cast<const float*>(in + first * length);
    table.transpose(from, 2 * length, count, 2 * length, x, fft_lanes);
    fetch_rows(in, first + num_threads() * fft_lanes, rows, length);
    const auto exchange = [&] {
      for (int64_t k = 0; inverse && k < length; ++k) {
        std::swap_ranges(x + k * fft_element, x + k * fft_element + fft_lanes,
                         x + k * fft_element + fft_lanes);
      }
    };
    exchange();
    plan->run(x, work);
    exchange();
    auto* const to = reinterpret_cast<float*>(out + first * length);
    table.transpose(x, fft_lanes, 2 * length, count, to, 2 * length);
  });
}

/// A row of n = n1 * n2 elements as a matrix [n1][n2]: its columns are transformed, multiplied by
/// exp(-2πi k1 i2 / n), and then its rows, which gives element k1 + n1 * k2. Threads share columns, then
/// rows.
void transform_in_two(const Complex* in, Complex* out, const FftFactors& factors, bool inverse) {
  const int64_t n1 = factors.first();
  const int64_t n2 = factors.second();
  const std::shared_ptr<const FftPlan> plan1 = FftPlan::of(n1);
  const std::shared_ptr<const FftPlan> plan2 = FftPlan::of(n2);
  const Kernels& table = kernels();
  const int64_t blocks1 = ceil_div(n1, fft_lanes);
  // Between the steps: for each block of k1, elements i2 of its rows side by side.
  const Scratch between_memory(static_cast<size_t>(blocks1 * n2 * fft_element) * sizeof(float));
  float* const between = between_memory.as<float>();
  share_out(ceil_div(n2, fft_lanes), [&](int64_t block) {
    const int64_t columns = blocks1 * fft_lanes;
    const Scratch memory(static_cast<size_t>(fft_element * columns + plan1->memory_size()) * sizeof(float));
    float* const x = memory.as<float>();
    const int64_t first = block * fft_lanes;
    const int64_t count = std::min(fft_lanes, n2 - first);
    for (int64_t i = 0; i < n1; ++i) split(in + i * n2 + first, count, inverse, x + i * fft_element);
    plan1->run(x, x + fft_element * columns);
    factors.multiply(block, x);
    std::fill(x + n1 * fft_element, x + columns * fft_element, 0.0f);
    for (int64_t k = 0; k < blocks1; ++k) {
      for (const int64_t part : {int64_t{0}, fft_lanes}) {
        table.transpose(x + k * fft_lanes * fft_element + part, fft_element, fft_lanes, count,
                        between + (k * n2 + first) * fft_element + part, fft_element);
      }
    }
  });
  share_out(blocks1, [&](int64_t block) {
    const Scratch memory(static_cast<size_t>(plan2->memory_size()) * sizeof(float));
    float* const x = between + block * n2 * fft_element;
    plan2->run(x, memory.as<float>());
    const int64_t first = block * fft_lanes;
    for (int64_t k = 0; k < n2; ++k) {
      join(x + k * fft_element, std::min(fft_lanes, n1 - first), inverse, out + k * n1 + first);
    }
  });
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
    // Rows that are enough for all threads are each left to one.
    const auto one = [&](int64_t row) {
      transform_in_two(in + row * length, out + row * length, *factors, inverse);
    };
    if (rows >= 2 * num_threads()) return share_out(rows, one);
    for (int64_t row = 0; row < rows; ++row) one(row);
    return;
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
