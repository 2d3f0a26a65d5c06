#include "limits.h"

#include "bandwidth.h"

#include <cstdint>
#include <map>

#include <immintrin.h>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::bench {
namespace {

constexpr int64_t steps = 1 << 16;
volatile float sink;  // NOLINT: keeps results alive

#define LAZULI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define LAZULI_AVX2 __attribute__((target("avx2,fma")))

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

LimitLoop on_registers(float (*loop)(), double operations) {
  const auto threads = static_cast<double>(num_threads());
  return {[loop] { parallel_for(num_threads(), [&](int64_t) { sink = loop(); }); },
          operations * static_cast<double>(chains) * static_cast<double>(steps) * threads};
}

/// Dot products of pairs, or multiply-adds in float32: processors differ in which do more.
LimitLoop bfloat16_limit() {
  LimitLoop multiply_adds = on_registers(has_avx512() ? fma_512 : fma_256, has_avx512() ? 32 : 16);
  if (!__builtin_cpu_supports("avx512bf16")) return multiply_adds;
  LimitLoop pairs = on_registers(bfloat16_512, 64);
  const auto times = time_in_turns({pairs.run, multiply_adds.run}, 0.05);
  return median_ratio(times[0], times[1]) < pairs.amount / multiply_adds.amount ? pairs : multiply_adds;
}

LimitLoop make(Limit limit) {
  switch (limit) {
    case Limit::read:
    case Limit::add:
    case Limit::copy:
      break;
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

LimitLoop limit_loop(Limit limit, double bytes) {
  if (is_bandwidth(limit)) return bandwidth_loop(limit, bytes);
  static std::map<Limit, LimitLoop> loops;
  const auto found = loops.find(limit);
  return found != loops.end() ? found->second : loops.emplace(limit, make(limit)).first->second;
}

}  // namespace lazuli::bench
