// Products that have become so small that those to come may be denormal numbers; see scan_kernels.inl.
//
// Processors multiply denormal numbers by microcode, a hundred times as slowly as others, and the cumulative
// product of random numbers passes through them on its way to 0. They are whole multiples of the smallest
// one, 2^-149, as which they are found here: rounded to whole numbers, products are rounded as denormal
// numbers are, and such a number is its bits.

/// Whether an operation on elements of type A meets denormal numbers that are better found so.
template <typename Op, typename A>
constexpr bool has_small_products = false;

template <typename A>
class SmallProduct;

#if LAZULI_TEMPLATES_AVX2

template <>
constexpr bool has_small_products<Product, float> = true;

/// Products below 2^-90 are taken for small: those with the elements of a line may be denormal.
constexpr uint32_t small_product_bits = (127 - 90) << 23;
/// From here on, a small product's multiple of 2^-149 times a factor may be infinite.
constexpr float large_factor = 0x1p50f;
/// All multiples of 2^-149 below this are the bits of a number: denormal ones, and the smallest others.
constexpr uint32_t multiples = 1 << 24;

/// Whether a product that is in every lane is small and not 0.
LAZULI_INLINE bool is_small_product(FloatV product) {
  const auto bits = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm256_castsi256_si128((__m256i)product)));
  return (bits & 0x7fffffffu) - 1 < small_product_bits - 1;
}

LAZULI_INLINE FloatV magnitude(FloatV v) {
  return (FloatV)((UintV)v & 0x7fffffffu);
}
LAZULI_INLINE FloatV with_sign_of(FloatV v, FloatV sign) {
  return (FloatV)((UintV)v | ((UintV)sign & 0x80000000u));
}

/// small / 2^-149.
LAZULI_INLINE FloatV multiple_of_smallest(FloatV small) {
  const UintV bits = (UintV)magnitude(small);
  const auto is_multiple = bits < UintV{} + multiples;
  const FloatV others = is_multiple ? FloatV{} : small;
  const FloatV multiple = (FloatV)_mm256_cvtepi32_ps((__m256i)bits);
  return with_sign_of(is_multiple ? multiple : magnitude(others) * 0x1p100f * 0x1p49f, small);
}

/// v * 2^-149, rounded.
LAZULI_INLINE FloatV times_smallest(FloatV v) {
  const FloatV size = magnitude(v);
  const auto is_multiple = size < FloatV{} + static_cast<float>(multiples);
  const FloatV bits = (FloatV)_mm256_cvtps_epi32((__m256)(is_multiple ? size : FloatV{}));
  const FloatV others = is_multiple ? FloatV{} + 1 : size;
  return with_sign_of(is_multiple ? bits : others * 0x1p-23f * 0x1p-126f, v);
}

/// Whether a factor is so large, or not a number, that it has to be multiplied as usual.
LAZULI_INLINE bool has_large_factor(FloatV factors) {
  return _mm256_movemask_ps((__m256)(magnitude(factors) < FloatV{} + large_factor)) != 0xff;
}

/// A small product by its multiple of 2^-149, in every lane.
template <>
class SmallProduct<float> {
 public:
  explicit SmallProduct(FloatV product) : multiple_(multiple_of_smallest(product)) {}

  FloatV product() const { return times_smallest(multiple_); }
  FloatV times(FloatV factors) const { return times_smallest(multiple_ * factors); }
  /// False if the product is not small any more, or 0.
  bool multiply_by(FloatV factor) {
    constexpr float least = 0.5f;  // which is rounded to 0
    constexpr float most = 0x1p59f;
    multiple_ *= factor;
    const float size = magnitude(multiple_)[0];
    return size > least && size < most;
  }

 private:
  FloatV multiple_;
};

#endif
