#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <lazuli/array/small_vector.h>

namespace lazuli::dim_detail {

/// A coefficient times a product of atoms: places in a DimTable, ascending, repeated for powers.
struct Term {
  SmallVector<int32_t, 4> atoms;
  int64_t coefficient = 0;
  bool operator==(const Term&) const = default;
};

/// A sum of terms in a fixed order (highest degree first), each product of atoms once and none with
/// coefficient 0: equal polynomials are equal objects.
class Polynomial {
 public:
  Polynomial() = default;
  static Polynomial constant(int64_t value);
  static Polynomial atom(int32_t place);

  std::span<const Term> terms() const { return terms_; }
  bool is_constant() const { return terms_.empty() || (terms_.size() == 1 && terms_[0].atoms.empty()); }
  /// The term without atoms.
  int64_t constant_term() const;

  /// this + factor * other
  Polynomial plus(const Polynomial& other, int64_t factor = 1) const;
  Polynomial times(const Polynomial& other) const;
  /// The polynomial q with q * divisor equal to this one, if there is one (with integer coefficients).
  std::optional<Polynomial> exactly_divided_by(const Polynomial& divisor) const;
  /// q and r with this = q * divisor + r, where r has the terms whose coefficients the divisor (> 0) does not
  /// divide, and a constant from 0 to divisor - 1.
  std::pair<Polynomial, Polynomial> split_by(int64_t divisor) const;

  size_t hash() const;
  bool operator==(const Polynomial&) const = default;

 private:
  void normalize();
  std::vector<Term> terms_;
};

struct PolynomialHash {
  size_t operator()(const Polynomial& p) const { return p.hash(); }
};

/// What a value lies between; `infinity` stands for "no bound known".
struct Bounds {
  static constexpr int64_t infinity = int64_t{1} << 60;
  int64_t low = -infinity;
  int64_t high = infinity;

  Bounds operator+(const Bounds& other) const;
  Bounds operator*(const Bounds& other) const;
};

/// Bounds of a polynomial, from those of all places in the table.
Bounds bounds_of(const Polynomial& p, std::span<const Bounds> of_places);

int64_t floor_divide(int64_t a, int64_t b);
int64_t floor_modulo(int64_t a, int64_t b);
int64_t checked_add(int64_t a, int64_t b);
int64_t checked_multiply(int64_t a, int64_t b);

}  // namespace lazuli::dim_detail
