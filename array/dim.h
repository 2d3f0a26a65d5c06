#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace lazuli {

class DimScope;
namespace dim_detail {
class Interner;
[[noreturn]] void throw_out_of_range(int64_t value);
}  // namespace dim_detail

/// An extent: an integer that, while a function is being traced for `compile`, may also know how it depends
/// on the extents of the function's arguments. Arithmetic among Dims keeps that knowledge, so what was traced
/// holds for other extents too; a comparison, or conversion to an integer, is remembered as a condition
/// (a guard) under which the trace holds. Outside of tracing a Dim is just a number.
class Dim {
 public:
  constexpr Dim() = default;
  template <std::integral I>
  constexpr Dim(I value) : value_(static_cast<int32_t>(value)) {
    if constexpr (sizeof(I) > 4 || (sizeof(I) == 4 && std::is_unsigned_v<I>)) {
      if (static_cast<I>(value_) != value || (std::is_unsigned_v<I> && value_ < 0)) {
        dim_detail::throw_out_of_range(static_cast<int64_t>(value));
      }
    }
  }

  /// The value; a guard that it stays this value, where it is symbolic.
  operator int() const { return symbol_ == 0 ? value_ : concrete(); }
  /// The value at the time of tracing, with no guard. Only for hints, never for results.
  int32_t hint() const { return value_; }
  /// Tells its expression from all others of the process; 0 for a constant. `DimTable::place` gives the place
  /// in the table of its scope.
  uint32_t symbol() const { return symbol_; }
  bool is_symbolic() const { return symbol_ != 0; }

  friend Dim operator+(Dim a, Dim b);
  friend Dim operator-(Dim a, Dim b);
  friend Dim operator*(Dim a, Dim b);
  /// Quotient rounded towards negative infinity.
  friend Dim operator/(Dim a, Dim b);
  /// Remainder of that quotient: it has the sign of `b`.
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
  // On their own, not through <=>, whose guard would say more than was asked.
  friend bool operator<(Dim a, Dim b);
  friend bool operator<=(Dim a, Dim b);
  friend bool operator>(Dim a, Dim b) { return b < a; }
  friend bool operator>=(Dim a, Dim b) { return b <= a; }

  /// Whether both are the same expression (or the same constant), with no guard.
  bool same_as(Dim other) const {
    return symbol_ == other.symbol_ && (symbol_ != 0 || value_ == other.value_);
  }

 private:
  friend class DimScope;
  friend class dim_detail::Interner;
  constexpr Dim(int32_t value, uint32_t symbol) : value_(value), symbol_(symbol) {}
  int concrete() const;
  static Dim combine(int kind, Dim a, Dim b);
  static bool compare(int kind, Dim a, Dim b);

  int32_t value_ = 0;
  uint32_t symbol_ = 0;
};

/// A Dim and an integer, in either order.
template <typename A, typename B>
concept MixedDim = (std::same_as<A, Dim> && std::integral<B>) || (std::integral<A> && std::same_as<B, Dim>);

// Exact matches, so that a Dim's conversion to int does not compete.
template <typename A, typename B>
requires MixedDim<A, B> Dim operator+(A a, B b) {
  return Dim(a) + Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B> Dim operator-(A a, B b) {
  return Dim(a) - Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B> Dim operator*(A a, B b) {
  return Dim(a) * Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B> Dim operator/(A a, B b) {
  return Dim(a) / Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B> Dim operator%(A a, B b) {
  return Dim(a) % Dim(b);
}
template <std::integral I>
bool operator==(Dim a, I b) {
  return a == Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B> std::strong_ordering operator<=>(A a, B b) {
  return Dim(a) <=> Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B>
bool operator<(A a, B b) {
  return Dim(a) < Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B>
bool operator<=(A a, B b) {
  return Dim(a) <= Dim(b);
}
template <typename A, typename B>
requires MixedDim<A, B>
bool operator>(A a, B b) {
  return Dim(b) < Dim(a);
}
template <typename A, typename B>
requires MixedDim<A, B>
bool operator>=(A a, B b) {
  return Dim(b) <= Dim(a);
}

/// Prints the value at hand, with no guard.
std::ostream& operator<<(std::ostream& os, Dim d);

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
  /// The number that a Dim at place 0 would have.
  uint32_t base = 0;

  /// The place of a symbolic Dim of this table; it may be asked after the scope has ended.
  uint32_t place(Dim d) const { return d.symbol() - base; }

  /// Values of all expressions for given values of the symbols. A quotient or remainder by zero counts as 0
  /// (a guard says that the divisor is not); throws std::overflow_error where a value exceeds 64 bits.
  std::vector<int64_t> evaluate(std::span<const int64_t> symbol_values) const;
  /// Whether every guard holds for values given by `evaluate`.
  bool guards_hold(std::span<const int64_t> values) const;
  /// The expression at a place as text, symbols being s0, s1, ...
  std::string to_text(uint32_t expression) const;
  std::string to_text(const DimGuard& guard) const;
};

/// While one is alive, Dims of this thread are traced into its table. Scopes nest; a Dim of an outer scope
/// is a constant within an inner one (with a guard in the outer). A Dim of a scope that has ended, or of
/// another thread's, is a constant too, with no guard.
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
  /// The place in the table of a Dim's expression; a constant gets one where it has none yet.
  int32_t place_of(Dim d);
  /// The Dim whose expression stands at a place; `value` is its value in this trace.
  Dim dim_at(int32_t place, int32_t value) const;
  uint32_t base() const { return table_.base; }
  /// Whether a Dim is symbolic in this scope.
  bool owns(Dim d) const;
  DimTable& table() { return table_; }
  static DimScope* current();

 private:
  friend class Dim;
  /// The Dim itself where this scope owns it, a constant otherwise.
  Dim localize(Dim d) const { return d.is_symbolic() && !owns(d) ? Dim(d.concrete()) : d; }

  DimTable table_;
  std::unique_ptr<dim_detail::Interner> interner_;
  DimScope* outer_ = nullptr;
};

}  // namespace lazuli
