// The portable stages of Fourier transforms. See portable_vectors.inl for how this is compiled.

/// cos and sin of 2π k / radix for the odd radices, from k = 1 to radix / 2.
template <int radix>
struct Roots;
template <>
struct Roots<3> {
  static constexpr float cosines[] = {-0.5f};
  static constexpr float sines[] = {0.8660254037844386f};
};
template <>
struct Roots<5> {
  static constexpr float cosines[] = {0.30901699437494745f, -0.8090169943749475f};
  static constexpr float sines[] = {0.9510565162951535f, 0.5877852522924731f};
};
template <>
struct Roots<7> {
  static constexpr float cosines[] = {0.6234898018587336f, -0.2225209339563144f, -0.9009688679024191f};
  static constexpr float sines[] = {0.7818314824680298f, 0.9749279121818236f, 0.4338837391175582f};
};
template <>
struct Roots<11> {
  static constexpr float cosines[] = {0.8412535328311812f, 0.41541501300188644f, -0.142314838273285f,
                                      -0.654860733945285f, -0.9594929736144974f};
  static constexpr float sines[] = {0.5406408174555976f, 0.9096319953545184f, 0.9898214418809327f,
                                    0.7557495743542583f, 0.28173255684142967f};
};
template <>
struct Roots<13> {
  static constexpr float cosines[] = {0.8854560256532099f,  0.5680647467311558f,  0.12053668025532305f,
                                      -0.3546048870425356f, -0.7485107481711011f, -0.970941817426052f};
  static constexpr float sines[] = {0.4647231720437685f, 0.8229838658936564f, 0.992708874098054f,
                                    0.9350162426854148f, 0.6631226582407952f, 0.23931566428755777f};
};

/// The sums over k of element k times exp(-2πi jk / radix), for each j.
template <int radix>
struct Butterfly {
  /// An odd prime: elements k and radix - k share their products.
  static LAZULI_INLINE void run(const FloatV* re, const FloatV* im, FloatV* sum_re, FloatV* sum_im) {
    constexpr int half = radix / 2;
    FloatV plus_re[half], plus_im[half], minus_re[half], minus_im[half];
    sum_re[0] = re[0];
    sum_im[0] = im[0];
    LAZULI_UNROLL
    for (int k = 0; k < half; ++k) {
      plus_re[k] = re[k + 1] + re[radix - 1 - k];
      plus_im[k] = im[k + 1] + im[radix - 1 - k];
      minus_re[k] = re[k + 1] - re[radix - 1 - k];
      minus_im[k] = im[k + 1] - im[radix - 1 - k];
      sum_re[0] += plus_re[k];
      sum_im[0] += plus_im[k];
    }
    LAZULI_UNROLL
    for (int j = 1; j <= half; ++j) {
      FloatV even_re = re[0], even_im = im[0], odd_re = FloatV{}, odd_im = FloatV{};
      LAZULI_UNROLL
      for (int k = 0; k < half; ++k) {
        const int at = j * (k + 1) % radix;  // never 0, as the radix is prime
        const float cosine = Roots<radix>::cosines[(at <= half ? at : radix - at) - 1];
        const float sine = at <= half ? Roots<radix>::sines[at - 1] : -Roots<radix>::sines[radix - at - 1];
        even_re = fma(plus_re[k], splat(cosine), even_re);
        even_im = fma(plus_im[k], splat(cosine), even_im);
        odd_re = fma(minus_im[k], splat(sine), odd_re);
        odd_im = fma(minus_re[k], splat(-sine), odd_im);
      }
      sum_re[j] = even_re + odd_re;
      sum_im[j] = even_im + odd_im;
      sum_re[radix - j] = even_re - odd_re;
      sum_im[radix - j] = even_im - odd_im;
    }
  }
};

template <>
struct Butterfly<2> {
  static LAZULI_INLINE void run(const FloatV* re, const FloatV* im, FloatV* sum_re, FloatV* sum_im) {
    sum_re[0] = re[0] + re[1];
    sum_im[0] = im[0] + im[1];
    sum_re[1] = re[0] - re[1];
    sum_im[1] = im[0] - im[1];
  }
};

