// Cumulative operations down columns; see scan_kernels.inl.

/// Rows of exactly `groups` groups of vectors, whose carries stay in registers.
template <typename Op, typename T, int groups, bool exclusive, bool also_sums>
void few_columns_loop(const T* in, T* out, int64_t rows, int64_t step, typename Elements<T>::A* carry,
                      const ScanWalk& walk, typename Elements<T>::A* sums) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  constexpr int group = Elements<T>::group;
  constexpr int vectors = groups * group;
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  Vector<A> before[vectors];
  Vector<A> further[vectors];
  for (int v = 0; v < vectors; ++v) before[v] = Elements<A>::load(carry + v * lanes);
  for (int v = 0; also_sums && v < vectors; ++v) further[v] = Elements<A>::load(sums + v * lanes);
  const bool stream = walk.stream && is_aligned(out) && step % (group * lanes) == 0;
  for (int64_t row = 0; row < rows; ++row, in += step, out += step) {
    if (walk.ahead != 0) {
      for (int64_t at = 0; at < vectors * lanes; at += line) __builtin_prefetch(in + at + walk.ahead, 0, 3);
    }
    if (walk.far_ahead != 0) {
      for (int64_t at = 0; at < vectors * lanes; at += line) {
        __builtin_prefetch(in + at + walk.far_ahead, 0, 2);
      }
    }
    for (int v = 0; also_sums && v < vectors; ++v) {
      further[v] = Op::vector(further[v], Elements<T>::load(in + walk.next + v * lanes));
    }
    Vector<A> results[vectors];
    for (int v = 0; v < vectors; ++v) {
      const Vector<A> now = Op::vector(before[v], Elements<T>::load(in + v * lanes));
      results[v] = exclusive ? before[v] : now;
      before[v] = now;
    }
    for (int v = 0; v < vectors; v += group) store<T>(out + v * lanes, results + v, stream);
  }
  for (int v = 0; v < vectors; ++v) store<A>(carry + v * lanes, before + v, false);
  for (int v = 0; also_sums && v < vectors; ++v) store<A>(sums + v * lanes, further + v, false);
}

template <typename Op, typename T, bool exclusive, bool also_sums>
void columns_loop(const T* in, T* out, int64_t rows, int64_t columns, int64_t step,
                  typename Elements<T>::A* carry, const ScanWalk& walk, typename Elements<T>::A* sums) {
  using A = typename Elements<T>::A;
  constexpr int64_t lanes = VectorOf<A>::lanes;
  constexpr int group = Elements<T>::group;
  constexpr int64_t abreast = group * lanes;
  const auto few = columns == abreast       ? few_columns_loop<Op, T, 1, exclusive, also_sums>
                   : columns == 2 * abreast ? few_columns_loop<Op, T, 2, exclusive, also_sums>
                   : columns == 4 * abreast ? few_columns_loop<Op, T, 4, exclusive, also_sums>
                                            : nullptr;
  if (few != nullptr) return few(in, out, rows, step, carry, walk, sums);
  // Long rows to come would push the sums out of the first-level cache.
  const bool is_short = columns * static_cast<int64_t>(sizeof(T)) <= 2048;
  const auto add = [&](int64_t j, Vector<A> v) {
    const Vector<A> now = Op::vector(Elements<A>::load(sums + j), v);
    store<A>(sums + j, &now, false);
  };
  for (int64_t row = 0; row < rows; ++row, in += step, out += step) {
    const bool past_caches = walk.stream && is_aligned(out);
    int64_t j = 0;
    for (; j + abreast <= columns; j += abreast) {
      const T* const ahead = in + j + walk.ahead;
      if (walk.ahead != 0) is_short ? __builtin_prefetch(ahead, 0, 3) : __builtin_prefetch(ahead, 0, 2);
      if (walk.far_ahead != 0) __builtin_prefetch(in + j + walk.far_ahead, 0, 2);
      Vector<A> results[group];
      for (int v = 0; v < group; ++v) {
        const int64_t at = j + v * lanes;
        const Vector<A> before = Elements<A>::load(carry + at);
        const Vector<A> now = Op::vector(before, Elements<T>::load(in + at));
        store<A>(carry + at, &now, false);
        results[v] = exclusive ? before : now;
        if (also_sums) add(at, Elements<T>::load(in + walk.next + at));
      }
      store<T>(out + j, results, past_caches);
    }
    for (; j < columns; j += lanes) {
      const auto left = static_cast<int>(columns - j < lanes ? columns - j : lanes);
      const Vector<A> before = load_part(carry + j, 0, left, A{});
      const Vector<A> now = Op::vector(before, load_part(in + j, 0, left, A{}));
      store_part(carry + j, now, 0, left);
      store_part(out + j, exclusive ? before : now, 0, left);
      if (also_sums) {
        const Vector<A> further = load_part(in + walk.next + j, 0, left, A{});
        store_part(sums + j, Op::vector(load_part(sums + j, 0, left, A{}), further), 0, left);
      }
    }
  }
}

template <typename Op, typename T>
void columns_either(const T* in, T* out, int64_t rows, int64_t columns, int64_t step,
                    typename Elements<T>::A* carry, ScanWalk walk, typename Elements<T>::A* sums) {
  const auto loop = walk.exclusive
                        ? walk.next != 0 ? columns_loop<Op, T, true, true> : columns_loop<Op, T, true, false>
                    : walk.next != 0 ? columns_loop<Op, T, false, true>
                                     : columns_loop<Op, T, false, false>;
  loop(in, out, rows, columns, step, carry, walk, sums);
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
