#pragma once

#include <cstdint>

#include <lazuli/array/dtype.h>

/// Unsigned integers that compare as elements do, so that one loop sorts every dtype.
namespace lazuli::templates {

/// Integers (and bools), as bits: signed ones have their sign flipped.
template <typename B>
struct IntegerOrder {
  using Bits = B;
  using Key = B;
  Bits flip = 0;

  Key key(Bits bits) const { return bits ^ flip; }
  Key rank(Bits bits) const { return key(bits); }
  Bits bits(Key key) const { return key ^ flip; }
};

/// Floating point numbers, as bits. All NaN have the highest key.
template <typename B>
struct FloatOrder {
  using Bits = B;
  using Key = B;
  static constexpr Bits sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  Bits infinity = 0;

  /// Tells zeros of either sign apart.
  Key key(Bits bits) const {
    const Key ordered = static_cast<Key>((bits & sign) != 0 ? ~bits : bits | sign);
    return static_cast<Bits>(bits & ~sign) > infinity ? static_cast<Key>(~Key{0}) : ordered;
  }
  /// Equal for all zeros.
  Key rank(Bits bits) const { return key(bits == sign ? Bits{0} : bits); }
  Bits bits(Key key) const { return static_cast<Bits>((key & sign) != 0 ? key ^ sign : ~key); }
};

/// complex64: by real part, then by imaginary part; with a NaN in either, last.
struct ComplexOrder {
  using Bits = uint64_t;
  using Key = uint64_t;

  Key rank(Bits bits) const {
    const FloatOrder<uint32_t> part{0x7f800000u};
    const uint32_t re = part.rank(static_cast<uint32_t>(bits));
    const uint32_t im = part.rank(static_cast<uint32_t>(bits >> 32));
    return re == ~0u || im == ~0u ? ~Key{0} : Key{re} << 32 | im;
  }
};

/// Calls `f` with the order of elements of a dtype.
template <typename F>
decltype(auto) dispatch_order(Dtype dtype, F&& f) {
  switch (dtype.val()) {
    case Dtype::Val::bool_:
    case Dtype::Val::uint8:
      return f(IntegerOrder<uint8_t>{0});
    case Dtype::Val::uint16:
      return f(IntegerOrder<uint16_t>{0});
    case Dtype::Val::uint32:
      return f(IntegerOrder<uint32_t>{0});
    case Dtype::Val::uint64:
      return f(IntegerOrder<uint64_t>{0});
    case Dtype::Val::int8:
      return f(IntegerOrder<uint8_t>{0x80});
    case Dtype::Val::int16:
      return f(IntegerOrder<uint16_t>{0x8000});
    case Dtype::Val::int32:
      return f(IntegerOrder<uint32_t>{uint32_t{1} << 31});
    case Dtype::Val::int64:
      return f(IntegerOrder<uint64_t>{uint64_t{1} << 63});
    case Dtype::Val::float16:
      return f(FloatOrder<uint16_t>{0x7c00});
    case Dtype::Val::bfloat16:
      return f(FloatOrder<uint16_t>{0x7f80});
    case Dtype::Val::float32:
      return f(FloatOrder<uint32_t>{0x7f800000u});
    case Dtype::Val::float64:
      return f(FloatOrder<uint64_t>{uint64_t{0x7ff} << 52});
    case Dtype::Val::complex64:
      break;
  }
  return f(ComplexOrder{});
}

}  // namespace lazuli::templates
