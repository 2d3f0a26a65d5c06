#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <lazuli/array/dim.h>
#include <lazuli/array/dim_polynomial.h>

namespace lazuli::dim_detail {

/// What an operation gives for two extents; the divisor must not be 0.
int64_t apply(DimExpression::Kind kind, int64_t a, int64_t b);
/// Whether a comparison of two values holds.
bool holds(DimGuard::Kind kind, int64_t a, int64_t b);

/// Fills a DimTable: brings every expression into a normal form (a polynomial over symbols and over
/// quotients, remainders, minima and maxima), so that what is equal by arithmetic is one place.
class Interner {
 public:
  explicit Interner(DimTable& table);

  Dim new_symbol(int32_t value);
  /// Both operands are constants or belong to this table.
  Dim combine(DimExpression::Kind kind, Dim a, Dim b);
  /// The outcome of `a kind b`; recorded as a guard unless it holds for all values.
  bool compare(DimGuard::Kind kind, Dim a, Dim b);
  /// Records that the outcome stays what it is.
  void guard(DimGuard::Kind kind, Dim a, Dim b);
  int32_t place_of(Dim d);
  Dim dim_at(int32_t place, int32_t value) const;
  bool owns(Dim d) const {
    // Unsigned: smaller numbers wrap around to large differences.
    return d.is_symbolic() && d.symbol() - table_.base < table_.expressions.size();
  }

 private:
  using Kind = DimExpression::Kind;
  struct TripleHash {
    template <typename T>
    size_t operator()(const T& item) const {
      const uint64_t operands =
          static_cast<uint64_t>(static_cast<uint32_t>(item.a)) << 32 | static_cast<uint32_t>(item.b);
      return static_cast<size_t>((operands ^ static_cast<uint64_t>(item.kind) << 59) * 0x9e3779b97f4a7c15u >>
                                 7);
    }
  };

  /// Scopes number their places from bases this far apart, so that Dims of different scopes differ. (A
  /// quarter of a million scopes later numbers come again: no Dim is kept for so long.)
  static constexpr uint32_t most_places = 1 << 14;

  Polynomial polynomial_of(Dim d) const;
  Bounds bounds_of(const Polynomial& p) const { return dim_detail::bounds_of(p, bounds_); }
  int32_t intern(DimExpression expression, const Bounds& bounds);
  int32_t constant(int64_t value);
  int32_t place_of(const Polynomial& p);
  int32_t place_of_term(const Term& term, bool negated);
  Polynomial atom(Kind kind, const Polynomial& a, const Polynomial& b, const Bounds& bounds);
  Polynomial normal_form(Kind kind, Dim a, Dim b);
  Polynomial divide(const Polynomial& a, const Polynomial& b);
  Polynomial modulo(const Polynomial& a, const Polynomial& b);
  Polynomial extremum(Kind kind, const Polynomial& a, const Polynomial& b);

  DimTable& table_;
  std::vector<Bounds> bounds_{1};           // by place
  std::vector<Polynomial> polynomials_{1};  // by place; of those that stand for a whole Dim
  std::unordered_map<DimExpression, int32_t, TripleHash> places_;
  std::unordered_map<DimExpression, int32_t, TripleHash> combined_;
  std::unordered_map<Polynomial, int32_t, PolynomialHash> polynomial_places_;
  std::unordered_set<DimGuard, TripleHash> guards_;
};

}  // namespace lazuli::dim_detail
