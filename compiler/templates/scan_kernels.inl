// Loops of cumulative operations for vectors of `vector_bytes`, which `stream_vector` stores past the caches.
// Included once for each instruction set; no standard library template may be instantiated from here, since
// the linker could keep the copy that needs more than the machine has.

template <typename T>
struct VectorType {
  typedef T type __attribute__((vector_size(vector_bytes)));
  static constexpr int lanes = static_cast<int>(vector_bytes / sizeof(T));
};
template <typename T>
using Vector = typename VectorType<T>::type;

template <int... I>
struct Lanes {};
template <int count, int... I>
struct MakeLanes : MakeLanes<count - 1, count - 1, I...> {};
template <int... I>
struct MakeLanes<0, I...> {
  using type = Lanes<I...>;
};

template <typename T>
inline Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

// Integers wrap around, as unsigned ones do.
struct Sum {
  template <typename T>
  static T identity() {
    return T{0};
  }
  static float apply(float a, float b) { return a + b; }
  static double apply(double a, double b) { return a + b; }
  static int32_t apply(int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
  static int64_t apply(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
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
  static float apply(float a, float b) { return a * b; }
  static double apply(double a, double b) { return a * b; }
  static int32_t apply(int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
  }
  static int64_t apply(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
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

// `a` is what came before: once it is NaN it stays.
struct Maximum {
  template <typename T>
  static T identity() {
    return Limits<T>::lowest;
  }
  template <typename T>
  static T apply(T a, T b) {
    return a >= b || a != a ? a : b;
  }
  template <typename V>
  static V vector(V a, V b) {
    const V larger = a >= b ? a : b;
    return a != a ? a : larger;
  }
};

struct Minimum {
  template <typename T>
  static T identity() {
    return Limits<T>::highest;
  }
  template <typename T>
  static T apply(T a, T b) {
    return a <= b || a != a ? a : b;
  }
  template <typename V>
  static V vector(V a, V b) {
    const V smaller = a <= b ? a : b;
    return a != a ? a : smaller;
  }
};
/// v with its lanes `by` places further, and the identity in front.
template <typename Op, int by, typename T, int... I>
inline Vector<T> shifted(Vector<T> v, Vector<T> identity, Lanes<I...>) {
  constexpr int lanes = VectorType<T>::lanes;
  return __builtin_shufflevector(identity, v, (I < by ? I : lanes + I - by)...);
}

template <typename T, int... I>
inline Vector<T> last_lane(Vector<T> v, Lanes<I...>) {
  return __builtin_shufflevector(v, v, (I * 0 + VectorType<T>::lanes - 1)...);
}

template <typename Op, int by, typename T>
inline Vector<T> scan_lanes(Vector<T> v, Vector<T> identity) {
  if constexpr (by < VectorType<T>::lanes) {
    using All = typename MakeLanes<VectorType<T>::lanes>::type;
    return scan_lanes<Op, 2 * by, T>(Op::vector(shifted<Op, by, T>(v, identity, All{}), v), identity);
  } else {
    return v;
  }
}

template <typename T>
inline bool is_aligned(const T* at) {
  return reinterpret_cast<uintptr_t>(at) % vector_bytes == 0;
}

template <typename T>
inline void store(T* to, Vector<T> v, bool stream) {
  if (stream) {
    stream_vector(to, v);
  } else {
    __builtin_memcpy(to, &v, sizeof v);
  }
}

template <typename Op, typename T>
void scan_loop(const T* in, T* out, int64_t count, T* carry, bool stream) {
  constexpr int lanes = VectorType<T>::lanes;
  using All = typename MakeLanes<lanes>::type;
  const Vector<T> identity = Vector<T>{} + Op::template identity<T>();
  Vector<T> before = Vector<T>{} + *carry;
  stream = stream && is_aligned(out);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vector<T> own = scan_lanes<Op, 1, T>(load(in + i), identity);
    store(out + i, Op::vector(before, own), stream);
    before = Op::vector(before, last_lane<T>(own, All{}));
  }
  T last = before[0];
  for (; i < count; ++i) {
    last = Op::apply(last, in[i]);
    out[i] = last;
  }
  *carry = last;
}

template <typename Op, typename T>
T total_loop(const T* in, int64_t count) {
  constexpr int lanes = VectorType<T>::lanes;
  constexpr int chains = 4;
  Vector<T> sums[chains];
  for (Vector<T>& sum : sums) sum = Vector<T>{} + Op::template identity<T>();
  int64_t i = 0;
  for (; i + chains * lanes <= count; i += chains * lanes) {
    for (int c = 0; c < chains; ++c) sums[c] = Op::vector(sums[c], load(in + i + c * lanes));
  }
  const Vector<T> both = Op::vector(Op::vector(sums[0], sums[1]), Op::vector(sums[2], sums[3]));
  T total = both[0];
  for (int lane = 1; lane < lanes; ++lane) total = Op::apply(total, T{both[lane]});
  for (; i < count; ++i) total = Op::apply(total, in[i]);
  return total;
}

template <typename Op, bool exclusive, typename T>
void step_loop(const T* in, T* out, T* carry, int64_t count, bool stream) {
  constexpr int lanes = VectorType<T>::lanes;
  stream = stream && is_aligned(out);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const Vector<T> before = load(carry + j);
    const Vector<T> now = Op::vector(before, load(in + j));
    __builtin_memcpy(carry + j, &now, sizeof now);
    store(out + j, exclusive ? before : now, stream);
  }
  for (; j < count; ++j) {
    const T before = carry[j];
    carry[j] = Op::apply(before, in[j]);
    out[j] = exclusive ? before : carry[j];
  }
}

template <typename Op, typename T>
void step_either(const T* in, T* out, T* carry, int64_t count, bool exclusive, bool stream) {
  exclusive ? step_loop<Op, true>(in, out, carry, count, stream)
            : step_loop<Op, false>(in, out, carry, count, stream);
}

template <typename Op, typename T>
constexpr ScanLoops<T> loops_of() {
  return {scan_loop<Op, T>, total_loop<Op, T>, step_either<Op, T>};
}

template <typename T>
constexpr ScanTable<T> table_of() {
  return {{loops_of<Sum, T>(), loops_of<Product, T>(), loops_of<Maximum, T>(), loops_of<Minimum, T>()}};
}

constexpr ScanKernels kernels_of_this_set{table_of<float>(), table_of<double>(), table_of<int32_t>(),
                                          table_of<int64_t>()};
