#include <lazuli/array/dim_interner.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>

namespace lazuli::dim_detail {

namespace {

std::atomic<uint32_t> next_base{0};

int32_t narrow(int64_t value) {
  if (value != static_cast<int32_t>(value)) throw_out_of_range(value);
  return static_cast<int32_t>(value);
}

bool is_zero(const Polynomial& p) {
  return p.terms().empty();
}
bool excludes_zero(const Bounds& b) {
  return b.low > 0 || b.high < 0;
}

}  // namespace

int64_t apply(DimExpression::Kind kind, int64_t a, int64_t b) {
  using Kind = DimExpression::Kind;
  switch (kind) {
    case Kind::add:
      return a + b;
    case Kind::sub:
      return a - b;
    case Kind::mul:
      return a * b;
    case Kind::div:
      return floor_divide(a, b);
    case Kind::mod:
      return floor_modulo(a, b);
    case Kind::min:
      return std::min(a, b);
    case Kind::max:
      return std::max(a, b);
    case Kind::symbol:
    case Kind::constant:
      break;
  }
  return 0;
}

bool holds(DimGuard::Kind kind, int64_t a, int64_t b) {
  switch (kind) {
    case DimGuard::Kind::eq:
      return a == b;
    case DimGuard::Kind::ne:
      return a != b;
    case DimGuard::Kind::lt:
      return a < b;
    case DimGuard::Kind::le:
      break;
  }
  return a <= b;
}

Interner::Interner(DimTable& table) : table_(table) {
  table_.base = next_base.fetch_add(most_places, std::memory_order_relaxed);
}

Dim Interner::dim_at(int32_t place, int32_t value) const {
  const DimExpression& expression = table_.expressions.at(static_cast<size_t>(place));
  if (place == 0 || expression.kind == Kind::constant) return Dim(value);
  return Dim(value, table_.base + static_cast<uint32_t>(place));
}

int32_t Interner::intern(DimExpression expression, const Bounds& bounds) {
  if (table_.expressions.size() >= most_places) {
    throw std::runtime_error("[dim] a trace has more than " + std::to_string(most_places) +
                             " different symbolic extents");
  }
  const auto [at, is_new] = places_.try_emplace(expression, static_cast<int32_t>(table_.expressions.size()));
  if (!is_new) return at->second;
  table_.expressions.push_back(expression);
  bounds_.push_back(bounds);
  polynomials_.emplace_back();
  return at->second;
}

int32_t Interner::constant(int64_t value) {
  return intern({Kind::constant, narrow(value), 0}, {value, value});
}

Dim Interner::new_symbol(int32_t value) {
  const int32_t place = intern({Kind::symbol, table_.symbols++, 0}, {2, std::numeric_limits<int32_t>::max()});
  polynomials_[static_cast<size_t>(place)] = Polynomial::atom(place);
  polynomial_places_.emplace(Polynomial::atom(place), place);
  const Dim symbol(value, table_.base + static_cast<uint32_t>(place));
  guard(DimGuard::Kind::le, Dim(2), symbol);
  return symbol;
}

Polynomial Interner::polynomial_of(Dim d) const {
  if (!d.is_symbolic()) return Polynomial::constant(d.hint());
  return polynomials_[d.symbol() - table_.base];
}

int32_t Interner::place_of(Dim d) {
  return d.is_symbolic() ? static_cast<int32_t>(d.symbol() - table_.base) : constant(d.hint());
}

int32_t Interner::place_of_term(const Term& term, bool negated) {
  const int64_t coefficient = negated ? -term.coefficient : term.coefficient;
  if (term.atoms.empty()) return constant(coefficient);
  int32_t place = term.atoms[0];
  Polynomial product = Polynomial::atom(place);
  const auto multiply_by = [&](int32_t factor, const Polynomial& by) {
    product = product.times(by);
    place = intern({Kind::mul, place, factor}, bounds_of(product));
    polynomials_[static_cast<size_t>(place)] = product;
    polynomial_places_.emplace(product, place);
  };
  for (size_t i = 1; i < term.atoms.size(); ++i) multiply_by(term.atoms[i], Polynomial::atom(term.atoms[i]));
  if (coefficient != 1) multiply_by(constant(coefficient), Polynomial::constant(coefficient));
  return place;
}

int32_t Interner::place_of(const Polynomial& p) {
  if (p.is_constant()) return constant(p.constant_term());
  if (const auto at = polynomial_places_.find(p); at != polynomial_places_.end()) return at->second;
  // Begin with a positive term where there is one, so that no minus sign stands in front.
  const auto terms = p.terms();
  const auto positive =
      std::find_if(terms.begin(), terms.end(), [](const Term& t) { return t.coefficient > 0; });
  const size_t first = positive == terms.end() ? 0 : static_cast<size_t>(positive - terms.begin());
  int32_t place = place_of_term(terms[first], false);
  for (size_t i = 0; i < terms.size(); ++i) {
    if (i == first) continue;
    const bool negative = terms[i].coefficient < 0;
    const int32_t operand = place_of_term(terms[i], negative);
    const Bounds loose;
    place = intern({negative ? Kind::sub : Kind::add, place, operand}, loose);
  }
  const size_t at = static_cast<size_t>(place);
  polynomials_[at] = p;
  bounds_[at] = bounds_of(p);
  polynomial_places_.emplace(p, place);
  return place;
}

Polynomial Interner::atom(Kind kind, const Polynomial& a, const Polynomial& b, const Bounds& bounds) {
  const int32_t place_a = place_of(a);
  const int32_t place_b = place_of(b);
  const int32_t place = intern({kind, place_a, place_b}, bounds);
  Polynomial result = Polynomial::atom(place);
  polynomials_[static_cast<size_t>(place)] = result;
  polynomial_places_.emplace(result, place);
  return result;
}

Polynomial Interner::divide(const Polynomial& a, const Polynomial& b) {
  const Bounds divisor = bounds_of(b);
  if (b.is_constant()) {
    const int64_t by = b.constant_term();
    const Polynomial zero;
    const auto [whole, rest] = by > 0 ? a.split_by(by) : zero.plus(a, -1).split_by(-by);
    const int64_t size = by > 0 ? by : -by;
    const Bounds range = bounds_of(rest);
    if (range.low >= 0 && range.high < size) return whole;
    const Bounds quotient{range.low > -Bounds::infinity ? floor_divide(range.low, size) : range.low,
                          range.high < Bounds::infinity ? floor_divide(range.high, size) : range.high};
    return whole.plus(atom(Kind::div, rest, Polynomial::constant(size), quotient));
  }
  if (auto exact = a.exactly_divided_by(b)) return *std::move(exact);
  const Bounds dividend = bounds_of(a);
  if (dividend.low >= 0 && dividend.high < divisor.low) return {};
  Bounds quotient;
  if (dividend.low >= 0 && divisor.low > 0) quotient = {0, dividend.high};
  return atom(Kind::div, a, b, quotient);
}

Polynomial Interner::modulo(const Polynomial& a, const Polynomial& b) {
  const Bounds divisor = bounds_of(b);
  Polynomial dividend = a;
  if (b.is_constant() && b.constant_term() > 0) {
    dividend = a.split_by(b.constant_term()).second;
  } else if (a.exactly_divided_by(b)) {
    return {};
  }
  const Bounds range = bounds_of(dividend);
  if (range.low >= 0 && range.high < divisor.low) return dividend;
  Bounds remainder;
  if (divisor.low > 0) remainder = {0, divisor.high < Bounds::infinity ? divisor.high - 1 : divisor.high};
  return atom(Kind::mod, dividend, b, remainder);
}

Polynomial Interner::extremum(Kind kind, const Polynomial& a, const Polynomial& b) {
  const Bounds difference = bounds_of(a.plus(b, -1));
  const bool is_min = kind == Kind::min;
  if (difference.low >= 0) return is_min ? b : a;
  if (difference.high <= 0) return is_min ? a : b;
  const Bounds of_a = bounds_of(a);
  const Bounds of_b = bounds_of(b);
  const Bounds bounds = is_min ? Bounds{std::min(of_a.low, of_b.low), std::min(of_a.high, of_b.high)}
                               : Bounds{std::max(of_a.low, of_b.low), std::max(of_a.high, of_b.high)};
  const bool in_order = place_of(a) <= place_of(b);
  return in_order ? atom(kind, a, b, bounds) : atom(kind, b, a, bounds);
}

Polynomial Interner::normal_form(Kind kind, Dim a, Dim b) {
  const Polynomial left = polynomial_of(a);
  const Polynomial right = polynomial_of(b);
  switch (kind) {
    case Kind::add:
      return left.plus(right);
    case Kind::sub:
      return left.plus(right, -1);
    case Kind::mul: {
      // Past this size expanding would cost more than it finds out.
      constexpr size_t most_terms = 64;
      if (left.terms().size() * right.terms().size() <= most_terms) return left.times(right);
      const bool in_order = place_of(a) <= place_of(b);
      const Bounds bounds = bounds_of(left) * bounds_of(right);
      return in_order ? atom(kind, left, right, bounds) : atom(kind, right, left, bounds);
    }
    case Kind::div:
      return divide(left, right);
    case Kind::mod:
      return modulo(left, right);
    case Kind::min:
    case Kind::max:
      return extremum(kind, left, right);
    case Kind::symbol:
    case Kind::constant:
      break;
  }
  return left;
}

Dim Interner::combine(Kind kind, Dim a, Dim b) {
  if (kind == Kind::div || kind == Kind::mod) {
    if (b.hint() == 0) throw std::domain_error("[dim] division of an extent by zero");
    if (!excludes_zero(bounds_of(polynomial_of(b)))) guard(DimGuard::Kind::ne, b, Dim(0));
  }
  const int32_t value = narrow(apply(kind, a.hint(), b.hint()));
  const DimExpression key{kind, place_of(a), place_of(b)};
  auto [at, is_new] = combined_.try_emplace(key, 0);
  if (is_new) {
    try {
      // By way of a copy: interning may add to the map.
      const int32_t place = place_of(normal_form(kind, a, b));
      combined_[key] = place;
      return dim_at(place, value);
    } catch (...) {
      combined_.erase(key);
      throw;
    }
  }
  return dim_at(at->second, value);
}

void Interner::guard(DimGuard::Kind kind, Dim a, Dim b) {
  DimGuard condition{kind, place_of(a), place_of(b)};
  const bool symmetric = kind == DimGuard::Kind::eq || kind == DimGuard::Kind::ne;
  if (symmetric && condition.a > condition.b) std::swap(condition.a, condition.b);
  if (guards_.insert(condition).second) table_.guards.push_back(condition);
}

bool Interner::compare(DimGuard::Kind kind, Dim a, Dim b) {
  const bool result = holds(kind, a.hint(), b.hint());
  const Polynomial difference = polynomial_of(a).plus(polynomial_of(b), -1);
  const Bounds range = bounds_of(difference);
  switch (kind) {
    case DimGuard::Kind::eq:
    case DimGuard::Kind::ne:
      if (is_zero(difference) || excludes_zero(range)) return result;
      guard((kind == DimGuard::Kind::eq) == result ? DimGuard::Kind::eq : DimGuard::Kind::ne, a, b);
      return result;
    case DimGuard::Kind::lt:
      if (range.high < 0 || range.low >= 0) return result;
      result ? guard(kind, a, b) : guard(DimGuard::Kind::le, b, a);
      return result;
    case DimGuard::Kind::le:
      if (range.high <= 0 || range.low > 0) return result;
      result ? guard(kind, a, b) : guard(DimGuard::Kind::lt, b, a);
      return result;
  }
  return result;
}

}  // namespace lazuli::dim_detail
