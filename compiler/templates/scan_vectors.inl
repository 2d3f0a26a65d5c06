// The vectors that cumulative operations combine, and how they combine them; see scan_kernels.inl.

template <typename A>
using Vector = typename VectorOf<A>::type;

template <int... I>
struct Lanes {};
template <int count, int... I>
struct MakeLanes : MakeLanes<count - 1, count - 1, I...> {};
template <int... I>
struct MakeLanes<0, I...> {
  using type = Lanes<I...>;
};
template <typename A>
using AllLanes = typename MakeLanes<static_cast<int>(VectorOf<A>::lanes)>::type;

/// Stores past the caches; `to` is aligned to the vector's size.
template <typename V>
LAZULI_INLINE void stream_vector(void* to, V v) {
#if LAZULI_TEMPLATES_AVX2
  if constexpr (sizeof(V) == 32) {
    _mm256_stream_si256(static_cast<__m256i*>(to), (__m256i)v);
  } else {
    _mm_stream_si128(static_cast<__m128i*>(to), (__m128i)v);
  }
#else
  __builtin_memcpy(to, &v, sizeof v);  // vectors of the baseline are too short to gain by it
#endif
}

// The larger and the smaller; NaN where either is. The instructions give b where one is NaN; where a is, it
// is put back.
#if LAZULI_TEMPLATES_AVX512_SHORT
LAZULI_INLINE FloatV keep_nan(FloatV result, FloatV a) {
  constexpr int nan_to_source = 0x21;
  return (FloatV)_mm256_fixupimm_ps((__m256)result, (__m256)a, _mm256_set1_epi32(nan_to_source), 0);
}
#elif LAZULI_TEMPLATES_AVX2
LAZULI_INLINE FloatV keep_nan(FloatV result, FloatV a) {
  return (FloatV)_mm256_blendv_ps((__m256)result, (__m256)a, (__m256)(a != a));
}
#endif
LAZULI_INLINE FloatV larger(FloatV a, FloatV b) {
#if LAZULI_TEMPLATES_AVX2
  return keep_nan((FloatV)_mm256_max_ps((__m256)a, (__m256)b), a);
#else
  const FloatV most = a > b ? a : b;
  return a != a ? a : most;
#endif
}
LAZULI_INLINE FloatV smaller(FloatV a, FloatV b) {
#if LAZULI_TEMPLATES_AVX2
  return keep_nan((FloatV)_mm256_min_ps((__m256)a, (__m256)b), a);
#else
  const FloatV least = a < b ? a : b;
  return a != a ? a : least;
#endif
}
LAZULI_INLINE DoubleV larger(DoubleV a, DoubleV b) {
  const DoubleV most = a > b ? a : b;
  return a != a ? a : most;
}
LAZULI_INLINE DoubleV smaller(DoubleV a, DoubleV b) {
  const DoubleV least = a < b ? a : b;
  return a != a ? a : least;
}
template <typename V>
LAZULI_INLINE V larger(V a, V b) {
  return a > b ? a : b;
}
template <typename V>
LAZULI_INLINE V smaller(V a, V b) {
  return a < b ? a : b;
}

// Integers wrap around, as unsigned ones do.
struct Sum {
  template <typename T>
  static T identity() {
    return T{0};
  }
  template <typename V>
  static V vector(V a, V b) {
    return a + b;
  }
};

struct Product {
  template <typename T>
  static T identity() {
    return T{1};
  }
  template <typename V>
  static V vector(V a, V b) {
    return a * b;
  }
};

template <typename T>
struct Limits {
  static constexpr T highest = static_cast<T>(~(T{1} << (8 * sizeof(T) - 1)));
  static constexpr T lowest = -highest - 1;
};
template <>
struct Limits<float> {
  static constexpr float highest = __builtin_inff();
  static constexpr float lowest = -highest;
};
template <>
struct Limits<double> {
  static constexpr double highest = __builtin_inf();
  static constexpr double lowest = -highest;
};

struct Maximum {
  template <typename T>
  static T identity() {
    return Limits<T>::lowest;
  }
  template <typename V>
  static V vector(V a, V b) {
    return larger(a, b);
  }
};

struct Minimum {
  template <typename T>
  static T identity() {
    return Limits<T>::highest;
  }
  template <typename V>
  static V vector(V a, V b) {
    return smaller(a, b);
  }
};

typedef uint16_t HalvesV __attribute__((vector_size(vector_bytes)));

