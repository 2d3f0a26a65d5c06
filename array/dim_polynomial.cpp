#include <lazuli/array/dim_polynomial.h>

#include <algorithm>
#include <stdexcept>

namespace lazuli::dim_detail {

namespace {

/// A monomial order (graded lexicographic): it survives multiplication, which exact division relies on.
bool comes_before(const Term& a, const Term& b) {
  if (a.atoms.size() != b.atoms.size()) return a.atoms.size() > b.atoms.size();
  return std::lexicographical_compare(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end());
}

Term product(const Term& a, const Term& b) {
  Term result;
  result.atoms.resize(a.atoms.size() + b.atoms.size());
  std::merge(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end(), result.atoms.begin());
  result.coefficient = checked_multiply(a.coefficient, b.coefficient);
  return result;
}

std::optional<Term> quotient(const Term& a, const Term& b) {
  if (a.coefficient % b.coefficient != 0) return std::nullopt;
  if (!std::includes(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end())) return std::nullopt;
  Term result;
  result.atoms.resize(a.atoms.size() - b.atoms.size());
  std::set_difference(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end(), result.atoms.begin());
  result.coefficient = a.coefficient / b.coefficient;
  return result;
}

int64_t clamp_to_infinity(int64_t value) {
  return std::clamp(value, -Bounds::infinity, Bounds::infinity);
}

int64_t saturating_multiply(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return (a < 0) == (b < 0) ? Bounds::infinity : -Bounds::infinity;
  return clamp_to_infinity(result);
}

}  // namespace

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t floor_modulo(int64_t a, int64_t b) {
  const int64_t remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

int64_t checked_add(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result))
    throw std::overflow_error("[dim] a sum of extents exceeds 64 bits");
  return result;
}

int64_t checked_multiply(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw std::overflow_error("[dim] a product of extents exceeds 64 bits");
  }
  return result;
}

Polynomial Polynomial::constant(int64_t value) {
  Polynomial result;
  if (value != 0) result.terms_.push_back({{}, value});
  return result;
}

Polynomial Polynomial::atom(int32_t place) {
  Polynomial result;
  result.terms_.push_back({{place}, 1});
  return result;
}

int64_t Polynomial::constant_term() const {
  // The order puts it last.
  return !terms_.empty() && terms_.back().atoms.empty() ? terms_.back().coefficient : 0;
}

Polynomial Polynomial::plus(const Polynomial& other, int64_t factor) const {
  Polynomial result = *this;
  for (const Term& term : other.terms_) {
    result.terms_.push_back({term.atoms, checked_multiply(term.coefficient, factor)});
  }
  result.normalize();
  return result;
}

Polynomial Polynomial::times(const Polynomial& other) const {
  Polynomial result;
  result.terms_.reserve(terms_.size() * other.terms_.size());
  for (const Term& a : terms_) {
    for (const Term& b : other.terms_) result.terms_.push_back(product(a, b));
  }
  result.normalize();
  return result;
}

std::optional<Polynomial> Polynomial::exactly_divided_by(const Polynomial& divisor) const {
  if (divisor.terms_.empty()) return std::nullopt;
  Polynomial result;
  Polynomial rest = *this;
  // Each step removes the leading term, so the number of steps is bounded by what the terms can become.
  constexpr int most_steps = 256;
  for (int step = 0; step < most_steps; ++step) {
    if (rest.terms_.empty()) {
      result.normalize();
      return result;
    }
    const std::optional<Term> term = quotient(rest.terms_[0], divisor.terms_[0]);
    if (!term) return std::nullopt;
    result.terms_.push_back(*term);
    Polynomial factor;
    factor.terms_.push_back(*term);
    rest = rest.plus(factor.times(divisor), -1);
  }
  return std::nullopt;
}

std::pair<Polynomial, Polynomial> Polynomial::split_by(int64_t divisor) const {
  Polynomial whole;
  Polynomial rest;
  for (const Term& term : terms_) {
    if (term.atoms.empty()) {
      const int64_t remainder = floor_modulo(term.coefficient, divisor);
      if (const int64_t multiple = floor_divide(term.coefficient, divisor); multiple != 0) {
        whole.terms_.push_back({{}, multiple});
      }
      if (remainder != 0) rest.terms_.push_back({{}, remainder});
    } else if (term.coefficient % divisor == 0) {
      whole.terms_.push_back({term.atoms, term.coefficient / divisor});
    } else {
      rest.terms_.push_back(term);
    }
  }
  return {std::move(whole), std::move(rest)};
}

size_t Polynomial::hash() const {
  uint64_t hash = 0x9e3779b97f4a7c15u;
  const auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  };
  for (const Term& term : terms_) {
    for (const int32_t atom : term.atoms) mix(static_cast<uint64_t>(atom));
    mix(~static_cast<uint64_t>(term.coefficient));
  }
  return hash;
}

void Polynomial::normalize() {
  std::sort(terms_.begin(), terms_.end(), comes_before);
  size_t kept = 0;
  for (size_t i = 0; i < terms_.size();) {
    Term sum = std::move(terms_[i++]);
    while (i < terms_.size() && terms_[i].atoms == sum.atoms) {
      sum.coefficient = checked_add(sum.coefficient, terms_[i++].coefficient);
    }
    if (sum.coefficient != 0) terms_[kept++] = std::move(sum);
  }
  terms_.resize(kept);
}

Bounds Bounds::operator+(const Bounds& other) const {
  Bounds result;
  if (low > -infinity && other.low > -infinity) result.low = clamp_to_infinity(low + other.low);
  if (high < infinity && other.high < infinity) result.high = clamp_to_infinity(high + other.high);
  return result;
}

Bounds Bounds::operator*(const Bounds& other) const {
  const auto [smallest, largest] =
      std::minmax({saturating_multiply(low, other.low), saturating_multiply(low, other.high),
                   saturating_multiply(high, other.low), saturating_multiply(high, other.high)});
  return {smallest, largest};
}

Bounds bounds_of(const Polynomial& p, std::span<const Bounds> of_places) {
  Bounds sum{0, 0};
  for (const Term& term : p.terms()) {
    Bounds product{term.coefficient, term.coefficient};
    for (const int32_t atom : term.atoms) product = product * of_places[static_cast<size_t>(atom)];
    sum = sum + product;
  }
  return sum;
}

}  // namespace lazuli::dim_detail
