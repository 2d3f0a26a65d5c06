#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <type_traits>

#include <lazuli/array/half.h>

namespace lazuli {

using complex64_t = std::complex<float>;

/// The type of an array's elements: a value and the size of one element in bytes.
struct Dtype {
  enum class Val : uint8_t {
    bool_,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    float16,
    float32,
    float64,
    bfloat16,
    complex64,
  };

  enum class Kind : uint8_t { b, u, i, f, c, V };

  /// Groups of dtypes, from specific to general, as in NumPy's type hierarchy.
  enum class Category : uint8_t {
    complexfloating,
    floating,
    inexact,
    signedinteger,
    unsignedinteger,
    integer,
    number,
    generic,
  };

  constexpr explicit Dtype(Val val, uint8_t size) : val_(val), size_(size) {}
  constexpr operator Val() const { return val_; }
  constexpr Val val() const { return val_; }
  constexpr uint8_t size() const { return size_; }

 private:
  Val val_;
  uint8_t size_;
};

inline constexpr Dtype bool_{Dtype::Val::bool_, 1};
inline constexpr Dtype uint8{Dtype::Val::uint8, 1};
inline constexpr Dtype uint16{Dtype::Val::uint16, 2};
inline constexpr Dtype uint32{Dtype::Val::uint32, 4};
inline constexpr Dtype uint64{Dtype::Val::uint64, 8};
inline constexpr Dtype int8{Dtype::Val::int8, 1};
inline constexpr Dtype int16{Dtype::Val::int16, 2};
inline constexpr Dtype int32{Dtype::Val::int32, 4};
inline constexpr Dtype int64{Dtype::Val::int64, 8};
inline constexpr Dtype float16{Dtype::Val::float16, 2};
inline constexpr Dtype float32{Dtype::Val::float32, 4};
inline constexpr Dtype float64{Dtype::Val::float64, 8};
inline constexpr Dtype bfloat16{Dtype::Val::bfloat16, 2};
inline constexpr Dtype complex64{Dtype::Val::complex64, 8};

inline constexpr Dtype::Category complexfloating = Dtype::Category::complexfloating;
inline constexpr Dtype::Category floating = Dtype::Category::floating;
inline constexpr Dtype::Category inexact = Dtype::Category::inexact;
inline constexpr Dtype::Category signedinteger = Dtype::Category::signedinteger;
inline constexpr Dtype::Category unsignedinteger = Dtype::Category::unsignedinteger;
inline constexpr Dtype::Category integer = Dtype::Category::integer;
inline constexpr Dtype::Category number = Dtype::Category::number;
inline constexpr Dtype::Category generic = Dtype::Category::generic;

inline constexpr int dtype_count = 14;

/// Whether dtype or category `a` lies within `b`.
bool issubdtype(Dtype a, Dtype b);
bool issubdtype(Dtype a, Dtype::Category b);
bool issubdtype(Dtype::Category a, Dtype::Category b);

/// The dtype that holds the results of an operation on `a` and `b`: MLX's promotion table.
Dtype promote_types(Dtype a, Dtype b);

/// Bytes per element.
inline uint8_t size_of(Dtype t) {
  return t.size();
}
Dtype::Kind kindof(Dtype t);

/// "float32", "bool", ...
std::string_view dtype_name(Dtype t);
/// The dtype of that name; throws std::invalid_argument where there is none.
Dtype dtype_from_name(std::string_view name);
/// The dtype with the given value.
Dtype dtype_from_value(Dtype::Val val);

std::ostream& operator<<(std::ostream& os, const Dtype& d);  ///< prints its name

/// Maps a C++ type to its dtype: `TypeToDtype<float>()` converts to `float32`.
template <typename T>
struct TypeToDtype {
  operator Dtype() const;
};

template <typename T>
inline Dtype dtype_of() {
  return TypeToDtype<std::remove_cv_t<T>>();
}

/// Calls `f(std::type_identity<T>{})` with the C++ type that holds elements of dtype `t`.
template <typename F>
decltype(auto) dispatch_dtype(Dtype t, F&& f) {
  switch (t.val()) {
    case Dtype::Val::bool_:
      return f(std::type_identity<bool>{});
    case Dtype::Val::uint8:
      return f(std::type_identity<uint8_t>{});
    case Dtype::Val::uint16:
      return f(std::type_identity<uint16_t>{});
    case Dtype::Val::uint32:
      return f(std::type_identity<uint32_t>{});
    case Dtype::Val::uint64:
      return f(std::type_identity<uint64_t>{});
    case Dtype::Val::int8:
      return f(std::type_identity<int8_t>{});
    case Dtype::Val::int16:
      return f(std::type_identity<int16_t>{});
    case Dtype::Val::int32:
      return f(std::type_identity<int32_t>{});
    case Dtype::Val::int64:
      return f(std::type_identity<int64_t>{});
    case Dtype::Val::float16:
      return f(std::type_identity<float16_t>{});
    case Dtype::Val::float32:
      return f(std::type_identity<float>{});
    case Dtype::Val::float64:
      return f(std::type_identity<double>{});
    case Dtype::Val::bfloat16:
      return f(std::type_identity<bfloat16_t>{});
    case Dtype::Val::complex64:
      break;
  }
  return f(std::type_identity<complex64_t>{});
}

}  // namespace lazuli