template <>
struct Butterfly<4> {
  static LAZULI_INLINE void run(const FloatV* re, const FloatV* im, FloatV* sum_re, FloatV* sum_im) {
    const FloatV even_re = re[0] + re[2], even_im = im[0] + im[2];
    const FloatV odd_re = re[1] + re[3], odd_im = im[1] + im[3];
    const FloatV even_difference_re = re[0] - re[2], even_difference_im = im[0] - im[2];
    const FloatV odd_difference_re = re[1] - re[3], odd_difference_im = im[1] - im[3];
    sum_re[0] = even_re + odd_re;
    sum_im[0] = even_im + odd_im;
    sum_re[1] = even_difference_re + odd_difference_im;
    sum_im[1] = even_difference_im - odd_difference_re;
    sum_re[2] = even_re - odd_re;
    sum_im[2] = even_im - odd_im;
    sum_re[3] = even_difference_re - odd_difference_im;
    sum_im[3] = even_difference_im + odd_difference_re;
  }
};

template <>
struct Butterfly<8> {
  /// The sums over even and over odd elements, the latter turned by eighths.
  static LAZULI_INLINE void run(const FloatV* re, const FloatV* im, FloatV* sum_re, FloatV* sum_im) {
    FloatV half_re[2][4], half_im[2][4];
    LAZULI_UNROLL
    for (int i = 0; i < 2; ++i) {
      const FloatV of_re[] = {re[i], re[i + 2], re[i + 4], re[i + 6]};
      const FloatV of_im[] = {im[i], im[i + 2], im[i + 4], im[i + 6]};
      Butterfly<4>::run(of_re, of_im, half_re[i], half_im[i]);
    }
    const FloatV root = splat(0.7071067811865476f), minus_root = splat(-0.7071067811865476f);
    // Odd sums turned, but for the root of a half that two of them share.
    const FloatV turned_re[] = {half_re[1][0], half_re[1][1] + half_im[1][1], half_im[1][2],
                                half_im[1][3] - half_re[1][3]};
    const FloatV turned_im[] = {half_im[1][0], half_im[1][1] - half_re[1][1], -half_re[1][2],
                                half_re[1][3] + half_im[1][3]};
    sum_re[0] = half_re[0][0] + turned_re[0];
    sum_im[0] = half_im[0][0] + turned_im[0];
    sum_re[4] = half_re[0][0] - turned_re[0];
    sum_im[4] = half_im[0][0] - turned_im[0];
    sum_re[1] = fma(turned_re[1], root, half_re[0][1]);
    sum_im[1] = fma(turned_im[1], root, half_im[0][1]);
    sum_re[5] = fma(turned_re[1], minus_root, half_re[0][1]);
    sum_im[5] = fma(turned_im[1], minus_root, half_im[0][1]);
    sum_re[2] = half_re[0][2] + turned_re[2];
    sum_im[2] = half_im[0][2] - half_re[1][2];
    sum_re[6] = half_re[0][2] - turned_re[2];
    sum_im[6] = half_im[0][2] + half_re[1][2];
    sum_re[3] = fma(turned_re[3], root, half_re[0][3]);
    sum_im[3] = fma(turned_im[3], minus_root, half_im[0][3]);
    sum_re[7] = fma(turned_re[3], minus_root, half_re[0][3]);
    sum_im[7] = fma(turned_im[3], root, half_im[0][3]);
  }
};

