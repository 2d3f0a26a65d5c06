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
  /// An odd radix: elements k and radix - k share their products.
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

/// Sums of `radix` elements, multiplied by their twiddles. (Stockham's form: the result is in order.)
template <int radix>
LAZULI_INLINE void fft_stage_of(const FftStage& stage) {
  constexpr int64_t lanes = 16;  // fft_lanes
  constexpr int64_t element = 2 * lanes;
  const int64_t parts = stage.length / radix;
  const int64_t s = stage.stride;
  for (int64_t p = 0; p < parts; ++p) {
    const float* twiddles = stage.twiddles + p * 2 * (radix - 1);
    const float* from = stage.from + element * s * p;
    float* to = stage.to + element * s * radix * p;
    for (int64_t q = 0; q < s * element; q += element) {
      for (int64_t lane = q; lane < q + lanes; lane += float_lanes) {
        FloatV re[radix], im[radix], sum_re[radix], sum_im[radix];
        LAZULI_UNROLL
        for (int k = 0; k < radix; ++k) {
          re[k] = load_vector<FloatV>(from + lane + element * s * parts * k);
          im[k] = load_vector<FloatV>(from + lane + element * s * parts * k + lanes);
        }
        Butterfly<radix>::run(re, im, sum_re, sum_im);
        store_vector(to + lane, sum_re[0]);
        store_vector(to + lane + lanes, sum_im[0]);
        LAZULI_UNROLL
        for (int j = 1; j < radix; ++j) {
          const FloatV wr = splat(twiddles[2 * j - 2]);
          const FloatV wi = splat(twiddles[2 * j - 1]);
          store_vector(to + lane + element * s * j, fma(sum_re[j], wr, -(sum_im[j] * wi)));
          store_vector(to + lane + element * s * j + lanes, fma(sum_re[j], wi, sum_im[j] * wr));
        }
      }
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
    case 7:
      return fft_stage_of<7>(stage);
    case 11:
      return fft_stage_of<11>(stage);
    default:
      return fft_stage_of<13>(stage);
  }
}
