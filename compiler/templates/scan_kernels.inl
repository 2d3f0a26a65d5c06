// Loops of cumulative operations, on the vectors of portable_vectors.inl, which says how this is compiled.

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
/// vector of T has.
template <typename T>
struct Elements {
  using A = T;
  static constexpr int group = 1;
  static LAZULI_INLINE Vector<A> load(const T* from) { return load_vector<Vector<A>>(from); }
  static LAZULI_INLINE Vector<A> stored(const Vector<A>* v) { return v[0]; }
};
template <typename T, typename Storage>
struct HalfElements {
  using A = float;
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

/// Stores Elements<T>::group vectors.
template <typename T, typename V>
LAZULI_INLINE void store(T* to, const V* v, bool stream) {
  const auto stored = Elements<T>::stored(v);
  if (stream) {
    stream_vector(to, stored);
  } else {
    store_vector(static_cast<void*>(to), stored);
  }
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

template <typename Op, int by, bool reverse, typename A>
inline Vector<A> scan_lanes(Vector<A> v, Vector<A> identity) {
  if constexpr (by < VectorOf<A>::lanes) {
    const Vector<A> earlier = shifted<by, reverse>(v, identity, AllLanes<A>{});
    return scan_lanes<Op, 2 * by, reverse, A>(Op::vector(earlier, v), identity);
  } else {
    return v;
  }
}

template <typename Op, typename T, bool reverse, bool exclusive>
void row_loop(const T* in, T* out, int64_t count, typename Elements<T>::A* carry, bool stream) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  const Vector<A> identity = Vector<A>{} + Op::template identity<A>();
  Vector<A> before = Vector<A>{} + *carry;
  const auto next = [&](Vector<A> v) {
    const Vector<A> own = scan_lanes<Op, 1, reverse, A>(v, identity);
    const Vector<A> result =
        Op::vector(before, exclusive ? shifted<1, reverse>(own, identity, AllLanes<A>{}) : own);
    before = Op::vector(before, last_lane<reverse>(own, AllLanes<A>{}));
    return result;
  };
  const auto parts = [&](int64_t first, int64_t n) {
    for (int64_t done = 0; done < n; done += lanes) {
      const int64_t size = n - done < lanes ? n - done : lanes;
      const int64_t i = reverse ? first + n - done - size : first + done;
      const int at = reverse ? static_cast<int>(lanes - size) : 0;
      const auto count_now = static_cast<int>(size);
      store_part(out + i, next(load_part(in + i, at, count_now, identity[0])), at, count_now);
    }
  };
  // What is before the first aligned vector, and what is left behind the last one.
  constexpr int group = Elements<T>::group;
  constexpr int64_t step = group * lanes;
  int64_t head = until_aligned(out);
  if (head > count) head = count;
  const int64_t body = (count - head) / step * step;
  const int64_t tail = count - head - body;
  stream = stream && is_aligned(out + head);
  reverse ? parts(head + body, tail) : parts(0, head);
  for (int64_t n = 0; n < body; n += step) {
    const int64_t i = head + (reverse ? body - step - n : n);
    Vector<A> results[group];
    for (int k = 0; k < group; ++k) {
      const int v = reverse ? group - 1 - k : k;
      results[v] = next(Elements<T>::load(in + i + v * lanes));
    }
    store<T>(out + i, results, stream);
  }
  reverse ? parts(0, head) : parts(head + body, tail);
  *carry = before[0];
}

template <typename Op, typename T>
void row_either(const T* in, T* out, int64_t count, typename Elements<T>::A* carry, ScanWalk walk) {
  const auto loop = walk.reverse ? walk.exclusive ? row_loop<Op, T, true, true> : row_loop<Op, T, true, false>
                    : walk.exclusive ? row_loop<Op, T, false, true>
                                     : row_loop<Op, T, false, false>;
  loop(in, out, count, carry, walk.stream);
}

template <typename Op, typename T>
typename Elements<T>::A total_loop(const T* in, int64_t count) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  constexpr int chains = 4;
  const A identity = Op::template identity<A>();
  Vector<A> sums[chains];
  for (Vector<A>& sum : sums) sum = Vector<A>{} + identity;
  int64_t i = 0;
  for (; i + chains * lanes <= count; i += chains * lanes) {
    for (int c = 0; c < chains; ++c) sums[c] = Op::vector(sums[c], Elements<T>::load(in + i + c * lanes));
  }
  for (; i < count; i += lanes) {
    const int64_t left = count - i < lanes ? count - i : lanes;
    sums[0] = Op::vector(sums[0], load_part(in + i, 0, static_cast<int>(left), identity));
  }
  Vector<A> all = Op::vector(Op::vector(sums[0], sums[1]), Op::vector(sums[2], sums[3]));
  all = scan_lanes<Op, 1, false, A>(all, Vector<A>{} + identity);
  return all[lanes - 1];
}

/// Rows of exactly `groups` groups of vectors, whose carries stay in registers.
template <typename Op, typename T, int groups, bool exclusive>
void few_columns_loop(const T* in, T* out, int64_t rows, int64_t step, typename Elements<T>::A* carry,
                      bool stream) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  constexpr int group = Elements<T>::group;
  constexpr int vectors = groups * group;
  Vector<A> before[vectors];
  for (int v = 0; v < vectors; ++v) before[v] = Elements<A>::load(carry + v * lanes);
  stream = stream && is_aligned(out) && step % (group * lanes) == 0;
  for (int64_t row = 0; row < rows; ++row, in += step, out += step) {
    Vector<A> results[vectors];
    for (int v = 0; v < vectors; ++v) {
      const Vector<A> now = Op::vector(before[v], Elements<T>::load(in + v * lanes));
      results[v] = exclusive ? before[v] : now;
      before[v] = now;
    }
    for (int v = 0; v < vectors; v += group) store<T>(out + v * lanes, results + v, stream);
  }
  for (int v = 0; v < vectors; ++v) store<A>(carry + v * lanes, before + v, false);
}

