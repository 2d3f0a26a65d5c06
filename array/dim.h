#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

class DimScope;

/// An extent: an integer that, while a function is being traced for `compile`, may also know how it depends
/// on the extents of the function's arguments. Arithmetic among Dims keeps that knowledge, so what was traced
/// holds for other extents too; a comparison, or conversion to an integer, is remembered as a condition
/// (a guard) under which the trace holds. Outside of tracing a Dim is just a number.
class Dim {
 public:
  constexpr Dim() = default;
  template <std::integral I>
  constexpr Dim(I value) : value_(static_cast<int32_t>(value)) {}

  /// The value; a guard that it stays this value, where it is symbolic.
  operator int() const { return symbol_ == 0 ? value_ : concrete(); }
  /// The value at the time of tracing, with no guard. Only for hints, never for results.
  int32_t hint() const { return value_; }
  /// The number of its expression in the DimScope; 0 for a constant.
  uint32_t symbol() const { return symbol_; }
  bool is_symbolic() const { return symbol_ != 0; }

  friend Dim operator+(Dim a, Dim b);
  friend Dim operator-(Dim a, Dim b);
  friend Dim operator*(Dim a, Dim b);
  /// Quotient rounded towards negative infinity.
  friend Dim operator/(Dim a, Dim b);
  friend Dim operator%(Dim a, Dim b);
  friend Dim dim_min(Dim a, Dim b);
  friend Dim dim_max(Dim a, Dim b);
  Dim operator-() const { return Dim(0) - *this; }
  Dim& operator+=(Dim b) { return *this = *this + b; }
  Dim& operator-=(Dim b) { return *this = *this - b; }
  Dim& operator*=(Dim b) { return *this = *this * b; }
  Dim& operator/=(Dim b) { return *this = *this / b; }

  friend bool operator==(Dim a, Dim b);
  friend std::strong_ordering operator<=>(Dim a, Dim b);

  /// Whether both are the same expression (or the same constant), with no guard.
  bool same_as(Dim other) const {
    return symbol_ == other.symbol_ && (symbol_ != 0 || value_ == other.value_);
  }

 private:
  friend class DimScope;
  constexpr Dim(int32_t value, uint32_t symbol) : value_(value), symbol_(symbol) {}
  int concrete() const;

  int32_t value_ = 0;
  uint32_t symbol_ = 0;
};

/// A Dim and an integer, in either order.
template <typename A, typename B>
concept MixedDim = (std::same_as<A, Dim> && std::integral<B>) || (std::integral<A> && std::same_as<B, Dim>);

// Exact matches, so that a Dim's conversion to int does not compete.
template <typename A, typename B>
  requires MixedDim<A, B>
Dim operator+(A a, B b) {
  return Dim(a) + Dim(b);
}
template <typename A, typename B>
  requires MixedDim<A, B>
Dim operator-(A a, B b) {
  return Dim(a) - Dim(b);
}
template <typename A, typename B>
  requires MixedDim<A, B>
Dim operator*(A a, B b) {
  return Dim(a) * Dim(b);
}
template <typename A, typename B>
  requires MixedDim<A, B>
Dim operator/(A a, B b) {
  return Dim(a) / Dim(b);
}
template <typename A, typename B>
  requires MixedDim<A, B>
Dim operator%(A a, B b) {
  return Dim(a) % Dim(b);
}
template <std::integral I>
bool operator==(Dim a, I b) {
  return a == Dim(b);
}
template <std::integral I>
std::strong_ordering operator<=>(Dim a, I b) {
  return a <=> Dim(b);
}

/// How a symbolic extent is computed from others; expressions stand in a table in order of dependence.
struct DimExpression {
  enum class Kind : uint8_t { symbol, constant, add, sub, mul, div, mod, min, max };
  Kind kind = Kind::constant;
  int32_t a = 0;  ///< the constant, the symbol's number, or the first operand's place in the table
  int32_t b = 0;
  bool operator==(const DimExpression&) const = default;
};

/// A condition under which a trace holds: a comparison of two places in the expression table.
struct DimGuard {
  enum class Kind : uint8_t { eq, ne, lt, le };
  Kind kind = Kind::eq;
  int32_t a = 0;
  int32_t b = 0;
  bool operator==(const DimGuard&) const = default;
};

/// The expressions and guards met in a trace. Place 0 is unused.
struct DimTable {
  std::vector<DimExpression> expressions{1};
  std::vector<DimGuard> guards;
  int symbols = 0;

  /// Values of all expressions for given values of the symbols.
  std::vector<int64_t> evaluate(std::span<const int64_t> symbol_values) const;
  /// Whether every guard holds for values given by `evaluate`.
  bool guards_hold(std::span<const int64_t> values) const;
  std::string to_text(uint32_t expression) const;
};

/// While one is alive, Dims of this thread are traced into its table. Scopes nest; a Dim of an outer scope
/// is a constant within an inner one (with a guard in the outer).
class DimScope {
 public:
  DimScope();
  ~DimScope();
  DimScope(const DimScope&) = delete;
  DimScope& operator=(const DimScope&) = delete;

  /// A new symbol with the given value in this trace. Values 0 and 1 give constants: they mean something
  /// else to broadcasting, so a trace holds for either exactly that value or for all others from 2 up; the
  /// symbol's guard says so.
  Dim new_symbol(int32_t value);
  DimTable& table() { return table_; }
  static DimScope* current();

 private:
  friend class Dim;
  friend Dim operator+(Dim, Dim);
  friend Dim operator-(Dim, Dim);
  friend Dim operator*(Dim, Dim);
  friend Dim operator/(Dim, Dim);
  friend Dim operator%(Dim, Dim);
  friend Dim dim_min(Dim, Dim);
  friend Dim dim_max(Dim, Dim);
  friend bool operator==(Dim, Dim);
  friend std::strong_ordering operator<=>(Dim, Dim);
  int32_t place_of(Dim d);
  Dim intern(DimExpression::Kind kind, Dim a, Dim b, int64_t value);
  static Dim arithmetic(DimExpression::Kind kind, Dim a, Dim b);
  void guard(DimGuard::Kind kind, Dim a, Dim b);
  bool owns(Dim d) const { return d.symbol_ >= base_ && d.symbol_ - base_ < table_.expressions.size(); }

  DimTable table_;
  std::vector<std::pair<uint64_t, std::vector<int32_t>>> index_;
  uint32_t base_ = 0;
  DimScope* outer_ = nullptr;
};

}  // namespace lazuli
