#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/signal.h>

namespace lazuli {

namespace {

/// A matrix of 1 and -1.
class Signs {
 public:
  explicit Signs(int order)
      : order_(order), signs_(static_cast<size_t>(order) * static_cast<size_t>(order)) {}
  float& at(int row, int column) { return signs_[static_cast<size_t>(row * order_ + column)]; }
  array to_array(Dtype dtype) const { return array(signs_.begin(), {order_, order_}, dtype); }

 private:
  int order_;
  std::vector<float> signs_;
};

/// Sylvester's, of order 2^k: the sign is that of the number of ones that row and column have in common.
Signs sylvester(int order) {
  Signs result(order);
  for (int i = 0; i < order; ++i) {
    for (int j = 0; j < order; ++j)
      result.at(i, j) = __builtin_parity(static_cast<unsigned>(i & j)) != 0 ? -1 : 1;
  }
  return result;
}

/// Paley's second construction over the integers modulo 5: each entry of the symmetric conference matrix of
/// order 6 is multiplied by (+ +; + -), and (+ -; - -) stands on its diagonal.
Signs paley12() {
  Signs result(12);
  for (int i = 0; i < 6; ++i) {
    for (int j = 0; j < 6; ++j) {
      const int distance = (i - j + 5) % 5;
      const bool is_square = distance == 1 || distance == 4;
      const float entry = i == 0 || j == 0 || is_square ? 1 : -1;
      const bool diagonal = i == j;
      result.at(2 * i, 2 * j) = diagonal ? 1 : entry;
      result.at(2 * i, 2 * j + 1) = diagonal ? -1 : entry;
      result.at(2 * i + 1, 2 * j) = diagonal ? -1 : entry;
      result.at(2 * i + 1, 2 * j + 1) = diagonal ? -1 : -entry;
    }
  }
  return result;
}

/// Williamson's construction: (A B C D; -B A -D C; -C D A -B; -D -C B A) of circulant matrices, given by
/// their first rows, one after the other.
Signs williamson(const std::string& first_rows) {
  static constexpr int block_of[4][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
  static constexpr int sign_of[4][4] = {{1, 1, 1, 1}, {-1, 1, -1, 1}, {-1, 1, 1, -1}, {-1, -1, 1, 1}};
  const int size = static_cast<int>(first_rows.size()) / 4;
  Signs result(4 * size);
  for (int i = 0; i < 4 * size; ++i) {
    for (int j = 0; j < 4 * size; ++j) {
      const int block = block_of[i / size][j / size];
      const int place = (j % size - i % size + size) % size;
      const bool positive = first_rows[static_cast<size_t>(block * size + place)] == '+';
      result.at(i, j) = static_cast<float>((positive ? 1 : -1) * sign_of[i / size][j / size]);
    }
  }
  return result;
}

Signs odd_factor(int order) {
  if (order == 12) return paley12();
  return order == 20 ? williamson("+----+----++--++-++-") : williamson("+------++----++-+--+-+--++--");
}

}  // namespace

array hadamard_transform(const array& a, std::optional<float> scale, StreamOrDevice s) {
  const StreamContext on(s);
  const Dtype dtype = issubdtype(a.dtype(), floating) ? a.dtype() : float32;
  if (a.dtype() == complex64) throw std::invalid_argument("[hadamard_transform] complex64 is not supported");
  const int n = a.ndim() == 0 ? 1 : static_cast<int>(a.shape(-1));
  int odd = 1;
  int power = n;
  for (const int m : {12, 20, 28}) {
    const int rest = n / m;
    if (n > 0 && n % m == 0 && (rest & (rest - 1)) == 0) {
      odd = m;
      power = rest;
    }
  }
  if (n <= 0 || (power & (power - 1)) != 0 || power > (1 << 26)) {
    throw std::invalid_argument(
        "[hadamard_transform] the last extent must be m * 2^k with m one of 1, 12, 20, 28 "
        "and k at most 26, not " +
        std::to_string(n));
  }
  if (element_count(a.shape()) == 0) return astype(a, dtype, s);
  const Dtype wide = dtype == float64 ? float64 : float32;
  const float factor = scale.value_or(static_cast<float>(1 / std::sqrt(static_cast<double>(n))));
  array x = multiply(astype(a, wide, s), array(factor, wide), s);
  // A product along an axis for every factor of the matrix, of up to 64 rows: the arithmetic is that of small
  // matrix products, which are fast.
  constexpr int most = 64;
  if (power > 1) {
    int inner = 1;
    for (int left = power; left > 1;) {
      const int order = std::min(left, most);
      const array matrix = sylvester(order).to_array(wide);
      if (inner == 1) {
        x = reshape(matmul(reshape(x, {-1, order}, s), matrix, s), a.shape(), s);
      } else {
        x = reshape(matmul(matrix, reshape(x, {-1, order, inner}, s), s), a.shape(), s);
      }
      inner *= order;
      left /= order;
    }
  }
  if (odd > 1) {
    const array matrix = odd_factor(odd).to_array(wide);
    x = reshape(matmul(matrix, reshape(x, {-1, odd, power}, s), s), a.shape(), s);
  }
  return astype(x, dtype, s);
}

}  // namespace lazuli
