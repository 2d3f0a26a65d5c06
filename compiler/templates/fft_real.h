#pragma once

#include <complex>
#include <cstdint>

/// Discrete Fourier transforms of rows of real numbers, by complex ones of half the length where that is
/// even.
namespace lazuli::templates {

/// The first length / 2 + 1 elements of each row's transform; the others are their conjugates. `in` is [rows,
/// length], `out` [rows, length / 2 + 1].
void real_fourier_transform(const float* in, std::complex<float>* out, int64_t rows, int64_t length);

/// The rows of real numbers of which `in` [rows, length / 2 + 1] are the first elements of the transforms,
/// times their length and a factor. Imaginary parts of the first, and of the one at half an even length, are
/// not looked at.
void inverse_real_fourier_transform(const std::complex<float>* in, float* out, int64_t rows, int64_t length,
                                    float factor);

}  // namespace lazuli::templates
