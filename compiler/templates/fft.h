#pragma once

#include <complex>
#include <cstdint>

/// Discrete Fourier transforms of rows of complex numbers.
namespace lazuli::templates {

/// For each of `rows` rows of `length`: out[j] = Σ_k in[k] exp(∓2πi jk / length), with a plus where
/// `inverse`. Nothing is scaled. Any length; lengths whose prime factors are at most 13 take the fewest
/// operations, others about eight times as many.
void fourier_transform(const std::complex<float>* in, std::complex<float>* out, int64_t rows, int64_t length,
                       bool inverse);

}  // namespace lazuli::templates
