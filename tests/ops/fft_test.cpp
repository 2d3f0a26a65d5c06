// Fourier transforms against their definition in double precision.

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Complex = std::complex<double>;

std::vector<Complex> complexes(const array& a) {
  const std::vector<double> re = doubles(real(a));
  const std::vector<double> im = doubles(imag(a));
  std::vector<Complex> result;
  for (size_t i = 0; i < re.size(); ++i) result.emplace_back(re[i], im[i]);
  return result;
}

array make_complex(const Shape& shape) {
  const array re = make_numbers(shape);
  const array im = flip(make_numbers(shape, float32, 0.6));
  return astype(re, complex64) + astype(im, complex64) * array(complex64_t(0, 1));
}

/// Along the last axis of rows of `length`.
std::vector<Complex> transform(const std::vector<Complex>& x, int length, bool inverse) {
  std::vector<Complex> result;
  for (size_t row = 0; row < x.size(); row += static_cast<size_t>(length)) {
    for (int64_t j = 0; j < length; ++j) {
      Complex sum = 0;
      for (int64_t k = 0; k < length; ++k) {
        const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % length) / length;
        sum += x[row + static_cast<size_t>(k)] * std::polar(1.0, inverse ? angle : -angle);
      }
      result.push_back(inverse ? sum / static_cast<double>(length) : sum);
    }
  }
  return result;
}

void expect_complex(const array& found, const Shape& shape, const std::vector<Complex>& expected,
                    double tolerance, const std::string& what = "") {
  ASSERT_EQ(found.shape(), shape) << what;
  ASSERT_EQ(found.dtype(), complex64) << what;
  const std::vector<Complex> got = complexes(found);
  double scale = 1;
  for (const Complex& value : expected) scale = std::max(scale, std::abs(value));
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_LE(std::abs(got[i] - expected[i]), tolerance * scale) << what << " element " << i;
  }
}

TEST(Fft, ManyLengths) {
  for (const int n : {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,  11,  12,  13,  14,  15,  16,  17,  19,
                      22, 26, 30, 31, 32, 37, 64, 77, 100, 101, 120, 128, 169, 210, 243, 256, 289, 1000}) {
    const array x = make_complex({3, n});
    expect_complex(fft::fft(x), {3, n}, transform(complexes(x), n, false), 2e-6, std::to_string(n));
    expect_complex(fft::ifft(x), {3, n}, transform(complexes(x), n, true), 2e-6, std::to_string(n));
  }
}

// Rows side by side, rows cut in two steps, and rows as convolutions; full batches and what is left of them.
TEST(Fft, NumbersOfRows) {
  for (const auto& [rows, n] : std::vector<std::pair<int, int>>{{8, 60},
                                                                {17, 13},
                                                                {40, 37},
                                                                {16, 1},
                                                                {1, 240},
                                                                {1, 289},
                                                                {9, 289},
                                                                {1, 65},
                                                                {1, 1031},
                                                                {9, 1100},
                                                                {17, 180},
                                                                {16, 240},
                                                                {19, 256},
                                                                {9, 512},
                                                                {8, 960},
                                                                {9, 1024},
                                                                {1, 2197}}) {
    const array x = make_complex({rows, n});
    const std::string what = std::to_string(rows) + " x " + std::to_string(n);
    expect_complex(fft::fft(x), {rows, n}, transform(complexes(x), n, false), 3e-6, what);
    expect_complex(fft::ifft(x), {rows, n}, transform(complexes(x), n, true), 3e-6, what);
  }
}

// Results that go past the caches, of rows that threads take in blocks.
TEST(Fft, ManyRows) {
  for (const auto& [rows, n] : std::vector<std::pair<int, int>>{{1100, 1024}, {16400, 72}, {5000, 250}}) {
    const array x = make_complex({rows, n});
    for (const bool inverse : {false, true}) {
      const array found = inverse ? fft::ifft(x) : fft::fft(x);
      for (const int row : {0, 31, rows - 1}) {
        const array one = slice(x, {row, 0}, {row + 1, n});
        expect_complex(slice(found, {row, 0}, {row + 1, n}), {1, n}, transform(complexes(one), n, inverse),
                       3e-6, std::to_string(rows) + " rows, row " + std::to_string(row));
      }
    }
  }
}

TEST(Fft, LongRowsComeBack) {
  for (const int n : {4096, 65536, 30030, 10007}) {
    const array x = make_complex({2, n});
    expect_complex(fft::ifft(fft::fft(x)), {2, n}, complexes(x), 5e-6, std::to_string(n));
    // One frequency is one element.
    const array k = arange(n, int32) * 5 % array(n);
    const array angle = astype(k, float32) * static_cast<float>(2 * std::numbers::pi / n);
    const array wave =
        astype(cos(angle), complex64) + astype(sin(angle), complex64) * array(complex64_t(0, 1));
    std::vector<Complex> expected(static_cast<size_t>(n), 0.0);
    expected[5] = n;
    expect_complex(fft::fft(wave), {n}, expected, 2e-6, std::to_string(n));
  }
}

