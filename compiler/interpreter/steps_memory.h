#pragma once

#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include <lazuli/compiler/interpreter/steps_arithmetic.h>

/// The steps of one instruction set that touch memory.
namespace lazuli::interpreter {
namespace {

/// How elements of a dtype lie in memory, and what they are in registers.
template <typename T>
struct Plain {
  using Memory = Stored<T>;
  using Register = Stored<T>;
  static Register widen(Memory value) { return value; }
  static Memory narrow(Register value) { return value; }
};

struct Half {
  using Memory = uint16_t;
  using Register = float;
#if defined(__F16C__)
  static float widen(uint16_t bits) {
    return _cvtsh_ss(bits);
  }
  static uint16_t narrow(float value) {
    const __m128i halves = _mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT);
    return static_cast<uint16_t>(_mm_cvtsi128_si32(halves));
  }
#else
  static float widen(uint16_t bits) {
    return half_detail::float16_bits_to_float(bits);
  }
  static uint16_t narrow(float value) {
    return half_detail::float_to_float16_bits(value);
  }
#endif
};

struct Brain {
  using Memory = uint16_t;
  using Register = float;
  static float widen(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  static uint16_t narrow(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t nan = (bits >> 16) | 0x40u;
    return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
};

template <typename Layout>
inline constexpr bool is_plain = std::is_same_v<typename Layout::Memory, typename Layout::Register>;

template <typename Layout>
void load_contiguous(typename Layout::Register* result, const typename Layout::Memory* memory, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)
  if constexpr (std::is_same_v<Layout, Half>) {
    for (; i + 8 <= n; i += 8) {
      const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(memory + i));
      _mm256_storeu_ps(result + i, _mm256_cvtph_ps(bits));
    }
  }
#endif
  if constexpr (is_plain<Layout>) {
    std::memcpy(result, memory, static_cast<size_t>(n) * sizeof(*result));
  } else {
    for (; i < n; ++i) result[i] = Layout::widen(memory[i]);
  }
}

template <typename Layout>
void store_contiguous(typename Layout::Memory* memory, const typename Layout::Register* value, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)
  if constexpr (std::is_same_v<Layout, Half>) {
    for (; i + 8 <= n; i += 8) {
      const __m128i bits = _mm256_cvtps_ph(_mm256_loadu_ps(value + i), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(memory + i), bits);
    }
  }
#endif
  if constexpr (is_plain<Layout>) {
    std::memcpy(memory, value, static_cast<size_t>(n) * sizeof(*value));
  } else {
    for (; i < n; ++i) memory[i] = Layout::narrow(value[i]);
  }
}

template <typename Layout>
void load_run(std::byte* result, const std::byte* memory, int64_t stride, int64_t n) {
  auto* to = reinterpret_cast<typename Layout::Register*>(result);
  const auto* from = reinterpret_cast<const typename Layout::Memory*>(memory);
  if (stride == 1) return load_contiguous<Layout>(to, from, n);
  if (stride == 0) {
    const typename Layout::Register value = Layout::widen(*from);
    for (int64_t i = 0; i < n; ++i) to[i] = value;
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[i] = Layout::widen(from[i * stride]);
}

template <typename Layout>
void store_run(std::byte* memory, int64_t stride, const std::byte* value, int64_t n) {
  auto* to = reinterpret_cast<typename Layout::Memory*>(memory);
  const auto* from = reinterpret_cast<const typename Layout::Register*>(value);
  if (stride == 1) return store_contiguous<Layout>(to, from, n);
  for (int64_t i = 0; i < n; ++i) to[i * stride] = Layout::narrow(from[i]);
}

inline int64_t dynamic_offset(const DynamicIndices& indices, int64_t i) {
  int64_t offset = 0;
  for (int j = 0; j < indices.count; ++j) offset += indices.strides[j] * indices.x[j][i];
  return offset;
}

template <typename Layout>
void gather_run(std::byte* result, const std::byte* memory, int64_t stride, const DynamicIndices& indices,
                int64_t n) {
  auto* to = reinterpret_cast<typename Layout::Register*>(result);
  const auto* from = reinterpret_cast<const typename Layout::Memory*>(memory);
  for (int64_t i = 0; i < n; ++i) to[i] = Layout::widen(from[i * stride + dynamic_offset(indices, i)]);
}

template <typename Layout>
void scatter_run(std::byte* memory, int64_t stride, const DynamicIndices& indices, const std::byte* value,
                 int64_t n) {
  auto* to = reinterpret_cast<typename Layout::Memory*>(memory);
  const auto* from = reinterpret_cast<const typename Layout::Register*>(value);
  for (int64_t i = 0; i < n; ++i) to[i * stride + dynamic_offset(indices, i)] = Layout::narrow(from[i]);
}

template <typename Layout>
struct RoundTo {
  static float apply(float value) { return Layout::widen(Layout::narrow(value)); }
};

#if defined(__F16C__)
/// Eight conversions at a time, which a loop over single ones does not become.
template <>
struct OnBatches<RoundTo<Half>> {
  template <typename T>
  static constexpr bool of = Batch<T>::size >= 8;
  template <typename B>
  static B apply(B a) {
    alignas(64) float lanes[B::size];
    a.store_aligned(lanes);
    for (size_t i = 0; i < B::size; i += 8) {
      const __m128i half = _mm256_cvtps_ph(_mm256_load_ps(lanes + i), _MM_FROUND_TO_NEAREST_INT);
      _mm256_store_ps(lanes + i, _mm256_cvtph_ps(half));
    }
    return B::load_aligned(lanes);
  }
};
#endif

template <typename Layout>
void add_layout(StepTable& table, Dtype dtype) {
  const auto index = static_cast<size_t>(dtype.val());
  table.load[index] = load_run<Layout>;
  table.store[index] = store_run<Layout>;
  table.gather[index] = gather_run<Layout>;
  table.scatter[index] = scatter_run<Layout>;
}

inline void add_memory(StepTable& table) {
  for_each_type<ComputeTypes>([&]<typename T>(std::type_identity<T>) {
    add_layout<Plain<T>>(table, kir::scalar::compute_dtype<T>());
  });
  add_layout<Half>(table, float16);
  add_layout<Brain>(table, bfloat16);
  table.round_to[static_cast<size_t>(float16.val())] = step<RoundTo<Half>, float, float>;
  table.round_to[static_cast<size_t>(bfloat16.val())] = step<RoundTo<Brain>, float, float>;
}

}  // namespace
}  // namespace lazuli::interpreter
