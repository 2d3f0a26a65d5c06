#include <cmath>
#include <numbers>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/signal.h>

namespace lazuli {

namespace {

/// `of_angle(2 pi n / (M - 1))` for each of M points.
template <typename F>
array window(int points, const F& of_angle, StreamOrDevice s) {
  const StreamContext on(s);
  if (points < 1) return zeros({0}, s);
  if (points == 1) return ones({1}, s);
  const array step(static_cast<float>(2 * std::numbers::pi / (points - 1)));
  return of_angle(multiply(arange(0.0, static_cast<double>(points), 1.0, float32, s), step, s));
}

/// a0 + a1 cos(x)
array raised_cosine(int points, float a0, float a1, StreamOrDevice s) {
  return window(
      points, [&](const array& x) { return add(array(a0), multiply(array(a1), cos(x, s), s), s); }, s);
}

}  // namespace

array hanning(int M, StreamOrDevice s) {
  return raised_cosine(M, 0.5f, -0.5f, s);
}

array hamming(int M, StreamOrDevice s) {
  return raised_cosine(M, 0.54f, -0.46f, s);
}

array bartlett(int M, StreamOrDevice s) {
  const array scale(static_cast<float>(1 / std::numbers::pi));
  const array one(1.0f);
  return window(
      M, [&](const array& x) { return subtract(one, abs(subtract(multiply(x, scale, s), one, s), s), s); },
      s);
}

array blackman(int M, StreamOrDevice s) {
  return window(
      M,
      [&](const array& x) {
        const array low = multiply(array(0.5f), cos(x, s), s);
        const array high = multiply(array(0.08f), cos(add(x, x, s), s), s);
        return add(subtract(array(0.42f), low, s), high, s);
      },
      s);
}

}  // namespace lazuli
