// Cumulative operations along rows; see scan_kernels.inl.

template <typename Op, int by, bool reverse, typename A>
inline Vector<A> scan_lanes(Vector<A> v, Vector<A> identity) {
  if constexpr (by < VectorOf<A>::lanes) {
    const Vector<A> earlier = shifted<by, reverse>(v, identity, AllLanes<A>{});
    return scan_lanes<Op, 2 * by, reverse, A>(Op::vector(earlier, v), identity);
  } else {
    return v;
  }
}

/// The combination of all lanes of both.
template <typename Op, typename A>
inline A combined_lanes(Vector<A> a, Vector<A> b) {
  const Vector<A> nothing = Vector<A>{} + Op::template identity<A>();
  return scan_lanes<Op, 1, false, A>(Op::vector(a, b), nothing)[VectorOf<A>::lanes - 1];
}

/// Makes of a vector of the elements at even positions and one of those after them two vectors in which they
/// follow each other, and the reverse.
template <typename V, int... I>
inline void interleave(V* pair, Lanes<I...>) {
  constexpr int lanes = sizeof...(I);
  const V even = pair[0];
  const V odd = pair[1];
  pair[0] = __builtin_shufflevector(even, odd, (I / 2 + I % 2 * lanes)...);
  pair[1] = __builtin_shufflevector(even, odd, (lanes / 2 + I / 2 + I % 2 * lanes)...);
}
template <typename V, int... I>
inline void take_apart(V* pair, Lanes<I...>) {
  const V low = pair[0];
  const V high = pair[1];
  pair[0] = __builtin_shufflevector(low, high, (2 * I)...);
  pair[1] = __builtin_shufflevector(low, high, (2 * I + 1)...);
}

/// What the elements met so far were combined to, in every lane, for operations that are associative on the
/// elements themselves.
template <typename Op, typename A, bool reverse, bool exclusive>
struct RunningCombination {
  static constexpr int abreast = 1;
  static constexpr bool takes_pairs = true;
  static constexpr bool takes_sums = true;
  RunningCombination(A carry, A sum)
      : before(Vector<A>{} + carry), sums{Vector<A>{} + identity(), Vector<A>{} + identity()} {
    sums[0][0] = sum;
  }

  static A identity() { return Op::template identity<A>(); }
  A carry() const { return before[0]; }
  /// The elements further on are combined in two chains.
  LAZULI_INLINE void add(Vector<A> v, int chain) { sums[chain] = Op::vector(sums[chain], v); }
  A sum() const { return combined_lanes<Op, A>(sums[0], sums[1]); }

  /// Replaces n vectors, which follow each other in memory, by their results.
  template <int n>
  LAZULI_INLINE void next(Vector<A>* vectors) {
    if (__builtin_expect(is_small(), 0)) return next_small<n, false>(vectors);
    for (int k = 0; k < n; ++k) next_vector(vectors[reverse ? n - 1 - k : k]);
  }
  /// The same of n / 2 pairs of vectors, the first of which has the elements at even positions and the second
  /// those after them.
  template <int n>
  LAZULI_INLINE void next_pairs(Vector<A>* vectors) {
    if (__builtin_expect(is_small(), 0)) return next_small<n, true>(vectors);
    for (int k = 0; k < n; k += 2) next_pair(vectors + (reverse ? n - 2 - k : k));
  }

  LAZULI_INLINE void next_vector(Vector<A>& v) {
    const Vector<A> own = scan_lanes<Op, 1, reverse, A>(v, Vector<A>{} + identity());
    v = Op::vector(before, combined_before(own));
    before = Op::vector(before, last_lane<reverse>(own, AllLanes<A>{}));
  }
  /// What each result is of a vector's own elements, of which `own` are the combinations.
  static LAZULI_INLINE Vector<A> combined_before(Vector<A> own) {
    return exclusive ? shifted<1, reverse>(own, Vector<A>{} + identity(), AllLanes<A>{}) : own;
  }
  LAZULI_INLINE void next_pair(Vector<A>* pair) {
    const Vector<A> nothing = Vector<A>{} + identity();
    Vector<A>& first = pair[reverse ? 1 : 0];
    Vector<A>& second = pair[reverse ? 0 : 1];
    const Vector<A> own = scan_lanes<Op, 1, reverse, A>(Op::vector(first, second), nothing);
    const Vector<A> earlier = Op::vector(before, shifted<1, reverse>(own, nothing, AllLanes<A>{}));
    const Vector<A> with_first = Op::vector(earlier, first);
    second = exclusive ? with_first : Op::vector(before, own);
    first = exclusive ? earlier : with_first;
    before = Op::vector(before, last_lane<reverse>(own, AllLanes<A>{}));
  }

