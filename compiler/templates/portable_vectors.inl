// The vectors of the portable kernels, in the compilers' vector extensions. Included, with the files beside
// it, once for each instruction set: `vector_bytes` is a vector's size, and LAZULI_TEMPLATES_AVX2 is 1 where
// AVX2, FMA and F16C may be used, LAZULI_TEMPLATES_AVX512 where AVX-512 may be (with the softmax kernels
// only). No standard library template may be instantiated from here, since the linker could keep the copy
// that needs AVX2.

#if defined(__clang__)
#define LAZULI_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LAZULI_UNROLL _Pragma("GCC unroll 16")
#endif
#define LAZULI_INLINE inline __attribute__((always_inline))

typedef float FloatV __attribute__((vector_size(vector_bytes)));
typedef double DoubleV __attribute__((vector_size(vector_bytes)));
typedef int32_t IntV __attribute__((vector_size(vector_bytes)));
typedef int64_t LongV __attribute__((vector_size(vector_bytes)));
typedef uint64_t UlongV __attribute__((vector_size(vector_bytes)));
typedef uint32_t UintV __attribute__((vector_size(vector_bytes)));
typedef int8_t SignedByteV __attribute__((vector_size(vector_bytes / 4)));
typedef uint16_t HalfV __attribute__((vector_size(vector_bytes / 2)));

constexpr int64_t float_lanes = vector_bytes / 4;
constexpr int64_t double_lanes = vector_bytes / 8;

template <bool first, typename A, typename B>
struct Choose {
  typedef A type;
};
template <typename A, typename B>
struct Choose<false, A, B> {
  typedef B type;
};

template <typename T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef FloatV type;
  static constexpr int64_t lanes = float_lanes;
};
template <>
struct VectorOf<double> {
  typedef DoubleV type;
  static constexpr int64_t lanes = double_lanes;
};
template <>
struct VectorOf<int32_t> {
  typedef IntV type;
  static constexpr int64_t lanes = float_lanes;
};
template <>
struct VectorOf<int64_t> {
  typedef LongV type;
  static constexpr int64_t lanes = double_lanes;
};

template <typename V, typename T>
LAZULI_INLINE V load_vector(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}

template <typename V, typename T>
LAZULI_INLINE void store_vector(T* p, V v) {
  __builtin_memcpy(p, &v, sizeof(V));
}

LAZULI_INLINE FloatV splat(float x) {
  return x - FloatV{};
}
LAZULI_INLINE DoubleV splat(double x) {
  return x - DoubleV{};
}
LAZULI_INLINE UintV splat(uint32_t x) {
  return x - UintV{};
}
LAZULI_INLINE IntV splat(int32_t x) {
  return x - IntV{};
}

