// Logarithms of cumulative sums of exponentials; see scan_kernels.inl.
//
// What was met so far is known as a reference m and a sum s, whose logarithm is m + log(s). As long as no
// element is much larger than m, it adds e^(x - m) to s: s is at least 1, as elements are only ever added, so
// that nothing of a prefix is lost, and stays small, since m takes s over when it has grown. Where an element
// is larger, infinite or not a number, m becomes the largest element so far, in a form that is right for all
// of these but takes several exponentials.

/// Sums above this are taken over by the reference, so that neither differences nor logarithms become large,
/// whose rounding matters. A larger term, or one that is not a number, shows by it, too.
constexpr int large_sum = 4096;

template <typename A>
constexpr A lowest_logarithm = Limits<A>::lowest;

/// Whether a lane of n vectors, none of which is NaN, is above a bound.
template <int n>
LAZULI_INLINE bool is_any_above(const FloatV* v, float bound) {
#if LAZULI_TEMPLATES_AVX2
  __m256 most = (__m256)v[0];
  LAZULI_UNROLL
  for (int k = 1; k < n; ++k) most = _mm256_max_ps(most, (__m256)v[k]);
  return _mm256_movemask_ps(_mm256_cmp_ps(most, _mm256_set1_ps(bound), _CMP_GT_OQ)) != 0;
#else
  bool any = false;
  for (int64_t i = 0; i < n * float_lanes; ++i) any |= v[i / float_lanes][i % float_lanes] > bound;
  return any;
#endif
}
template <int n>
LAZULI_INLINE bool is_any_above(const DoubleV* v, double bound) {
#if LAZULI_TEMPLATES_AVX2
  __m256d most = (__m256d)v[0];
  LAZULI_UNROLL
  for (int k = 1; k < n; ++k) most = _mm256_max_pd(most, (__m256d)v[k]);
  return _mm256_movemask_pd(_mm256_cmp_pd(most, _mm256_set1_pd(bound), _CMP_GT_OQ)) != 0;
#else
  bool any = false;
  for (int64_t i = 0; i < n * double_lanes; ++i) any |= v[i / double_lanes][i % double_lanes] > bound;
  return any;
#endif
}

/// e^(from - to) for from <= to; equal infinities have no distance.
template <typename V>
LAZULI_INLINE V fall(V from, V to) {
  const V difference = from - to;
  return exp_of_term(from == to ? V{} : difference);
}

/// Logarithms of sums as references and sums, in each lane.
template <typename A>
struct LogarithmV {
  Vector<A> m;
  Vector<A> s;
  LAZULI_INLINE Vector<A> value() const { return plus_log(m, s); }
};
template <typename A>
LAZULI_INLINE LogarithmV<A> sum_of(LogarithmV<A> a, LogarithmV<A> b) {
  const Vector<A> m = larger(a.m, b.m);
  return {m, a.s * fall(a.m, m) + b.s * fall(b.m, m)};
}
template <typename A>
LAZULI_INLINE LogarithmV<A> logarithm_of(Vector<A> value) {
  const Vector<A> nothing = Vector<A>{} + lowest_logarithm<A>;
  return {value, value == nothing ? Vector<A>{} : Vector<A>{} + 1};
}

/// Adds a term to a sum, which leaves the digits that are lost in the term's place.
template <typename V>
LAZULI_INLINE void add_exactly(V& sum, V& term) {
  const V before = sum;
  sum = before + term;
  const V added = sum - before;
  term = (before - (sum - added)) + (term - added);
}

/// Lets the reference take over what is large, unless it is infinite.
template <typename A>
LAZULI_INLINE void take_over(LogarithmV<A>& logarithm, Vector<A>& low) {
  const Vector<A> s = logarithm.s + low;
  const Vector<A> m = plus_log(logarithm.m, s);
  const auto should = (m - m == Vector<A>{}) & (s > Vector<A>{} + large_sum);
  const Vector<A> difference = logarithm.m - m;
  const Vector<A> taken = s * exp_of_term(difference);
  logarithm.m = should ? m : logarithm.m;
  logarithm.s = should ? taken : logarithm.s;
  low = should ? Vector<A>{} : low;
}