  LAZULI_INLINE bool is_small() const {
    if constexpr (has_small_products<Op, A>) {
      return is_small_product(before);
    } else {
      return false;
    }
  }
  /// (On copies, as what a function is given the address of would be in memory at all times.)
  template <int n, bool are_pairs>
  LAZULI_INLINE void next_small(Vector<A>* vectors) {
    Vector<A> copies[n];
    for (int k = 0; k < n; ++k) copies[k] = vectors[k];
    before = walk_small<n, are_pairs>(before, copies);
    for (int k = 0; k < n; ++k) vectors[k] = copies[k];
  }
  template <int n, bool are_pairs>
  static __attribute__((noinline)) Vector<A> walk_small(Vector<A> before, Vector<A>* vectors) {
    for (int k = 0; are_pairs && k < n; k += 2) interleave(vectors + k, AllLanes<A>{});
    int k = 0;
    if constexpr (has_small_products<Op, A>) {
      SmallProduct<A> small(before);
      for (bool is_still_small = true; is_still_small && k < n; ++k) {
        Vector<A>& v = vectors[reverse ? n - 1 - k : k];
        const Vector<A> own = scan_lanes<Op, 1, reverse, A>(v, Vector<A>{} + identity());
        if (has_large_factor(own)) break;
        v = small.times(combined_before(own));
        is_still_small = small.multiply_by(last_lane<reverse>(own, AllLanes<A>{}));
      }
      before = small.product();
    }
    RunningCombination rest(before[0], identity());
    for (; k < n; ++k) rest.next_vector(vectors[reverse ? n - 1 - k : k]);
    for (k = 0; are_pairs && k < n; k += 2) take_apart(vectors + k, AllLanes<A>{});
    return rest.before;
  }

  Vector<A> before;
  Vector<A> sums[2];
};

