// compile(): a function traced once and run as one fused kernel, against the same operations one at a time.
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <numbers>

#include <lazuli/lazuli.h>

using namespace lazuli;

array gelu(const array& x) {
  return x * (1.0f + erf(x / std::numbers::sqrt2_v<float>)) / 2.0f;
}

/// The same with every intermediate result computed and stored, as a library without fusion would do.
array gelu_stepwise(const array& x) {
  array y = x / std::numbers::sqrt2_v<float>;
  for (const auto& step : {std::function([](const array& a) { return erf(a); }),
                           std::function([](const array& a) { return 1.0f + a; }),
                           std::function([&](const array& a) { return x * a; }),
                           std::function([](const array& a) { return a / 2.0f; })}) {
    y.eval();
    y = step(y);
  }
  return y;
}

/// Seconds of the fastest of some runs.
double best_time(const std::function<array()>& run) {
  double best = 1e9;
  for (int i = 0; i < 8; ++i) {
    const auto start = std::chrono::steady_clock::now();
    array result = run();
    result.eval();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

int main(int argc, char** argv) {
  const int size = argc > 1 ? std::atoi(argv[1]) : 16'000'000;
  array x = random::normal({size});
  x.eval();

  const auto compiled = compile(gelu);
  const double fused = best_time([&] { return compiled(x); });
  const double stepwise = best_time([&] { return gelu_stepwise(x); });
  const double gigabytes = 2.0 * static_cast<double>(x.nbytes()) / 1e9;

  std::cout << "compiled: " << gigabytes / fused << " GB/s\n"
            << "one operation at a time: " << stepwise / fused << " times as long\n"
            << "so the compiled function is " << stepwise / fused << " times as fast\n";
  if (!allclose(compiled(x), gelu_stepwise(x), 1e-5, 1e-6).item<bool>()) {
    std::cerr << "the results differ\n";
    return 1;
  }
  // Another length: the same program, no second trace.
  std::cout << "gelu(-1, 0, 1) = " << compiled(array({-1.0f, 0.0f, 1.0f})) << "\n";
}