/// v with its lanes `by` places further (in reverse: nearer), and zeros where they came from; or, if `by` is
/// half the lanes, with the last lane of the half before in every lane, which is as good for a cumulative
/// sum.
template <int by, bool reverse, typename V>
LAZULI_INLINE V shifted_in_zeros(V v) {
#if LAZULI_TEMPLATES_AVX2
  constexpr int bytes = by * static_cast<int>(sizeof(v[0]));
  const __m256i bits = (__m256i)v;
  if constexpr (bytes == 16) {
    const __m256i last = sizeof(v[0]) == 4 ? _mm256_shuffle_epi32(bits, reverse ? 0x00 : 0xff)
                                           : _mm256_shuffle_epi32(bits, reverse ? 0x44 : 0xee);
    return (V)_mm256_permute2x128_si256(last, last, reverse ? 0x81 : 0x08);
  } else {
    return (V)(reverse ? _mm256_srli_si256(bits, bytes) : _mm256_slli_si256(bits, bytes));
  }
#else
  using A = decltype(v[0] + v[0]);
  return shifted<by, reverse>(v, V{}, AllLanes<A>{});
#endif
}

/// Vectors whose terms and logarithms are computed in step: two multiplications begin in each turn and take
/// four, so that eight of them keep the units busy, where there are registers for as many.
#if LAZULI_TEMPLATES_AVX512_SHORT
constexpr int logarithms_abreast = 8;
#else
constexpr int logarithms_abreast = 4;
#endif

/// A State of row_loop.
template <typename A, bool reverse, bool exclusive>
struct RunningLogarithm {
  static constexpr int abreast = logarithms_abreast;
  static constexpr bool takes_pairs = false;
  static constexpr bool takes_sums = false;
  RunningLogarithm(A carry, A) : so_far(logarithm_of<A>(Vector<A>{} + carry)), low(Vector<A>{}) {}

  static A identity() { return lowest_logarithm<A>; }
  A carry() const { return plus_log(so_far.m, so_far.s + low)[0]; }

  template <int n>
  LAZULI_INLINE void next(Vector<A>* vectors) {
    Vector<A> terms[n];
    Vector<A> bases[n];
    LAZULI_UNROLL
    for (int k = 0; k < n; ++k) {
      terms[k] = vectors[k] - so_far.m;
      bases[k] = so_far.m;
    }
    exp_of_terms<n>(terms);
    scan_terms<1, n>(terms);
    Vector<A> sum = low;
    LAZULI_UNROLL
    for (int k = 0; k < n; ++k) {
      const int at = reverse ? n - 1 - k : k;
      const Vector<A> own = terms[at];
      terms[at] = so_far.s + (sum + (exclusive ? shifted<1, reverse>(own, Vector<A>{}, AllLanes<A>{}) : own));
      sum += last_lane<reverse>(own, AllLanes<A>{});
    }
    if (__builtin_expect(!(so_far.s[0] + sum[0] <= large_sum), 0)) return next_apart<n>(vectors);
    low = sum;
    add_exactly(so_far.s, low);
    plus_logs<n>(bases, terms);
    LAZULI_UNROLL
    for (int k = 0; k < n; ++k) vectors[k] = terms[k];
  }

  /// The cumulative sums of each vector.
  template <int by, int n>
  static LAZULI_INLINE void scan_terms(Vector<A>* terms) {
    if constexpr (by < VectorOf<A>::lanes) {
      LAZULI_UNROLL
      for (int k = 0; k < n; ++k) terms[k] += shifted_in_zeros<by, reverse>(terms[k]);
      scan_terms<2 * by, n>(terms);
    }
  }

  /// One vector after the other, as those behind may find another reference.
  template <int n>
  __attribute__((noinline)) void next_apart(Vector<A>* vectors) {
    for (int k = 0; k < n; ++k) {
      Vector<A>* at = vectors + (reverse ? n - 1 - k : k);
      if constexpr (n == 1) {
        *at = next_steep(*at);
      } else {
        next<1>(at);
      }
    }
  }

  Vector<A> next_steep(Vector<A> v) {
    const LogarithmV<A> nothing = {Vector<A>{} + identity(), Vector<A>{}};
    so_far.s += low;
    low = Vector<A>{};
    const LogarithmV<A> own = scanned<1>({v, Vector<A>{} + 1}, nothing);
    const LogarithmV<A> all = sum_of(so_far, own);
    const LogarithmV<A> result = exclusive ? sum_of(so_far, earlier<1>(own, nothing)) : all;
    so_far = {last_lane<reverse>(all.m, AllLanes<A>{}), last_lane<reverse>(all.s, AllLanes<A>{})};
    take_over(so_far, low);
    return result.value();
  }

