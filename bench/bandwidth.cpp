#include "bandwidth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include <immintrin.h>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>
#include <lazuli/lazuli.h>

namespace lazuli::bench {
namespace {

constexpr int64_t usual = int64_t{16} << 20;  // floats of an array
volatile float sink;                          // NOLINT: keeps results alive

#define LAZULI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define LAZULI_AVX2 __attribute__((target("avx2,fma")))

/// Loops of a bandwidth come in two forms: what is read is left to the processor's own fetching, or asked for
/// by an instruction, so far ahead. Processors differ in which is faster.
constexpr int64_t ahead = 16384 / sizeof(float);

template <bool ask>
void ask_ahead(const float* a) {
  if (ask) _mm_prefetch(reinterpret_cast<const char*>(a + ahead), _MM_HINT_T1);
}

template <bool ask>
LAZULI_AVX512 float read_512(const float* a, int64_t n) {
  __m512 sums[8] = {};
  for (int64_t i = 0; i < n; i += 128) {
    for (size_t k = 0; k < 8; ++k) ask_ahead<ask>(a + i + 16 * k);
    for (size_t k = 0; k < 8; ++k) sums[k] = _mm512_add_ps(sums[k], _mm512_loadu_ps(a + i + 16 * k));
  }
  for (size_t k = 1; k < 8; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  return _mm512_cvtss_f32(sums[0]);
}
template <bool ask>
LAZULI_AVX2 float read_256(const float* a, int64_t n) {
  __m256 sums[8] = {};
  for (int64_t i = 0; i < n; i += 64) {
    for (size_t k = 0; k < 4; ++k) ask_ahead<ask>(a + i + 16 * k);
    for (size_t k = 0; k < 8; ++k) sums[k] = _mm256_add_ps(sums[k], _mm256_loadu_ps(a + i + 8 * k));
  }
  for (size_t k = 1; k < 8; ++k) sums[0] = _mm256_add_ps(sums[0], sums[k]);
  return _mm256_cvtss_f32(sums[0]);
}

template <bool stream, bool ask>
LAZULI_AVX512 void add_512(const float* a, const float* b, float* c, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    ask_ahead<ask>(a + i);
    if (b != nullptr) ask_ahead<ask>(b + i);
    const __m512 sum =
        b != nullptr ? _mm512_add_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)) : _mm512_loadu_ps(a + i);
    stream ? _mm512_stream_ps(c + i, sum) : _mm512_storeu_ps(c + i, sum);
  }
}
template <bool stream, bool ask>
LAZULI_AVX2 void add_256(const float* a, const float* b, float* c, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    if (i % 16 == 0) ask_ahead<ask>(a + i);
    if (i % 16 == 0 && b != nullptr) ask_ahead<ask>(b + i);
    const __m256 sum =
        b != nullptr ? _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)) : _mm256_loadu_ps(a + i);
    stream ? _mm256_stream_ps(c + i, sum) : _mm256_storeu_ps(c + i, sum);
  }
}

#undef LAZULI_AVX512
#undef LAZULI_AVX2

/// Calls f(begin, count) with each thread's share of arrays of `count` elements, in whole steps.
template <typename F>
void over_threads(int64_t count, F&& f) {
  const int64_t parts = num_threads();
  parallel_for(parts, [&](int64_t part) {
    const int64_t begin = count * part / parts / 128 * 128;
    const int64_t end = part + 1 == parts ? count : count * (part + 1) / parts / 128 * 128;
    f(begin, end - begin);
  });
}

/// What a loop goes over: c = a + b, c = a, or the sum of a.
struct Arrays {
  float *a, *b, *c;
};

/// A loop over `count` elements.
using Loop = void (*)(const Arrays& operands, int64_t count);

template <bool ask>
void read(const Arrays& operands, int64_t count) {
  over_threads(count, [&](int64_t begin, int64_t n) {
    const float* a = operands.a + begin;
    sink = has_avx512() ? read_512<ask>(a, n) : read_256<ask>(a, n);
  });
}

template <bool stream, bool ask>
void add(const Arrays& operands, int64_t count) {
  over_threads(count, [&](int64_t begin, int64_t n) {
    const float* a = operands.a + begin;
    const float* b = operands.b != nullptr ? operands.b + begin : nullptr;
    float* c = operands.c + begin;
    has_avx512() ? add_512<stream, ask>(a, b, c, n) : add_256<stream, ask>(a, b, c, n);
  });
}

/// How many arrays a loop reads and writes.
int64_t arrays_of(Limit limit) {
  return limit == Limit::read ? 1 : limit == Limit::copy ? 2 : 3;
}

/// Arrays of at least `count` elements; they are made anew where they are too small.
Arrays arrays_with(Limit limit, int64_t count) {
  static std::array<array, 3> arrays{array(0.0f), array(0.0f), array(0.0f)};
  const auto pointer = [count](array& a) {
    if (static_cast<int64_t>(a.size()) < count) {
      a = full({static_cast<int>(std::max(count, usual))}, 1.0f);
      a.eval();
    }
    return const_cast<float*>(a.data<float>());
  };
  Arrays operands{pointer(arrays[0]), nullptr, nullptr};
  if (limit == Limit::add) operands.b = pointer(arrays[1]);
  if (limit != Limit::read) operands.c = pointer(arrays[2]);
  return operands;
}

/// The fastest of the loops on this machine, found once.
Loop fastest(Limit limit) {
  static std::map<Limit, Loop> known;
  const auto found = known.find(limit);
  if (found != known.end()) return found->second;
  const std::vector<Loop> loops =
      limit == Limit::read
          ? std::vector<Loop>{read<false>, read<true>}
          : std::vector<Loop>{add<false, false>, add<true, false>, add<false, true>, add<true, true>};
  std::vector<Runnable> runs;
  runs.reserve(loops.size());
  for (Loop loop : loops) runs.push_back([limit, loop] { loop(arrays_with(limit, usual), usual); });
  const auto times = time_in_turns(runs, 0.15, Operands::in_memory);
  size_t best = 0;
  for (size_t i = 1; i < loops.size(); ++i) {
    if (median_ratio(times[i], times[best]) < 1) best = i;
  }
  return known.emplace(limit, loops[best]).first->second;
}

}  // namespace

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") != 0;
}

LimitLoop bandwidth_loop(Limit limit, double bytes) {
  constexpr double least = 1 << 20, most = 1 << 30;
  constexpr int64_t unit = int64_t{64} << 10;                                 // floats
  const double each = sizeof(float) * static_cast<double>(arrays_of(limit));  // bytes of an element of all
  const double wanted = bytes > 0 ? std::clamp(bytes, least, most) : each * usual;
  const int64_t count = static_cast<int64_t>(std::ceil(wanted / each / unit)) * unit;
  const Loop loop = fastest(limit);
  arrays_with(limit, count);  // made now, not while it is timed
  return {[=] { loop(arrays_with(limit, count), count); }, each * static_cast<double>(count)};
}

}  // namespace lazuli::bench