TEST(Fft, RealNumbers) {
  for (const int n : {1, 2, 3, 8, 9, 30, 34, 64, 128, 202, 500}) {
    const array x = make_numbers({2, n});
    const std::vector<Complex> all = transform(complexes(astype(x, complex64)), n, false);
    std::vector<Complex> half;
    for (int row = 0; row < 2; ++row) {
      for (int j = 0; j <= n / 2; ++j) half.push_back(all[static_cast<size_t>(row * n + j)]);
    }
    expect_complex(fft::rfft(x), {2, n / 2 + 1}, half, 2e-6, std::to_string(n));
    expect_array(fft::irfft(fft::rfft(x), n, -1), {2, n}, float32, doubles(x), 3e-6);
  }
  const array x = make_numbers({2, 6, 8});
  expect_array(fft::irfftn(fft::rfftn(x)), {2, 6, 8}, float32, doubles(x), 3e-6);
  expect_array(fft::irfft2(fft::rfft2(x, {5, 9}, {1, 2}), {5, 9}, {1, 2}), {2, 5, 9}, float32,
               doubles(pad(slice(x, {0, 0, 0}, {2, 5, 8}), {{0, 0}, {0, 0}, {0, 1}})), 3e-6);
  EXPECT_EQ(fft::irfft(make_complex({5})).shape(), (Shape{8}));
}

/// Of any half, with imaginary parts where a real row has none, and of many rows at once.
TEST(Fft, InverseReal) {
  for (const auto& [rows, n] : std::vector<std::pair<int, int>>{{3, 1},
                                                                {3, 2},
                                                                {3, 3},
                                                                {3, 4},
                                                                {2, 5},
                                                                {9, 6},
                                                                {3, 7},
                                                                {2, 8},
                                                                {17, 12},
                                                                {2, 15},
                                                                {3, 37},
                                                                {40, 64},
                                                                {2, 77},
                                                                {3, 100},
                                                                {9, 243},
                                                                {2, 1000},
                                                                {1, 2062},
                                                                {700, 128},
                                                                {1, 70000}}) {
    const array half = make_complex({rows, n / 2 + 1});
    const std::vector<Complex> given = complexes(half);
    std::vector<double> expected;
    // Of the longest row some elements only.
    const int step = n > 10000 ? 4999 : 1;
    for (int row = 0; row<rows; row += rows> 100 ? 99 : 1) {
      const Complex* const x = given.data() + static_cast<size_t>(row) * static_cast<size_t>(n / 2 + 1);
      for (int64_t j = 0; j < n; j += step) {
        double sum = x[0].real();
        for (int64_t k = 1; k <= n / 2; ++k) {
          const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % n) / n;
          sum += (2 * k == n ? 1 : 2) * (x[k] * std::polar(1.0, angle)).real();
        }
        expected.push_back(sum / n);
      }
    }
    const array found = fft::irfft(half, n, -1);
    ASSERT_EQ(found.shape(), (Shape{rows, n}));
    const array some = slice(found, {0, 0}, {rows, n}, {rows > 100 ? 99 : 1, step});
    expect_array(some, some.shape(), float32, expected, 3e-6, std::to_string(n));
  }
}

TEST(Fft, AxesAndLengths) {
  const array x = make_complex({3, 4, 5});
  for (const int axis : {0, 1, 2, -2}) {
    const array rows = moveaxis(x, axis, -1);
    const int n = rows.shape(-1);
    const array expected = moveaxis(fft::fft(contiguous(rows)), -1, axis);
    expect_complex(fft::fft(x, axis), {3, 4, 5}, complexes(expected), 1e-6);
    EXPECT_EQ(fft::fft(x, n + 2, axis).ndim(), 3u);
  }
  expect_complex(fft::fftn(x, std::vector<int>{0, 2}), {3, 4, 5}, complexes(fft::fft(fft::fft(x, 0), 2)),
                 1e-6);
  expect_complex(fft::fft2(x), {3, 4, 5}, complexes(fft::fft(fft::fft(x, 1), 2)), 1e-6);
  expect_complex(fft::ifftn(fft::fftn(x)), {3, 4, 5}, complexes(x), 1e-6);
  expect_complex(fft::fft(x, 7, 1), {3, 7, 5},
                 complexes(fft::fft(concatenate({x, zeros({3, 3, 5}, complex64)}, 1), 1)), 1e-6);
  expect_complex(fft::ifft(x, 2, -1), {3, 4, 2}, complexes(fft::ifft(slice(x, {0, 0, 0}, {3, 4, 2}))), 1e-6);
  expect_complex(fft::fft(flip(make_numbers({6}))), {6},
                 transform(complexes(astype(flip(make_numbers({6})), complex64)), 6, false), 2e-6);
}