  template <int by>
  static LogarithmV<A> earlier(LogarithmV<A> v, LogarithmV<A> nothing) {
    return {shifted<by, reverse>(v.m, nothing.m, AllLanes<A>{}),
            shifted<by, reverse>(v.s, nothing.s, AllLanes<A>{})};
  }
  template <int by>
  static LogarithmV<A> scanned(LogarithmV<A> v, LogarithmV<A> nothing) {
    if constexpr (by < VectorOf<A>::lanes) {
      return scanned<2 * by>(sum_of(earlier<by>(v, nothing), v), nothing);
    } else {
      return v;
    }
  }

  LogarithmV<A> so_far;
  Vector<A> low;
};

template <typename A>
struct Logarithms {
  template <bool reverse, bool exclusive>
  using State = RunningLogarithm<A, reverse, exclusive>;
};

/// Columns that are walked down together, and rows whose terms are added up before they are added to the sums
/// of those before: a million small terms would be lost in the sum of all.
template <typename A>
constexpr int64_t log_columns = 4096 / sizeof(A);
constexpr int64_t log_rows = 64;

enum class LogResults : uint8_t { none, inclusive, exclusive };

/// Some columns, with a logarithm for each in the first-level cache.
template <typename T, LogResults results>
struct ColumnLogarithms {
  using A = typename Elements<T>::A;
  using V = Vector<A>;
  static constexpr int64_t lanes = VectorOf<A>::lanes;
  static constexpr int group = Elements<T>::group;

  ColumnLogarithms(const A* carry, int64_t columns) : count(columns) {
    for (int64_t j = 0; j < count; j += lanes) {
      const auto here = logarithm_of<A>(load_part(carry + j, 0, lanes_at(j), A{}));
      keep(m + j, here.m);
      keep(s + j, here.s);
      keep(low + j, V{});
      keep(terms + j, V{});
    }
  }

  int lanes_at(int64_t j) const { return static_cast<int>(count - j < lanes ? count - j : lanes); }
  static LAZULI_INLINE V kept(const A* from) { return load_vector<V>(from); }
  static LAZULI_INLINE void keep(A* to, V v) { store_vector(to, v); }

  /// Replaces n vectors of the columns from j on by their results.
  template <int n>
  LAZULI_INLINE void next(int64_t j, V* vectors) {
    V references[n];
    V now[n];
    LAZULI_UNROLL
    for (int k = 0; k < n; ++k) {
      references[k] = kept(m + j + k * lanes);
      now[k] = vectors[k] - references[k];
    }
    exp_of_terms<n>(now);
    if (__builtin_expect(is_any_above<n>(now, large_sum), 0)) {
      for (int k = 0; k < n; ++k) {
        if constexpr (n == 1) {
          vectors[k] = next_steep(j, vectors[k]);
        } else {
          next_apart(j + k * lanes, vectors + k);
        }
      }
      return;
    }
    LAZULI_UNROLL
    for (int k = 0; k < n; ++k) {
      const V before = kept(terms + j + k * lanes);
      now[k] += before;
      keep(terms + j + k * lanes, now[k]);
      vectors[k] = kept(s + j + k * lanes) + (results == LogResults::exclusive ? before : now[k]);
    }
    if (results != LogResults::none) plus_logs<n>(references, vectors);
  }

  __attribute__((noinline)) void next_apart(int64_t j, V* vector) { next<1>(j, vector); }

  __attribute__((noinline)) V next_steep(int64_t j, V x) {
    const LogarithmV<A> before = {kept(m + j), kept(s + j) + (kept(low + j) + kept(terms + j))};
    const LogarithmV<A> now = sum_of(before, {x, V{} + 1});
    keep(m + j, now.m);
    keep(s + j, now.s);
    keep(low + j, V{});
    keep(terms + j, V{});
    return (results == LogResults::exclusive ? before : now).value();
  }

  template <int n>
  LAZULI_INLINE void columns_from(int64_t j, const T* in, T* out, bool stream) {
    V v[n];
    LAZULI_UNROLL
    for (int k = 0; k < n; ++k) v[k] = Elements<T>::load(in + j + k * lanes);
    next<n>(j, v);
    if (results == LogResults::none) return;
    LAZULI_UNROLL
    for (int k = 0; k < n; k += group) store<T>(out + j + k * lanes, v + k, stream);
  }

