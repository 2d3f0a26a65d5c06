#include <lazuli/array/dtype.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <stdexcept>
#include <string>

namespace lazuli {
namespace {

using Val = Dtype::Val;
using Category = Dtype::Category;

/// What is known of a dtype; one row for each, in the order of `Dtype::Val`.
struct DtypeRow {
  std::string_view name;
  Dtype dtype;
  Dtype::Kind kind;
  Category category;
};

constexpr std::array<DtypeRow, dtype_count> rows{{
    {"bool", bool_, Dtype::Kind::b, Category::generic},
    {"uint8", uint8, Dtype::Kind::u, Category::unsignedinteger},
    {"uint16", uint16, Dtype::Kind::u, Category::unsignedinteger},
    {"uint32", uint32, Dtype::Kind::u, Category::unsignedinteger},
    {"uint64", uint64, Dtype::Kind::u, Category::unsignedinteger},
    {"int8", int8, Dtype::Kind::i, Category::signedinteger},
    {"int16", int16, Dtype::Kind::i, Category::signedinteger},
    {"int32", int32, Dtype::Kind::i, Category::signedinteger},
    {"int64", int64, Dtype::Kind::i, Category::signedinteger},
    {"float16", float16, Dtype::Kind::f, Category::floating},
    {"float32", float32, Dtype::Kind::f, Category::floating},
    {"float64", float64, Dtype::Kind::f, Category::floating},
    {"bfloat16", bfloat16, Dtype::Kind::V, Category::floating},  // NumPy has no kind for it
    {"complex64", complex64, Dtype::Kind::c, Category::complexfloating},
}};

const DtypeRow& row(Dtype t) {
  return rows[static_cast<size_t>(t.val())];
}

/// The category directly around another.
Category parent(Category category) {
  switch (category) {
    case Category::complexfloating:
    case Category::floating:
      return Category::inexact;
    case Category::signedinteger:
    case Category::unsignedinteger:
      return Category::integer;
    case Category::inexact:
    case Category::integer:
      return Category::number;
    case Category::number:
    case Category::generic:
      break;
  }
  return Category::generic;
}

/// The signed integer of a number of bytes, or float32 where there is none.
Dtype signed_integer(int bytes) {
  switch (bytes) {
    case 1:
      return int8;
    case 2:
      return int16;
    case 4:
      return int32;
    case 8:
      return int64;
    default:
      return float32;
  }
}

Dtype promote_integers(Dtype a, Dtype b) {
  const bool same_signedness = row(a).category == row(b).category;
  if (same_signedness) return a.size() >= b.size() ? a : b;
  const Dtype u = row(a).category == Category::unsignedinteger ? a : b;
  const Dtype s = row(a).category == Category::unsignedinteger ? b : a;
  return signed_integer(std::max<int>(2 * u.size(), s.size()));
}

}  // namespace

bool issubdtype(Category a, Category b) {
  for (Category c = a;; c = parent(c)) {
    if (c == b) return true;
    if (c == Category::generic) return false;
  }
}

bool issubdtype(Dtype a, Category b) {
  return issubdtype(row(a).category, b);
}

bool issubdtype(Dtype a, Dtype b) {
  return a == b;
}

Dtype promote_types(Dtype a, Dtype b) {
  if (a == b || b == bool_) return a;
  if (a == bool_) return b;
  if (a == complex64 || b == complex64) return complex64;
  const bool a_floats = issubdtype(a, floating);
  const bool b_floats = issubdtype(b, floating);
  if (!a_floats && !b_floats) return promote_integers(a, b);
  if (!b_floats) return a;
  if (!a_floats) return b;
  if (a.size() == b.size()) return float32;  // float16 with bfloat16
  return a.size() > b.size() ? a : b;
}

Dtype::Kind kindof(Dtype t) {
  return row(t).kind;
}

std::string_view dtype_name(Dtype t) {
  return row(t).name;
}

Dtype dtype_from_name(std::string_view name) {
  for (const DtypeRow& r : rows) {
    if (r.name == name) return r.dtype;
  }
  throw std::invalid_argument("[dtype_from_name] There is no dtype '" + std::string(name) + "'.");
}

Dtype dtype_from_value(Val val) {
  return rows.at(static_cast<size_t>(val)).dtype;
}

std::ostream& operator<<(std::ostream& os, const Dtype& d) {
  return os << dtype_name(d);
}

template <>
TypeToDtype<bool>::operator Dtype() const {
  return bool_;
}
template <>
TypeToDtype<unsigned char>::operator Dtype() const {
  return uint8;
}
template <>
TypeToDtype<unsigned short>::operator Dtype() const {
  return uint16;
}
template <>
TypeToDtype<unsigned int>::operator Dtype() const {
  return uint32;
}
template <>
TypeToDtype<unsigned long>::operator Dtype() const {
  return uint64;
}
template <>
TypeToDtype<unsigned long long>::operator Dtype() const {
  return uint64;
}
template <>
TypeToDtype<signed char>::operator Dtype() const {
  return int8;
}
template <>
TypeToDtype<short>::operator Dtype() const {
  return int16;
}
template <>
TypeToDtype<int>::operator Dtype() const {
  return int32;
}
template <>
TypeToDtype<long>::operator Dtype() const {
  return int64;
}
template <>
TypeToDtype<long long>::operator Dtype() const {
  return int64;
}
template <>
TypeToDtype<float16_t>::operator Dtype() const {
  return float16;
}
template <>
TypeToDtype<bfloat16_t>::operator Dtype() const {
  return bfloat16;
}
template <>
TypeToDtype<float>::operator Dtype() const {
  return float32;
}
template <>
TypeToDtype<double>::operator Dtype() const {
  return float64;
}
template <>
TypeToDtype<complex64_t>::operator Dtype() const {
  return complex64;
}

}  // namespace lazuli