/// Walks a row with a State that replaces vectors by their results: so many at once as it likes, or as make a
/// line in memory.
template <typename State, typename T, bool reverse>
void row_loop(const T* in, T* out, int64_t count, typename Elements<T>::A* carry, const ScanWalk& walk,
              typename Elements<T>::A* sums) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  const bool also_sums = State::takes_sums && walk.next != 0;
  State state(*carry, also_sums ? *sums : State::identity());
  const auto parts = [&](int64_t first, int64_t n) {
    for (int64_t done = 0; done < n; done += lanes) {
      const int64_t size = n - done < lanes ? n - done : lanes;
      const int64_t i = reverse ? first + n - done - size : first + done;
      const int at = reverse ? static_cast<int>(lanes - size) : 0;
      const auto count_now = static_cast<int>(size);
      Vector<A> v = load_part(in + i, at, count_now, State::identity());
      state.template next<1>(&v);
      if constexpr (State::takes_sums) {
        if (also_sums) state.add(load_part(in + i + walk.next, at, count_now, State::identity()), 0);
      }
      store_part(out + i, v, at, count_now);
    }
  };
  // What is before the first aligned vector, and what is left behind the last one.
  constexpr int group = Elements<T>::group;
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  constexpr int least = line > group * lanes ? static_cast<int>(line / lanes) : group;
  constexpr int vectors = State::abreast > least ? State::abreast : least;
  constexpr int64_t step = vectors * lanes;
  int64_t head = until_aligned(out);
  if (head > count) head = count;
  const int64_t body = (count - head) / step * step;
  const int64_t tail = count - head - body;
  const bool stream = walk.stream && is_aligned(out + head);
  reverse ? parts(head + body, tail) : parts(0, head);
  for (int64_t n = 0; n < body; n += step) {
    const int64_t i = head + (reverse ? body - step - n : n);
    if (__builtin_expect(walk.ahead != 0, 1)) {
      for (int64_t at = i; at < i + step; at += line) __builtin_prefetch(in + at + walk.ahead, 0, 3);
    }
    if (__builtin_expect(walk.far_ahead != 0, 1)) {
      for (int64_t at = i; at < i + step; at += line) __builtin_prefetch(in + at + walk.far_ahead, 0, 2);
    }
    Vector<A> results[vectors];
    if constexpr (State::takes_sums) {
      if (__builtin_expect(also_sums, 1)) {
        const T* const next = in + i + walk.next;
        if constexpr (Elements<T>::has_pairs) {
          for (int v = 0; v < vectors; v += 2) Elements<T>::load_pair(next + v * lanes, results + v);
        } else {
          for (int v = 0; v < vectors; ++v) results[v] = Elements<T>::load(next + v * lanes);
        }
        for (int v = 0; v < vectors; ++v) state.add(results[v], v % 2);
      }
    }
    if constexpr (State::takes_pairs && Elements<T>::has_pairs) {
      for (int v = 0; v < vectors; v += 2) Elements<T>::load_pair(in + i + v * lanes, results + v);
      state.template next_pairs<vectors>(results);
      for (int v = 0; v < vectors; v += 2) {
        store_bits(out + i + v * lanes, Elements<T>::stored_pair(results + v), stream);
      }
    } else {
      for (int v = 0; v < vectors; ++v) results[v] = Elements<T>::load(in + i + v * lanes);
      state.template next<vectors>(results);
      for (int v = 0; v < vectors; v += group) store<T>(out + i + v * lanes, results + v, stream);
    }
  }
  reverse ? parts(0, head) : parts(head + body, tail);
  *carry = state.carry();
  if constexpr (State::takes_sums) {
    if (also_sums) *sums = state.sum();
  }
}

/// In the direction and the form that `walk` says.
template <template <bool reverse, bool exclusive> class State, typename T>
void row_either(const T* in, T* out, int64_t count, typename Elements<T>::A* carry, ScanWalk walk,
                typename Elements<T>::A* sums) {
  const auto loop = walk.reverse     ? walk.exclusive ? row_loop<State<true, true>, T, true>
                                                      : row_loop<State<true, false>, T, true>
                        : walk.exclusive ? row_loop<State<false, true>, T, false>
                                     : row_loop<State<false, false>, T, false>;
  loop(in, out, count, carry, walk, sums);
}

template <typename Op, typename A>
struct Combinations {
  template <bool reverse, bool exclusive>
  using State = RunningCombination<Op, A, reverse, exclusive>;
};

template <typename Op, typename T>
typename Elements<T>::A total_loop(const T* in, int64_t count) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  constexpr int chains = 4;
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  constexpr int64_t ahead = 2048 / static_cast<int64_t>(sizeof(T));
  const A identity = Op::template identity<A>();
  Vector<A> sums[chains];
  for (Vector<A>& sum : sums) sum = Vector<A>{} + identity;
  int64_t i = 0;
  for (; i + chains * lanes <= count; i += chains * lanes) {
    for (int64_t at = i + ahead; at < i + ahead + chains * lanes; at += line)
      __builtin_prefetch(in + at, 0, 3);
    for (int c = 0; c < chains; ++c) sums[c] = Op::vector(sums[c], Elements<T>::load(in + i + c * lanes));
  }
  for (; i < count; i += lanes) {
    const int64_t left = count - i < lanes ? count - i : lanes;
    sums[0] = Op::vector(sums[0], load_part(in + i, 0, static_cast<int>(left), identity));
  }
  return combined_lanes<Op, A>(Op::vector(sums[0], sums[1]), Op::vector(sums[2], sums[3]));
}