template <>
struct Butterfly<16> {
  /// Four sums of every fourth element, turned by sixteenths, and sums of these.
  static LAZULI_INLINE void run(const FloatV* re, const FloatV* im, FloatV* sum_re, FloatV* sum_im) {
    constexpr float cosines[] = {1, 0.9238795325112867f,  0.7071067811865476f,  0.3826834323650898f,
                                 0, -0.3826834323650898f, -0.7071067811865476f, 0,
                                 0, -0.9238795325112867f};
    constexpr float sines[] = {0,  -0.3826834323650898f, -0.7071067811865476f, -0.9238795325112867f,
                               -1, -0.9238795325112867f, -0.7071067811865476f, 0,
                               0,  0.3826834323650898f};
    FloatV part_re[4][4], part_im[4][4];  // [k][i]
    LAZULI_UNROLL
    for (int i = 0; i < 4; ++i) {
      const FloatV of_re[] = {re[i], re[i + 4], re[i + 8], re[i + 12]};
      const FloatV of_im[] = {im[i], im[i + 4], im[i + 8], im[i + 12]};
      FloatV part_sum_re[4], part_sum_im[4];
      Butterfly<4>::run(of_re, of_im, part_sum_re, part_sum_im);
      LAZULI_UNROLL
      for (int k = 0; k < 4; ++k) {
        if (i * k == 0) {
          part_re[k][i] = part_sum_re[k];
          part_im[k][i] = part_sum_im[k];
        } else if (i * k == 4) {
          part_re[k][i] = part_sum_im[k];
          part_im[k][i] = -part_sum_re[k];
        } else {
          const FloatV wr = splat(cosines[i * k]), wi = splat(sines[i * k]);
          part_re[k][i] = fma(part_sum_re[k], wr, -(part_sum_im[k] * wi));
          part_im[k][i] = fma(part_sum_re[k], wi, part_sum_im[k] * wr);
        }
      }
    }
    LAZULI_UNROLL
    for (int k = 0; k < 4; ++k) {
      FloatV of_re[4], of_im[4];
      Butterfly<4>::run(part_re[k], part_im[k], of_re, of_im);
      LAZULI_UNROLL
      for (int j = 0; j < 4; ++j) {
        sum_re[k + 4 * j] = of_re[j];
        sum_im[k + 4 * j] = of_im[j];
      }
    }
  }
};

constexpr int inverse_modulo(int a, int n) {
  int i = 1;
  while (a * i % n != 1) ++i;
  return i;
}

/// A product of two radices without a common factor: by the order of elements alone, nothing is turned
/// between the two (Good and Thomas).
template <int first, int second>
struct CoprimeButterfly {
  static LAZULI_INLINE void run(const FloatV* re, const FloatV* im, FloatV* sum_re, FloatV* sum_im) {
    constexpr int radix = first * second;
    constexpr int first_step = second * inverse_modulo(second % first, first);
    constexpr int second_step = first * inverse_modulo(first % second, second);
    FloatV part_re[first][second], part_im[first][second];
    LAZULI_UNROLL
    for (int i = 0; i < second; ++i) {
      FloatV of_re[first], of_im[first], part_sum_re[first], part_sum_im[first];
      LAZULI_UNROLL
      for (int k = 0; k < first; ++k) {
        of_re[k] = re[(second * k + first * i) % radix];
        of_im[k] = im[(second * k + first * i) % radix];
      }
      Butterfly<first>::run(of_re, of_im, part_sum_re, part_sum_im);
      LAZULI_UNROLL
      for (int k = 0; k < first; ++k) {
        part_re[k][i] = part_sum_re[k];
        part_im[k][i] = part_sum_im[k];
      }
    }
    LAZULI_UNROLL
    for (int k = 0; k < first; ++k) {
      FloatV part_sum_re[second], part_sum_im[second];
      Butterfly<second>::run(part_re[k], part_im[k], part_sum_re, part_sum_im);
      LAZULI_UNROLL
      for (int j = 0; j < second; ++j) {
        sum_re[(first_step * k + second_step * j) % radix] = part_sum_re[j];
        sum_im[(first_step * k + second_step * j) % radix] = part_sum_im[j];
      }
    }
  }
};
template <>
struct Butterfly<6> : CoprimeButterfly<3, 2> {};
template <>
struct Butterfly<10> : CoprimeButterfly<5, 2> {};
template <>
struct Butterfly<12> : CoprimeButterfly<3, 4> {};
template <>
struct Butterfly<15> : CoprimeButterfly<5, 3> {};

