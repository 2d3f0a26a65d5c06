#include <lazuli/compiler/templates/fft_real.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include <lazuli/compiler/lru_cache.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/fft.h>
#include <lazuli/compiler/templates/fft_plan.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

using Complex = std::complex<float>;

/// Elements that are transformed at a time, where there are many rows: they stay in the second-level cache.
constexpr int64_t elements_at_once = 8192;
/// The longest rows that are transformed side by side.
constexpr int64_t longest_side_by_side = 4096;

/// exp(-2πi k / length) for k up to a quarter of the length.
struct Roots {
  std::vector<float> cosines;
  std::vector<float> sines;
};

std::shared_ptr<const Roots> roots_of(int64_t length) {
  constexpr size_t most_kept = 8;
  static std::mutex mutex;
  static LruCache<int64_t, std::shared_ptr<const Roots>> stock(most_kept);
  {
    const std::lock_guard lock(mutex);
    if (auto* const known = stock.find(length)) return *known;
  }
  auto made = std::make_shared<Roots>();
  for (int64_t k = 0; k <= length / 4; ++k) {
    float re = 0;
    float im = 0;
    root_of_unity(k, length, re, im);
    made->cosines.push_back(re);
    made->sines.push_back(im);
  }
  const std::lock_guard lock(mutex);
  stock.insert(length, made);
  return made;
}

// A row x of 2h real numbers is one of h complex numbers z[j] = x[2j] + i x[2j + 1]. Of their transform Z,
// E[k] = (Z[k] + conj Z[h - k]) / 2 is that of the even elements and O[k] = -i (Z[k] - conj Z[h - k]) / 2
// that of the odd ones, and X[k] = E[k] + w^k O[k] with w = exp(-2πi / 2h). X[h - k] is conj(E[k] - w^k
// O[k]).

/// Calls `f(begin, end)` for parts of 1, ..., pairs, ends included, side by side where these are many.
template <typename F>
void for_parts_of_pairs(int64_t pairs, const F& f) {
  constexpr int64_t pairs_a_part = 16384;
  if (pairs <= pairs_a_part) return f(1, pairs);
  share_out(ceil_div(pairs, pairs_a_part), [&](int64_t part) {
    const int64_t first = part * pairs_a_part;
    f(first + 1, std::min(first + pairs_a_part, pairs));
  });
}

void spectrum_of_halves(const Complex* z, int64_t half, const Roots& roots, Complex* out) {
  out[0] = {z[0].real() + z[0].imag(), 0};
  out[half] = {z[0].real() - z[0].imag(), 0};
  for_parts_of_pairs(half / 2, [&](int64_t begin, int64_t end) {
    kernels().fft_put_together(reinterpret_cast<const float*>(z), half, roots.cosines.data(),
                               roots.sines.data(), begin, end, reinterpret_cast<float*>(out));
  });
}

// Backwards, Z[k] = E[k] + i O[k], of which twice as much is taken, as the row's own transform adds up twice
// as many elements: S = X[k] + conj X[h - k] and D = (X[k] - conj X[h - k]) conj w^k give Z[k] = S + i D and
// Z[h - k] = conj(S - i D). Of X[0] and X[h] only the real parts count.

void halves_of_spectrum(const Complex* in, int64_t half, const Roots& roots, float factor, Complex* z) {
  z[0] = {factor * (in[0].real() + in[half].real()), factor * (in[0].real() - in[half].real())};
  for_parts_of_pairs(half / 2, [&](int64_t begin, int64_t end) {
    kernels().fft_take_apart(reinterpret_cast<const float*>(in), half, roots.cosines.data(),
                             roots.sines.data(), factor, begin, end, reinterpret_cast<float*>(z));
  });
}

/// Calls `f(first, count)` for blocks of rows, side by side where there are enough for all threads.
template <typename F>
void for_each_block(int64_t rows, int64_t length, const F& f) {
  // Lanes are filled, except by rows that are cut in two anyway.
  const int64_t fitting = std::max(elements_at_once / length, length <= longest_side_by_side ? fft_lanes : 1);
  const int64_t at_once = std::min(round_up(fitting, fitting >= fft_lanes ? fft_lanes : 1), rows);
  const int64_t blocks = ceil_div(rows, at_once);
  const auto block = [&](int64_t i) { f(i * at_once, std::min(at_once, rows - i * at_once)); };
  if (blocks >= 2 * num_threads()) return share_out(blocks, block);
  for (int64_t i = 0; i < blocks; ++i) block(i);
}

}  // namespace

void real_fourier_transform(const float* in, Complex* out, int64_t rows, int64_t length) {
  if (rows == 0 || length == 0) return;
  const int64_t half = length / 2;
  if (length % 2 == 1) {
    for_each_block(rows, 2 * length, [&](int64_t first, int64_t count) {
      const Scratch memory(static_cast<size_t>(2 * count * length) * sizeof(Complex));
      auto* const x = memory.as<Complex>();
      Complex* const y = x + count * length;
      std::copy_n(in + first * length, count * length, x);
      fourier_transform(x, y, count, length, false);
      for (int64_t i = 0; i < count; ++i) {
        std::copy_n(y + i * length, half + 1, out + (first + i) * (half + 1));
      }
    });
    return;
  }
  const std::shared_ptr<const Roots> roots = roots_of(length);
  for_each_block(rows, length, [&](int64_t first, int64_t count) {
    const Scratch memory(static_cast<size_t>(count * half) * sizeof(Complex));
    auto* const z = memory.as<Complex>();
    fourier_transform(reinterpret_cast<const Complex*>(in + first * length), z, count, half, false);
    for (int64_t i = 0; i < count; ++i) {
      spectrum_of_halves(z + i * half, half, *roots, out + (first + i) * (half + 1));
    }
  });
}

void inverse_real_fourier_transform(const Complex* in, float* out, int64_t rows, int64_t length,
                                    float factor) {
  if (rows == 0 || length == 0) return;
  const int64_t half = length / 2;
  if (length % 2 == 1) {
    for_each_block(rows, 2 * length, [&](int64_t first, int64_t count) {
      const Scratch memory(static_cast<size_t>(2 * count * length) * sizeof(Complex));
      auto* const x = memory.as<Complex>();
      Complex* const y = x + count * length;
      for (int64_t i = 0; i < count; ++i) {
        const Complex* const from = in + (first + i) * (half + 1);
        Complex* const row = x + i * length;
        row[0] = from[0].real();
        for (int64_t k = 1; k <= half; ++k) {
          row[k] = from[k];
          row[length - k] = std::conj(from[k]);
        }
      }
      fourier_transform(x, y, count, length, true);
      for (int64_t i = 0; i < count * length; ++i) out[first * length + i] = factor * y[i].real();
    });
    return;
  }
  const std::shared_ptr<const Roots> roots = roots_of(length);
  for_each_block(rows, length, [&](int64_t first, int64_t count) {
    const Scratch memory(static_cast<size_t>(count * half) * sizeof(Complex));
    auto* const z = memory.as<Complex>();
    for (int64_t i = 0; i < count; ++i) {
      halves_of_spectrum(in + (first + i) * (half + 1), half, *roots, factor, z + i * half);
    }
    fourier_transform(z, reinterpret_cast<Complex*>(out + first * length), count, half, true);
  });
}

}  // namespace lazuli::templates
