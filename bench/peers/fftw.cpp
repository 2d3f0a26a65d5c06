// FFTW, with plans that are estimated rather than measured.

#ifdef LAZULI_PEER_FFTW

#include <fftw3.h>

#include <algorithm>

#include "module.h"

namespace lazuli::bench {

void add_fftw(const PeerWork& work, int threads, std::vector<PeerRun>& runs) {
  if (work.kind != PeerWork::Kind::fft) return;
  static const bool is_ready = fftwf_init_threads() != 0;
  if (!is_ready) return;
  fftwf_plan_with_nthreads(threads);
  const int rows = static_cast<int>(work.extents[0]);
  const int length = static_cast<int>(work.extents[1]);
  const int64_t kind = work.extents[2];  // complex, real, back to real
  const int kept = kind != 0 ? length / 2 + 1 : length;
  auto out = results(int64_t{2} * rows * kept);
  auto* const to = reinterpret_cast<fftwf_complex*>(out->data());
  void* const from = const_cast<void*>(work.inputs[0]);  // out of place: not written to
  // Back to real, FFTW is fastest where it may overwrite what it reads: a copy, whatever it comes to hold.
  auto copy = results(kind == 2 ? int64_t{2} * rows * kept : 0);
  std::copy_n(static_cast<const float*>(from), copy->size(), copy->data());
  fftwf_plan plan = nullptr;
  if (kind == 2) {
    plan = fftwf_plan_many_dft_c2r(1, &length, rows, reinterpret_cast<fftwf_complex*>(copy->data()), nullptr,
                                   1, kept, out->data(), nullptr, 1, length, FFTW_ESTIMATE);
  } else if (kind == 1) {
    plan = fftwf_plan_many_dft_r2c(1, &length, rows, static_cast<float*>(from), nullptr, 1, length, to,
                                   nullptr, 1, kept, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
  } else {
    plan = fftwf_plan_many_dft(1, &length, rows, static_cast<fftwf_complex*>(from), nullptr, 1, length, to,
                               nullptr, 1, length, FFTW_FORWARD, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
  }
  if (plan == nullptr) return;
  const std::shared_ptr<void> kept_plan(plan,
                                        [](void* p) { fftwf_destroy_plan(static_cast<fftwf_plan>(p)); });
  runs.push_back(
      {"FFTW", [kept_plan, out, copy] { fftwf_execute(static_cast<fftwf_plan>(kept_plan.get())); }});
}

}  // namespace lazuli::bench

#endif