#if LAZULI_TEMPLATES_AVX512
LAZULI_INLINE FloatV fma(FloatV a, FloatV b, FloatV c) {
  return (FloatV)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
LAZULI_INLINE DoubleV fma(DoubleV a, DoubleV b, DoubleV c) {
  return (DoubleV)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#elif LAZULI_TEMPLATES_AVX2
LAZULI_INLINE FloatV fma(FloatV a, FloatV b, FloatV c) {
  return (FloatV)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
LAZULI_INLINE DoubleV fma(DoubleV a, DoubleV b, DoubleV c) {
  return (DoubleV)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#else
LAZULI_INLINE FloatV fma(FloatV a, FloatV b, FloatV c) {
  return a * b + c;
}
LAZULI_INLINE DoubleV fma(DoubleV a, DoubleV b, DoubleV c) {
  return a * b + c;
}
#endif
LAZULI_INLINE float fma(float a, float b, float c) {
#if LAZULI_TEMPLATES_AVX2
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
LAZULI_INLINE double fma(double a, double b, double c) {
#if LAZULI_TEMPLATES_AVX2
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// mask ? a : b, with masks of all ones or zeros.
LAZULI_INLINE FloatV select(IntV mask, FloatV a, FloatV b) {
  return (FloatV)((mask & (IntV)a) | (~mask & (IntV)b));
}

LAZULI_INLINE float sum_lanes(FloatV v) {
#if LAZULI_TEMPLATES_AVX512
  return _mm512_reduce_add_ps((__m512)v);
#elif LAZULI_TEMPLATES_AVX2
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}
LAZULI_INLINE double sum_lanes(DoubleV v) {
#if LAZULI_TEMPLATES_AVX512
  return _mm512_reduce_add_pd((__m512d)v);
#elif LAZULI_TEMPLATES_AVX2
  return (v[0] + v[2]) + (v[1] + v[3]);
#else
  return v[0] + v[1];
#endif
}

/// How each storage is read as, and written from, float vectors and scalars.
struct Float32Storage {
  typedef float type;
  static LAZULI_INLINE FloatV load(const float* p) { return load_vector<FloatV>(p); }
  static LAZULI_INLINE float load_one(const float* p) { return *p; }
  static LAZULI_INLINE void store(float* p, FloatV v) { store_vector(p, v); }
  static LAZULI_INLINE void store_one(float* p, float v) { *p = v; }
};

struct Float64Storage {
  typedef double type;
  static LAZULI_INLINE DoubleV load(const double* p) { return load_vector<DoubleV>(p); }
  static LAZULI_INLINE double load_one(const double* p) { return *p; }
};

struct BFloat16Storage {
  typedef uint16_t type;
  static LAZULI_INLINE FloatV load(const uint16_t* p) {
#if LAZULI_TEMPLATES_AVX2
    // One instruction, where the compiler would take four.
    const UintV bits = (UintV)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
    const UintV bits = __builtin_convertvector(load_vector<HalfV>(p), UintV);
#endif
    return (FloatV)(bits << 16);
  }
  static LAZULI_INLINE float load_one(const uint16_t* p) {
    return half_detail::bfloat16_bits_to_float(*p);
  }
  /// To the nearest, to even where two are; NaN stays NaN. In the low halves of words.
  static LAZULI_INLINE UintV rounded(FloatV v) {
    const UintV bits = (UintV)v;
    const UintV number = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const UintV quiet = (bits >> 16) | 0x40u;
    const UintV nan = (UintV)(v != v);
    return (nan & quiet) | (~nan & number);
  }
  static LAZULI_INLINE HalfV narrow(FloatV v) {
    return __builtin_convertvector(rounded(v), HalfV);
  }
  static LAZULI_INLINE void store(uint16_t* p, FloatV v) {
    store_vector(p, narrow(v));
  }
  static LAZULI_INLINE void store_one(uint16_t* p, float v) {
    *p = half_detail::float_to_bfloat16_bits(v);
  }
};

struct Float16Storage {
  typedef uint16_t type;
  static LAZULI_INLINE FloatV load(const uint16_t* p) {
#if LAZULI_TEMPLATES_AVX512
    return (FloatV)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif LAZULI_TEMPLATES_AVX2
    return (FloatV)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
    // The exponent is rebased by a multiplication, which also normalises subnormal halves. NaN and infinity
    // come out with the exponent of 2^16 and get the rest by the mask.
    const UintV bits = __builtin_convertvector(load_vector<HalfV>(p), UintV);
    const UintV magnitude = (bits & 0x7fffu) << 13;
    const FloatV value = (FloatV)magnitude * splat(0x1p112f);
    const UintV special = (UintV)(value >= splat(65536.0f)) & 0x7f800000u;
    const UintV quiet = (UintV)(magnitude > splat(0x7c00u << 13)) & 0x400000u;
    return (FloatV)((UintV)value | special | quiet | ((bits & 0x8000u) << 16));
#endif
  }
  static LAZULI_INLINE float load_one(const uint16_t* p) {
    return half_detail::float16_bits_to_float(*p);
  }
  static LAZULI_INLINE HalfV narrow(FloatV v) {
#if LAZULI_TEMPLATES_AVX512
    return (HalfV)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif LAZULI_TEMPLATES_AVX2
    return (HalfV)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
#else
    HalfV result = {};
    for (int64_t i = 0; i < float_lanes; ++i) result[i] = half_detail::float_to_float16_bits(v[i]);
    return result;
#endif
  }
  static LAZULI_INLINE void store(uint16_t* p, FloatV v) {
    store_vector(p, narrow(v));
  }
  static LAZULI_INLINE void store_one(uint16_t* p, float v) {
    *p = half_detail::float_to_float16_bits(v);
  }
};