template <typename Op, typename T, bool exclusive>
void columns_loop(const T* in, T* out, int64_t rows, int64_t columns, int64_t step,
                  typename Elements<T>::A* carry, bool stream, int64_t ahead) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  constexpr int group = Elements<T>::group;
  constexpr int64_t abreast = group * lanes;
  if (columns == abreast) return few_columns_loop<Op, T, 1, exclusive>(in, out, rows, step, carry, stream);
  if (columns == 2 * abreast)
    return few_columns_loop<Op, T, 2, exclusive>(in, out, rows, step, carry, stream);
  if (columns == 4 * abreast)
    return few_columns_loop<Op, T, 4, exclusive>(in, out, rows, step, carry, stream);
  for (int64_t row = 0; row < rows; ++row, in += step, out += step) {
    const bool past_caches = stream && is_aligned(out);
    int64_t j = 0;
    for (; j + abreast <= columns; j += abreast) {
      if (ahead != 0) __builtin_prefetch(in + j + ahead, 0, 2);
      Vector<A> results[group];
      for (int v = 0; v < group; ++v) {
        const Vector<A> before = Elements<A>::load(carry + j + v * lanes);
        const Vector<A> now = Op::vector(before, Elements<T>::load(in + j + v * lanes));
        store<A>(carry + j + v * lanes, &now, false);
        results[v] = exclusive ? before : now;
      }
      store<T>(out + j, results, past_caches);
    }
    for (; j < columns; j += lanes) {
      const auto left = static_cast<int>(columns - j < lanes ? columns - j : lanes);
      const Vector<A> before = load_part(carry + j, 0, left, A{});
      const Vector<A> now = Op::vector(before, load_part(in + j, 0, left, A{}));
      store_part(carry + j, now, 0, left);
      store_part(out + j, exclusive ? before : now, 0, left);
    }
  }
}

template <typename Op, typename T>
void columns_either(const T* in, T* out, int64_t rows, int64_t columns, int64_t step,
                    typename Elements<T>::A* carry, ScanWalk walk) {
  const auto loop = walk.exclusive ? columns_loop<Op, T, true> : columns_loop<Op, T, false>;
  loop(in, out, rows, columns, step, carry, walk.stream, walk.ahead);
}

/// Combines `rows` rows with the carries, in one pass over these.
template <typename Op, typename T, int rows>
void combine_rows(const T* in, int64_t columns, int64_t step, typename Elements<T>::A* carry) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    Vector<A> sum = Elements<A>::load(carry + j);
    LAZULI_UNROLL
    for (int row = 0; row < rows; ++row) sum = Op::vector(sum, Elements<T>::load(in + row * step + j));
    store<A>(carry + j, &sum, false);
  }
  if (j < columns) {
    const auto left = static_cast<int>(columns - j);
    Vector<A> sum = load_part(carry + j, 0, left, A{});
    for (int row = 0; row < rows; ++row) {
      sum = Op::vector(sum, load_part(in + row * step + j, 0, left, A{}));
    }
    store_part(carry + j, sum, 0, left);
  }
}

template <typename Op, typename T>
void column_totals_loop(const T* in, int64_t rows, int64_t columns, int64_t step,
                        typename Elements<T>::A* carry) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) combine_rows<Op, T, 4>(in + row * step, columns, step, carry);
  for (; row < rows; ++row) combine_rows<Op, T, 1>(in + row * step, columns, step, carry);
}

template <typename Op, typename A>
void pass_on_loop(A* carry, const A* own, A* before, int64_t columns) {
  constexpr int64_t lanes = VectorOf<A>::lanes;
  int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    const Vector<A> so_far = Elements<A>::load(carry + j);
    store<A>(before + j, &so_far, false);
    const Vector<A> now = Op::vector(so_far, Elements<A>::load(own + j));
    store<A>(carry + j, &now, false);
  }
  if (j < columns) {
    const auto left = static_cast<int>(columns - j);
    const Vector<A> so_far = load_part(carry + j, 0, left, A{});
    store_part(before + j, so_far, 0, left);
    store_part(carry + j, Op::vector(so_far, load_part(own + j, 0, left, A{})), 0, left);
  }
}

template <typename Op, typename T>
constexpr ScanLoops<T> loops_of() {
  return {row_either<Op, T>, total_loop<Op, T>, columns_either<Op, T>, column_totals_loop<Op, T>,
          pass_on_loop<Op, typename Elements<T>::A>};
}

template <typename T>
constexpr ScanTable<T> table_of() {
  return {{loops_of<Sum, T>(), loops_of<Product, T>(), loops_of<Maximum, T>(), loops_of<Minimum, T>()}};
}

constexpr ScanKernels kernels_of_this_set{table_of<float>(),   table_of<double>(),    table_of<int32_t>(),
                                          table_of<int64_t>(), table_of<float16_t>(), table_of<bfloat16_t>()};
