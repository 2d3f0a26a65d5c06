#include "limits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>

#include <immintrin.h>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>
#include <lazuli/lazuli.h>

namespace lazuli::bench {
namespace {

constexpr int64_t floats = int64_t{16} << 20;
constexpr double most_read = 1 << 30;  // bytes
constexpr int64_t steps = 1 << 16;     // of the loops on registers
volatile float sink;                   // NOLINT: keeps results alive

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") != 0;
}

#define LAZULI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define LAZULI_AVX2 __attribute__((target("avx2,fma")))

LAZULI_AVX512 float read_512(const float* a, int64_t n) {
  __m512 sums[8] = {};
  for (int64_t i = 0; i < n; i += 128) {
    for (size_t k = 0; k < 8; ++k) sums[k] = _mm512_add_ps(sums[k], _mm512_loadu_ps(a + i + 16 * k));
  }
  for (size_t k = 1; k < 8; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  return _mm512_cvtss_f32(sums[0]);
}
LAZULI_AVX2 float read_256(const float* a, int64_t n) {
  __m256 sums[8] = {};
  for (int64_t i = 0; i < n; i += 64) {
    for (size_t k = 0; k < 8; ++k) sums[k] = _mm256_add_ps(sums[k], _mm256_loadu_ps(a + i + 8 * k));
  }
  for (size_t k = 1; k < 8; ++k) sums[0] = _mm256_add_ps(sums[0], sums[k]);
  return _mm256_cvtss_f32(sums[0]);
}

template <bool stream>
LAZULI_AVX512 void add_512(const float* a, const float* b, float* c, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 sum =
        b != nullptr ? _mm512_add_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)) : _mm512_loadu_ps(a + i);
    stream ? _mm512_stream_ps(c + i, sum) : _mm512_storeu_ps(c + i, sum);
  }
}
template <bool stream>
LAZULI_AVX2 void add_256(const float* a, const float* b, float* c, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 sum =
        b != nullptr ? _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)) : _mm256_loadu_ps(a + i);
    stream ? _mm256_stream_ps(c + i, sum) : _mm256_storeu_ps(c + i, sum);
  }
}

// Accumulators enough to hide an instruction's latency.
constexpr size_t chains = 12;

LAZULI_AVX512 float fma_512() {
  __m512 sums[chains];
  for (__m512& sum : sums) sum = _mm512_set1_ps(sink);  // not known to be equal
  const __m512 x = _mm512_set1_ps(sink), y = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (size_t k = 0; k < chains; ++k) sums[k] = _mm512_fmadd_ps(sums[k], x, y);
  }
  for (size_t k = 1; k < chains; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  return _mm512_cvtss_f32(sums[0]);
}
LAZULI_AVX2 float fma_256() {
  __m256 sums[chains];
  for (__m256& sum : sums) sum = _mm256_set1_ps(sink);
  const __m256 x = _mm256_set1_ps(sink), y = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (size_t k = 0; k < chains; ++k) sums[k] = _mm256_fmadd_ps(sums[k], x, y);
  }
  for (size_t k = 1; k < chains; ++k) sums[0] = _mm256_add_ps(sums[0], sums[k]);
  return _mm256_cvtss_f32(sums[0]);
}
__attribute__((target("avx512f,avx512bf16"))) float bfloat16_512() {
  __m512 sums[chains];
  for (__m512& sum : sums) sum = _mm512_set1_ps(sink);  // not known to be equal
  const __m512 wide = _mm512_set1_ps(sink);
  const __m512bh x = _mm512_cvtne2ps_pbh(wide, wide);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (size_t k = 0; k < chains; ++k) sums[k] = _mm512_dpbf16_ps(sums[k], x, x);
  }
  for (size_t k = 1; k < chains; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  return _mm512_cvtss_f32(sums[0]);
}
__attribute__((target("avx512f,avx512vnni"))) float int8_512() {
  __m512i sums[chains];
  for (__m512i& sum : sums) sum = _mm512_set1_epi32(static_cast<int>(sink));
  const __m512i x = _mm512_set1_epi32(static_cast<int>(sink));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (size_t k = 0; k < chains; ++k) sums[k] = _mm512_dpbusd_epi32(sums[k], x, x);
  }
  for (size_t k = 1; k < chains; ++k) sums[0] = _mm512_add_epi32(sums[0], sums[k]);
  return static_cast<float>(_mm512_cvtsi512_si32(sums[0]));
}
LAZULI_AVX2 float int8_256() {
  __m256i sums[chains];
  for (__m256i& sum : sums) sum = _mm256_set1_epi32(static_cast<int>(sink));
  __m256i x = _mm256_set1_epi32(static_cast<int>(sink));
  const __m256i one = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (size_t k = 0; k < chains; ++k) {
      asm volatile("" : "+x"(x));  // or the products would be computed once
      sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), one));
    }
  }
  for (size_t k = 1; k < chains; ++k) sums[0] = _mm256_add_epi32(sums[0], sums[k]);
  return static_cast<float>(_mm256_cvtsi256_si32(sums[0]));
}

#undef LAZULI_AVX512
#undef LAZULI_AVX2

/// The arrays that the loops go over.
std::array<float*, 3> memory() {
  static const std::array<array, 3> arrays = [] {
    std::array<array, 3> made{full({floats}, 1.0f), full({floats}, 2.0f), full({floats}, 3.0f)};
    for (array& a : made) a.eval();
    return made;
  }();
  std::array<float*, 3> pointers;
  for (size_t i = 0; i < 3; ++i) pointers[i] = const_cast<float*>(arrays[i].data<float>());
  return pointers;
}