/// Elements of type T as vectors of what they are combined in; `group` of these are as many elements as a
/// vector of T has. Where it has `has_pairs`, elements at even positions and those after them are found as
/// two vectors without moving any lane.
template <typename T>
struct Elements {
  using A = T;
  static constexpr bool has_pairs = false;
  static constexpr int group = 1;
  static LAZULI_INLINE Vector<A> load(const T* from) { return load_vector<Vector<A>>(from); }
  static LAZULI_INLINE Vector<A> stored(const Vector<A>* v) { return v[0]; }
};
template <typename T, typename Storage>
struct HalfElements {
  using A = float;
  static constexpr bool has_pairs = false;
  static constexpr int group = 2;
  static LAZULI_INLINE FloatV load(const T* from) {
    return Storage::load(reinterpret_cast<const uint16_t*>(from));
  }
};
template <>
struct Elements<float16_t> : HalfElements<float16_t, Float16Storage> {
  static LAZULI_INLINE HalvesV stored(const FloatV* v) {
    const HalfV both[2] = {Float16Storage::narrow(v[0]), Float16Storage::narrow(v[1])};
    return load_vector<HalvesV>(both);
  }
};
template <>
struct Elements<bfloat16_t> : HalfElements<bfloat16_t, BFloat16Storage> {
  static constexpr bool has_pairs = true;
  static LAZULI_INLINE void load_pair(const bfloat16_t* from, FloatV* v) {
    const UintV bits = load_vector<UintV>(from);
    v[0] = (FloatV)(bits << 16);
    v[1] = (FloatV)(bits & 0xffff0000u);
  }
  /// Rounded to the nearest, to even where two are, in the high halves of words. What cumulative operations
  /// make of bfloat16 values is NaN only with bits of one of these, or as the processor makes it: its low
  /// half is 0, so that rounding never carries into its exponent and sign.
  static LAZULI_INLINE UintV rounded_high(FloatV v) {
    const UintV bits = (UintV)v;
    return bits + 0x7fffu + ((bits >> 16) & 1u);
  }
  static LAZULI_INLINE UintV stored_pair(const FloatV* v) {
    const UintV first = rounded_high(v[0]) >> 16;
#if LAZULI_TEMPLATES_AVX512_SHORT
    constexpr int and_or = 0xea;
    return (UintV)_mm256_ternarylogic_epi32((__m256i)rounded_high(v[1]), _mm256_set1_epi32(-0x10000),
                                            (__m256i)first, and_or);
#else
    return first | (rounded_high(v[1]) & 0xffff0000u);
#endif
  }
  static LAZULI_INLINE HalvesV stored(const FloatV* v) {
#if LAZULI_TEMPLATES_AVX2
    const __m256i low = (__m256i)BFloat16Storage::rounded(v[0]);
    const __m256i high = (__m256i)BFloat16Storage::rounded(v[1]);
    return (HalvesV)_mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
#else
    const HalfV both[2] = {BFloat16Storage::narrow(v[0]), BFloat16Storage::narrow(v[1])};
    return load_vector<HalvesV>(both);
#endif
  }
};

template <typename T, typename V>
LAZULI_INLINE void store_bits(T* to, V bits, bool stream) {
  if (stream) {
    stream_vector(to, bits);
  } else {
    store_vector(static_cast<void*>(to), bits);
  }
}

/// Stores Elements<T>::group vectors.
template <typename T, typename V>
LAZULI_INLINE void store(T* to, const V* v, bool stream) {
  store_bits(to, Elements<T>::stored(v), stream);
}

/// A vector of which only `count` lanes from `at` on are in memory; the others are `rest`.
template <typename T>
inline auto load_part(const T* from, int at, int count, typename Elements<T>::A rest) {
  using A = typename Elements<T>::A;
  constexpr int lanes = VectorOf<A>::lanes;
  alignas(vector_bytes) unsigned char bytes[lanes * sizeof(T)] = {};
  __builtin_memcpy(bytes + at * sizeof(T), from, count * sizeof(T));
  Vector<A> v = Elements<T>::load(reinterpret_cast<const T*>(bytes));
  for (int lane = 0; lane < lanes; ++lane) {
    if (lane < at || lane >= at + count) v[lane] = rest;
  }
  return v;
}

template <typename T, typename V>
inline void store_part(T* to, V v, int at, int count) {
  const V group[2] = {v, V{}};
  const auto stored = Elements<T>::stored(group);
  alignas(vector_bytes) unsigned char bytes[vector_bytes];
  store_vector(bytes, stored);
  __builtin_memcpy(static_cast<void*>(to), bytes + at * sizeof(T), count * sizeof(T));
}

/// Elements until `to` is aligned for whole vectors, or none where no element ever is.
template <typename T>
inline int64_t until_aligned(const T* to) {
  const uintptr_t missing = (vector_bytes - reinterpret_cast<uintptr_t>(to) % vector_bytes) % vector_bytes;
  return missing % sizeof(T) == 0 ? static_cast<int64_t>(missing / sizeof(T)) : 0;
}

template <typename T>
inline bool is_aligned(const T* to) {
  return reinterpret_cast<uintptr_t>(to) % vector_bytes == 0;
}

/// v with its lanes `by` places further (in reverse: nearer), and the identity where they came from.
template <int by, bool reverse, typename V, int... I>
inline V shifted(V v, V identity, Lanes<I...>) {
  constexpr int lanes = sizeof...(I);
  if constexpr (reverse) {
    return __builtin_shufflevector(v, identity, (I + by)...);
  } else {
    return __builtin_shufflevector(identity, v, (I < by ? I : lanes + I - by)...);
  }
}

#if LAZULI_TEMPLATES_AVX512_SHORT
// One instruction, where the compiler would take two.
template <bool reverse, int... I>
inline FloatV last_lane(FloatV v, Lanes<I...>) {
  return (FloatV)_mm256_permutexvar_ps(_mm256_set1_epi32(reverse ? 0 : 7), (__m256)v);
}
#endif
template <bool reverse, typename V, int... I>
inline V last_lane(V v, Lanes<I...>) {
  return __builtin_shufflevector(v, v, (I * 0 + (reverse ? 0 : static_cast<int>(sizeof...(I)) - 1))...);
}