/// Sums of `radix` elements, `step` floats apart, at `from`, to as many at `to`, which lie `to_step` apart;
/// multiplied by their twiddles, where there are any.
template <int radix, bool turned>
LAZULI_INLINE void fft_butterfly(const float* from, int64_t step, const float* twiddles, float* to,
                                 int64_t to_step) {
  constexpr int64_t lanes = 16;  // fft_lanes
  for (int64_t lane = 0; lane < lanes; lane += float_lanes) {
    FloatV re[radix], im[radix], sum_re[radix], sum_im[radix];
    LAZULI_UNROLL
    for (int k = 0; k < radix; ++k) {
      re[k] = load_vector<FloatV>(from + lane + step * k);
      im[k] = load_vector<FloatV>(from + lane + step * k + lanes);
    }
    Butterfly<radix>::run(re, im, sum_re, sum_im);
    store_vector(to + lane, sum_re[0]);
    store_vector(to + lane + lanes, sum_im[0]);
    LAZULI_UNROLL
    for (int j = 1; j < radix; ++j) {
      float* const at = to + lane + to_step * j;
      if (turned) {
        const FloatV wr = splat(twiddles[2 * j - 2]);
        const FloatV wi = splat(twiddles[2 * j - 1]);
        store_vector(at, fma(sum_re[j], wr, -(sum_im[j] * wi)));
        store_vector(at + lanes, fma(sum_re[j], wi, sum_im[j] * wr));
      } else {
        store_vector(at, sum_re[j]);
        store_vector(at + lanes, sum_im[j]);
      }
    }
  }
}

/// Stockham's form: the result is in order. Twiddles of the first elements are all one.
template <int radix>
void fft_stage_of(FftStage stage) {
  constexpr int64_t element = 32;  // fft_element
  const int64_t parts = stage.length / radix;
  const int64_t s = stage.stride * element;
  const int64_t step = s * parts;
  const float* from = stage.from;
  float* to = stage.to;
  if (parts == 1) {
    const int64_t to_step = stage.columns * element;
    for (int64_t q = 0; q < to_step; q += element) {
      fft_butterfly<radix, false>(from + q, s, nullptr, to + q, to_step);
    }
    return;
  }
  for (int64_t q = 0; q < s; q += element) {
    fft_butterfly<radix, false>(from + q, step, nullptr, to + q, s);
  }
  const float* twiddles = stage.twiddles + 2 * (radix - 1);
  if (stage.stride == 1) {
    for (int64_t p = 1; p < parts; ++p, twiddles += 2 * (radix - 1)) {
      from += element;
      to += element * radix;
      fft_butterfly<radix, true>(from, step, twiddles, to, element);
    }
    return;
  }
  for (int64_t p = 1; p < parts; ++p, twiddles += 2 * (radix - 1)) {
    from += s;
    to += s * radix;
    for (int64_t q = 0; q < s; q += element) {
      fft_butterfly<radix, true>(from + q, step, twiddles, to + q, s);
    }
  }
}

void fft_stage(const FftStage& stage) {
  switch (stage.radix) {
    case 2:
      return fft_stage_of<2>(stage);
    case 3:
      return fft_stage_of<3>(stage);
    case 4:
      return fft_stage_of<4>(stage);
    case 5:
      return fft_stage_of<5>(stage);
    case 6:
      return fft_stage_of<6>(stage);
    case 7:
      return fft_stage_of<7>(stage);
    case 8:
      return fft_stage_of<8>(stage);
    case 10:
      return fft_stage_of<10>(stage);
    case 11:
      return fft_stage_of<11>(stage);
    case 12:
      return fft_stage_of<12>(stage);
    case 15:
      return fft_stage_of<15>(stage);
    case 16:
      return fft_stage_of<16>(stage);
    default:
      return fft_stage_of<13>(stage);
  }
}
