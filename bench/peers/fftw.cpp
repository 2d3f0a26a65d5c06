// FFTW, with plans that are estimated rather than measured.

#ifdef LAZULI_PEER_FFTW

#include <fftw3.h>

#include "module.h"

namespace lazuli::bench {

void add_fftw(const PeerWork& work, int threads, std::vector<PeerRun>& runs) {
  if (work.kind != PeerWork::Kind::fft) return;
  static const bool is_ready = fftwf_init_threads() != 0;
  if (!is_ready) return;
  fftwf_plan_with_nthreads(threads);
  const int rows = static_cast<int>(work.extents[0]);
  const int length = static_cast<int>(work.extents[1]);
  const bool is_real = work.extents[2] != 0;
  const int kept = is_real ? length / 2 + 1 : length;
  auto out = results(int64_t{2} * rows * kept);
  auto* const to = reinterpret_cast<fftwf_complex*>(out->data());
  void* const from = const_cast<void*>(work.inputs[0]);  // out of place: not written to
  const fftwf_plan plan =
      is_real
          ? fftwf_plan_many_dft_r2c(1, &length, rows, static_cast<float*>(from), nullptr, 1, length, to,
                                    nullptr, 1, kept, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT)
          : fftwf_plan_many_dft(1, &length, rows, static_cast<fftwf_complex*>(from), nullptr, 1, length, to,
                                nullptr, 1, length, FFTW_FORWARD, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
  if (plan == nullptr) return;
  const std::shared_ptr<void> kept_plan(plan,
                                        [](void* p) { fftwf_destroy_plan(static_cast<fftwf_plan>(p)); });
  runs.push_back({"FFTW", [kept_plan, out] { fftwf_execute(static_cast<fftwf_plan>(kept_plan.get())); }});
}

}  // namespace lazuli::bench

#endif
