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

/// What the elements met so far were combined to, in every lane, for operations that are associative on the
/// elements themselves.
template <typename Op, typename A, bool reverse, bool exclusive>
struct RunningCombination {
  static constexpr int abreast = 1;
  static constexpr bool takes_pairs = true;
  explicit RunningCombination(A carry) : before(Vector<A>{} + carry) {}

  static A identity() { return Op::template identity<A>(); }
  A carry() const { return before[0]; }

  /// Replaces n vectors, which follow each other in memory, by their results.
  template <int n>
  LAZULI_INLINE void next(Vector<A>* vectors) {
    const Vector<A> nothing = Vector<A>{} + identity();
    for (int k = 0; k < n; ++k) {
      Vector<A>& v = vectors[reverse ? n - 1 - k : k];
      const Vector<A> own = scan_lanes<Op, 1, reverse, A>(v, nothing);
      v = Op::vector(before, exclusive ? shifted<1, reverse>(own, nothing, AllLanes<A>{}) : own);
      before = Op::vector(before, last_lane<reverse>(own, AllLanes<A>{}));
    }
  }

  /// The same of n / 2 pairs of vectors, the first of which has the elements at even positions and the second
  /// those after them.
  template <int n>
  LAZULI_INLINE void next_pairs(Vector<A>* vectors) {
    const Vector<A> nothing = Vector<A>{} + identity();
    for (int k = 0; k < n; k += 2) {
      Vector<A>* const pair = vectors + (reverse ? n - 2 - k : k);
      Vector<A>& first = pair[reverse ? 1 : 0];
      Vector<A>& second = pair[reverse ? 0 : 1];
      const Vector<A> own = scan_lanes<Op, 1, reverse, A>(Op::vector(first, second), nothing);
      const Vector<A> earlier = Op::vector(before, shifted<1, reverse>(own, nothing, AllLanes<A>{}));
      const Vector<A> with_first = Op::vector(earlier, first);
      second = exclusive ? with_first : Op::vector(before, own);
      first = exclusive ? earlier : with_first;
      before = Op::vector(before, last_lane<reverse>(own, AllLanes<A>{}));
    }
  }

  Vector<A> before;
};

/// Walks a row with a State that replaces vectors by their results: so many at once as it likes, or as make a
/// line in memory.
template <typename State, typename T, bool reverse>
void row_loop(const T* in, T* out, int64_t count, typename Elements<T>::A* carry, bool stream,
              int64_t ahead) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  State state(*carry);
  const auto parts = [&](int64_t first, int64_t n) {
    for (int64_t done = 0; done < n; done += lanes) {
      const int64_t size = n - done < lanes ? n - done : lanes;
      const int64_t i = reverse ? first + n - done - size : first + done;
      const int at = reverse ? static_cast<int>(lanes - size) : 0;
      const auto count_now = static_cast<int>(size);
      Vector<A> v = load_part(in + i, at, count_now, State::identity());
      state.template next<1>(&v);
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
  stream = stream && is_aligned(out + head);
  reverse ? parts(head + body, tail) : parts(0, head);
  for (int64_t n = 0; n < body; n += step) {
    const int64_t i = head + (reverse ? body - step - n : n);
    if (ahead != 0) {
      for (int64_t at = i + ahead; at < i + ahead + step; at += line) __builtin_prefetch(in + at, 0, 3);
    }
    Vector<A> results[vectors];
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
}

/// In the direction and the form that `walk` says.
template <template <bool reverse, bool exclusive> class State, typename T>
void row_either(const T* in, T* out, int64_t count, typename Elements<T>::A* carry, ScanWalk walk) {
  const auto loop = walk.reverse     ? walk.exclusive ? row_loop<State<true, true>, T, true>
                                                      : row_loop<State<true, false>, T, true>
                        : walk.exclusive ? row_loop<State<false, true>, T, false>
                                     : row_loop<State<false, false>, T, false>;
  loop(in, out, count, carry, walk.stream, walk.ahead);
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
  Vector<A> all = Op::vector(Op::vector(sums[0], sums[1]), Op::vector(sums[2], sums[3]));
  all = scan_lanes<Op, 1, false, A>(all, Vector<A>{} + identity);
  return all[lanes - 1];
}
