#pragma once

#include <optional>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

namespace lazuli {

// Windows of M points, float32: symmetric, and 1 in the middle. One point is 1; for M < 1 there are none. n
// below runs from 0 to M - 1.

/// 0.5 - 0.5 cos(2 pi n / (M - 1))
array hanning(int M, StreamOrDevice s = {});
/// 0.54 - 0.46 cos(2 pi n / (M - 1))
array hamming(int M, StreamOrDevice s = {});
/// 1 - |2 n / (M - 1) - 1|
array bartlett(int M, StreamOrDevice s = {});
/// 0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1))
array blackman(int M, StreamOrDevice s = {});

/// The last axis multiplied by a Hadamard matrix and by `scale` (1 / sqrt(n) if not given, which makes it
/// orthogonal). Its extent n is m * 2^k, k up to 26 and m one of 1, 12, 20, 28; throws std::invalid_argument
/// for others. The matrix is H(m) ⊗ H(2) ⊗ ... ⊗ H(2), where H(12) is Paley's and H(20), H(28) are
/// Williamson's. In floating point (integers as float32), computed in float32 or wider.
array hadamard_transform(const array& a, std::optional<float> scale = std::nullopt, StreamOrDevice s = {});

}  // namespace lazuli