TEST(Fft, Norms) {
  const array x = make_complex({12});
  using fft::FFTNorm;
  const std::vector<Complex> plain = complexes(fft::fft(x));
  const auto scaled = [&](double by) {
    std::vector<Complex> result;
    for (const Complex& value : plain) result.push_back(value * by);
    return result;
  };
  expect_complex(fft::fft(x, -1, FFTNorm::Ortho), {12}, scaled(1 / std::sqrt(12.0)), 1e-6);
  expect_complex(fft::fft(x, -1, FFTNorm::Forward), {12}, scaled(1 / 12.0), 1e-6);
  for (const FFTNorm norm : {FFTNorm::Backward, FFTNorm::Ortho, FFTNorm::Forward}) {
    expect_complex(fft::ifft(fft::fft(x, -1, norm), -1, norm), {12}, complexes(x), 1e-6);
    const array y = make_numbers({3, 10});
    expect_array(fft::irfft2(fft::rfft2(y, {0, 1}, norm), {0, 1}, norm), {3, 10}, float32, doubles(y), 3e-6);
  }
}

TEST(Fft, FrequenciesAndShifts) {
  expect_array(fft::fftfreq(5), {5}, float32, {0, 0.2, 0.4, -0.4, -0.2}, 1e-6);
  expect_array(fft::fftfreq(4, 0.5), {4}, float32, {0, 0.5, -1, -0.5}, 1e-6);
  expect_array(fft::rfftfreq(5), {3}, float32, {0, 0.2, 0.4}, 1e-6);
  expect_array(fft::fftshift(counting({5})), {5}, float32, {3, 4, 0, 1, 2});
  expect_array(fft::fftshift(counting({4})), {4}, float32, {2, 3, 0, 1});
  const array x = counting({3, 5});
  expect_array(fft::ifftshift(fft::fftshift(x)), {3, 5}, float32, doubles(x));
  expect_array(fft::ifftshift(fft::fftshift(x, {1}), {1}), {3, 5}, float32, doubles(x));
  expect_array(fft::fftshift(x, {0}), {3, 5}, float32, doubles(roll(x, 1, 0)));
}

TEST(Fft, Gradients) {
  // Parseval: the sum of |X|^2 is n times that of |x|^2.
  const array x = make_numbers({3, 10});
  const auto energy = std::function<array(const array&)>([](const array& at) {
    const array spectrum = fft::fft(at);
    return sum(real(spectrum * conjugate(spectrum)));
  });
  expect_array(grad(energy)(x), {3, 10}, float32, doubles(x * 20.0f), 1e-4);
  const auto there_and_back = std::function<array(const array&)>(
      [](const array& at) { return sum(square(fft::irfft(fft::rfft(at)))); });
  expect_array(grad(there_and_back)(x), {3, 10}, float32, doubles(x * 2.0f), 1e-5);
  const auto rows = std::function<array(const array&)>([](const array& at) { return fft::fft(at); });
  expect_complex(vmap(rows)(x), {3, 10}, complexes(fft::fft(x)), 1e-6);
}

TEST(Fft, InACompiledFunction) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{fft::irfft(fft::rfft(in[0]) * 2.0f, 0)};
  });
  for (const int n : {4, 6, 20}) {
    const array x = make_numbers({n, 8});
    expect_array(f({x})[0], {2 * n - 2, 5}, float32, doubles(fft::irfft(fft::rfft(x) * 2.0f, 0)), 1e-5);
  }
}

TEST(Fft, Errors) {
  const array x = zeros({3, 4});
  expect_error([&] { fft::fft(x, 2); }, "[fftn]");
  expect_error([&] { fft::fft(x, 0, 1); }, "[fftn]");
  expect_error([&] { fft::fftn(x, Shape{2}, std::vector<int>{0, 1}); }, "[fftn]");
  expect_error([&] { fft::fftn(x, std::vector<int>{0, 0}); }, "[fftn]");
  expect_error([&] { fft::fftn(array(1.0f)); }, "[fftn]");
  expect_error([&] { fft::ifft(zeros({2, 0})); }, "[ifftn]");
  expect_error([&] { fft::irfft(zeros({2, 1}, complex64)); }, "[irfftn]");
  expect_error([&] { fft::rfftn(x, std::vector<int>{3}); }, "[rfftn]");
}

}  // namespace
}  // namespace lazuli::test
