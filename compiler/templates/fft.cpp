#include <lazuli/compiler/templates/fft.h>

#include <algorithm>

#include <lazuli/compiler/templates/fft_plan.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Elements that a thread transforms at a time, of short rows.
constexpr int64_t elements_a_part = 16384;

}  // namespace

void fourier_transform(const std::complex<float>* in, std::complex<float>* out, int64_t rows, int64_t length,
                       bool inverse) {
  if (rows == 0 || length == 0) return;
  const std::shared_ptr<const FftPlan> plan = FftPlan::of(length);
  const int64_t rows_a_part = std::max<int64_t>(1, elements_a_part / length);
  share_out(ceil_div(rows, rows_a_part), [&](int64_t part) {
    const Scratch memory(static_cast<size_t>(2 * length + plan->memory_size()) * sizeof(float));
    // The inverse is the transform with real and imaginary parts exchanged.
    float* const first = memory.as<float>();
    float* const second = first + length;
    const Parts x = inverse ? Parts{second, first} : Parts{first, second};
    const int64_t end = std::min(rows, (part + 1) * rows_a_part);
    for (int64_t row = part * rows_a_part; row < end; ++row) {
      const auto* from = reinterpret_cast<const float*>(in + row * length);
      auto* to = reinterpret_cast<float*>(out + row * length);
      for (int64_t k = 0; k < length; ++k) {
        first[k] = from[2 * k];
        second[k] = from[2 * k + 1];
      }
      plan->run(x, second + length);
      for (int64_t k = 0; k < length; ++k) {
        to[2 * k] = first[k];
        to[2 * k + 1] = second[k];
      }
    }
  });
}

}  // namespace lazuli::templates