/// Each thread's share of arrays of `count` elements, in whole steps.
template <typename F>
void over_threads(int64_t count, F&& f) {
  const int64_t parts = num_threads();
  parallel_for(parts, [&](int64_t part) {
    const int64_t begin = count * part / parts / 128 * 128;
    const int64_t end = part + 1 == parts ? count : count * (part + 1) / parts / 128 * 128;
    f(begin, end - begin);
  });
}

Runnable reading(const float* a, int64_t count) {
  return [a, count] {
    over_threads(count, [&](int64_t begin, int64_t n) {
      sink = has_avx512() ? read_512(a + begin, n) : read_256(a + begin, n);
    });
  };
}

/// Reads about as much as work that reads so many bytes. The array is made anew where it is too small.
const LimitLoop& reading_as_much(double bytes) {
  static std::map<int64_t, LimitLoop> loops;  // by elements
  static array large = array(0.0f);
  constexpr int64_t unit = int64_t{4} << 20;
  const double wanted = std::min(bytes, most_read) / sizeof(float);
  const int64_t count = static_cast<int64_t>(std::ceil(wanted / unit)) * unit;
  if (static_cast<int64_t>(large.size()) < count) {
    loops.clear();
    large = full({static_cast<int>(count)}, 1.0f);
    large.eval();
  }
  const auto found = loops.find(count);
  if (found != loops.end()) return found->second;
  const LimitLoop loop{reading(large.data<float>(), count), sizeof(float) * static_cast<double>(count)};
  return loops.emplace(count, loop).first->second;
}

template <bool stream>
Runnable adding(bool second) {
  const auto [a, b, c] = memory();
  return [a = a, b = second ? b : nullptr, c = c] {
    over_threads(floats, [&](int64_t begin, int64_t n) {
      const float* other = b != nullptr ? b + begin : nullptr;
      has_avx512() ? add_512<stream>(a + begin, other, c + begin, n)
                   : add_256<stream>(a + begin, other, c + begin, n);
    });
  };
}

/// The faster of two loops.
Runnable faster(const Runnable& first, const Runnable& second) {
  const auto times = time_in_turns({first, second});
  return median_ratio(times[0], times[1]) < 1 ? first : second;
}

LimitLoop on_registers(float (*loop)(), double operations) {
  const auto threads = static_cast<double>(num_threads());
  return {[loop] { parallel_for(num_threads(), [&](int64_t) { sink = loop(); }); },
          operations * static_cast<double>(chains) * static_cast<double>(steps) * threads};
}

/// Dot products of pairs, or multiply-adds in float32: processors differ in which do more.
LimitLoop bfloat16_limit() {
  const LimitLoop multiply_adds = on_registers(has_avx512() ? fma_512 : fma_256, has_avx512() ? 32 : 16);
  if (!__builtin_cpu_supports("avx512bf16")) return multiply_adds;
  const LimitLoop pairs = on_registers(bfloat16_512, 64);
  const auto times = time_in_turns({pairs.run, multiply_adds.run}, 0.05);
  return median_ratio(times[0], times[1]) < pairs.amount / multiply_adds.amount ? pairs : multiply_adds;
}

LimitLoop make(Limit limit) {
  constexpr double bytes = 4.0 * floats;
  switch (limit) {
    case Limit::read:
      return {reading(memory()[0], floats), bytes};
    case Limit::add:
      return {faster(adding<false>(true), adding<true>(true)), 3 * bytes};
    case Limit::copy:
      return {faster(adding<false>(false), adding<true>(false)), 2 * bytes};
    case Limit::fma_float32:
      return has_avx512() ? on_registers(fma_512, 32) : on_registers(fma_256, 16);
    case Limit::dot_bfloat16:
      return bfloat16_limit();
    case Limit::dot_int8:
      return __builtin_cpu_supports("avx512vnni") ? on_registers(int8_512, 128) : on_registers(int8_256, 64);
  }
  throw std::invalid_argument("[limit_loop] no such limit");
}

}  // namespace

std::string_view name_of(Limit limit) {
  switch (limit) {
    case Limit::read:
      return "read bandwidth";
    case Limit::add:
      return "add bandwidth";
    case Limit::copy:
      return "copy bandwidth";
    case Limit::fma_float32:
      return "float32 FMA peak";
    case Limit::dot_bfloat16:
      return "bfloat16 dot peak";
    case Limit::dot_int8:
      return "int8 dot peak";
  }
  return "";
}

std::string_view unit_of(Limit limit) {
  if (is_bandwidth(limit)) return "GB/s";
  return limit == Limit::dot_int8 ? "GOP/s" : "GFLOP/s";
}

bool is_bandwidth(Limit limit) {
  return limit == Limit::read || limit == Limit::add || limit == Limit::copy;
}

const LimitLoop& limit_loop(Limit limit, double bytes) {
  if (limit == Limit::read && bytes > sizeof(float) * static_cast<double>(floats))
    return reading_as_much(bytes);
  static std::map<Limit, LimitLoop> loops;
  const auto found = loops.find(limit);
  return found != loops.end() ? found->second : loops.emplace(limit, make(limit)).first->second;
}

}  // namespace lazuli::bench