  void row(const T* in, T* out, bool stream, int64_t ahead) {
    int64_t j = 0;
    for (; j + logarithms_abreast * lanes <= count; j += logarithms_abreast * lanes) {
      for (int k = 0; ahead != 0 && k < logarithms_abreast; k += group) {
        __builtin_prefetch(in + j + k * lanes + ahead, 0, 2);
      }
      columns_from<logarithms_abreast>(j, in, out, stream);
    }
    for (; j + 2 * lanes <= count; j += 2 * lanes) columns_from<2>(j, in, out, stream);
    for (; j < count; j += lanes) {
      V v = load_part(in + j, 0, lanes_at(j), A{});
      next<1>(j, &v);
      if (results != LogResults::none) store_part(out + j, v, 0, lanes_at(j));
    }
  }

  /// Adds the terms of some rows to the sums.
  void settle() {
    for (int64_t j = 0; j < count; j += lanes) {
      LogarithmV<A> here = {kept(m + j), kept(s + j)};
      V rest = kept(low + j) + kept(terms + j);
      add_exactly(here.s, rest);
      take_over(here, rest);
      keep(m + j, here.m);
      keep(s + j, here.s);
      keep(low + j, rest);
      keep(terms + j, V{});
    }
  }

  void read_out(A* carry) const {
    for (int64_t j = 0; j < count; j += lanes) {
      store_part(carry + j, plus_log(kept(m + j), kept(s + j) + kept(low + j)), 0, lanes_at(j));
    }
  }

  int64_t count;
  A m[log_columns<A> + lanes];
  A s[log_columns<A> + lanes];
  A terms[log_columns<A> + lanes];
  A low[log_columns<A> + lanes];
};

template <typename T, LogResults results>
void log_columns_loop(const T* in, T* out, int64_t rows, int64_t columns, int64_t step,
                      typename Elements<T>::A* carry, const ScanWalk& walk) {
  constexpr int64_t together = log_columns<typename Elements<T>::A>;
  for (int64_t first = 0; first < columns; first += together) {
    ColumnLogarithms<T, results> some(carry + first, columns - first < together ? columns - first : together);
    for (int64_t row = 0; row < rows; ++row) {
      T* to = results == LogResults::none ? nullptr : out + row * step + first;
      some.row(in + row * step + first, to, walk.stream && is_aligned(to), walk.ahead);
      if ((row + 1) % log_rows == 0 || row + 1 == rows) some.settle();
    }
    some.read_out(carry + first);
  }
}

template <typename T>
void log_columns_either(const T* in, T* out, int64_t rows, int64_t columns, int64_t step,
                        typename Elements<T>::A* carry, ScanWalk walk, typename Elements<T>::A*) {
  const auto loop = walk.exclusive ? log_columns_loop<T, LogResults::exclusive>
                                   : log_columns_loop<T, LogResults::inclusive>;
  loop(in, out, rows, columns, step, carry, walk);
}

template <typename T>
void log_column_totals(const T* in, int64_t rows, int64_t columns, int64_t step,
                       typename Elements<T>::A* carry) {
  log_columns_loop<T, LogResults::none>(in, nullptr, rows, columns, step, carry, {});
}

template <typename A>
void pass_on_logarithms(A* carry, const A* own, A* before, int64_t columns) {
  constexpr int64_t lanes = VectorOf<A>::lanes;
  for (int64_t j = 0; j < columns; j += lanes) {
    const auto left = static_cast<int>(columns - j < lanes ? columns - j : lanes);
    const Vector<A> so_far = load_part(carry + j, 0, left, A{});
    const Vector<A> next = load_part(own + j, 0, left, A{});
    store_part(before + j, so_far, 0, left);
    store_part(carry + j, sum_of(logarithm_of<A>(so_far), logarithm_of<A>(next)).value(), 0, left);
  }
}

/// As columns, as many as some vectors have lanes, whose logarithms are added up.
template <typename T>
typename Elements<T>::A log_total(const T* in, int64_t count) {
  using A = typename Elements<T>::A;
  constexpr int64_t columns = logarithms_abreast * VectorOf<A>::lanes;
  A carry[columns];
  for (A& one : carry) one = lowest_logarithm<A>;
  const int64_t rows = count / columns;
  log_column_totals(in, rows, columns, columns, carry);
  log_column_totals(in + rows * columns, 1, count - rows * columns, columns, carry);
  A unused[columns];
  for (int64_t n = columns / 2; n > 0; n /= 2) pass_on_logarithms(carry, carry + n, unused, n);
  return carry[0];
}
