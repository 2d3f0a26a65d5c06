#include <lazuli/array/dim.h>

#include <algorithm>
#include <ostream>
#include <stdexcept>

#include <lazuli/array/dim_interner.h>

namespace lazuli {

using Kind = DimExpression::Kind;

namespace {

thread_local DimScope* current_scope = nullptr;

}  // namespace

void dim_detail::throw_out_of_range(int64_t value) {
  throw std::overflow_error("[dim] an extent of " + std::to_string(value) + " does not fit 32 bits");
}

int Dim::concrete() const {
  for (DimScope* scope = current_scope; scope != nullptr; scope = scope->outer_) {
    if (scope->owns(*this)) {
      scope->interner_->guard(DimGuard::Kind::eq, *this, Dim(value_));
      break;
    }
  }
  return value_;
}

Dim Dim::combine(int kind, Dim a, Dim b) {
  const Kind k = static_cast<Kind>(kind);
  if (a.is_symbolic() || b.is_symbolic()) {
    if (current_scope != nullptr) {
      a = current_scope->localize(a);
      b = current_scope->localize(b);
      if (a.is_symbolic() || b.is_symbolic()) return current_scope->interner_->combine(k, a, b);
    }
  }
  if (b.value_ == 0 && (k == Kind::div || k == Kind::mod)) {
    throw std::domain_error("[dim] division of an extent by zero");
  }
  return Dim(dim_detail::apply(k, a.value_, b.value_));
}

bool Dim::compare(int kind, Dim a, Dim b) {
  const DimGuard::Kind k = static_cast<DimGuard::Kind>(kind);
  if ((a.is_symbolic() || b.is_symbolic()) && !a.same_as(b) && current_scope != nullptr) {
    a = current_scope->localize(a);
    b = current_scope->localize(b);
    if (a.is_symbolic() || b.is_symbolic()) return current_scope->interner_->compare(k, a, b);
  }
  return dim_detail::holds(k, a.value_, b.value_);
}

Dim operator+(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::add), a, b);
}
Dim operator-(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::sub), a, b);
}
Dim operator*(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::mul), a, b);
}
Dim operator/(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::div), a, b);
}
Dim operator%(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::mod), a, b);
}
Dim dim_min(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::min), a, b);
}
Dim dim_max(Dim a, Dim b) {
  return Dim::combine(static_cast<int>(Kind::max), a, b);
}

bool operator==(Dim a, Dim b) {
  return Dim::compare(static_cast<int>(DimGuard::Kind::eq), a, b);
}
bool operator<(Dim a, Dim b) {
  return Dim::compare(static_cast<int>(DimGuard::Kind::lt), a, b);
}
bool operator<=(Dim a, Dim b) {
  return Dim::compare(static_cast<int>(DimGuard::Kind::le), a, b);
}

std::strong_ordering operator<=>(Dim a, Dim b) {
  if (a == b) return std::strong_ordering::equal;
  return a < b ? std::strong_ordering::less : std::strong_ordering::greater;
}

std::ostream& operator<<(std::ostream& os, Dim d) {
  return os << d.hint();
}

DimScope::DimScope() : interner_(std::make_unique<dim_detail::Interner>(table_)), outer_(current_scope) {
  current_scope = this;
}

DimScope::~DimScope() {
  current_scope = outer_;
}

DimScope* DimScope::current() {
  return current_scope;
}

Dim DimScope::new_symbol(int32_t value) {
  if (value < 0)
    throw std::invalid_argument("[dim] a symbol for a negative extent: " + std::to_string(value));
  return value < 2 ? Dim(value) : interner_->new_symbol(value);
}

int32_t DimScope::place_of(Dim d) {
  return interner_->place_of(localize(d));
}

Dim DimScope::dim_at(int32_t place, int32_t value) const {
  return interner_->dim_at(place, value);
}

bool DimScope::owns(Dim d) const {
  return interner_->owns(d);
}

std::vector<int64_t> DimTable::evaluate(std::span<const int64_t> symbol_values) const {
  using dim_detail::checked_add;
  using dim_detail::checked_multiply;
  std::vector<int64_t> values(expressions.size());
  for (size_t i = 1; i < expressions.size(); ++i) {
    const DimExpression& e = expressions[i];
    if (e.kind == Kind::constant) {
      values[i] = e.a;
      continue;
    }
    if (e.kind == Kind::symbol) {
      if (static_cast<size_t>(e.a) >= symbol_values.size()) {
        throw std::invalid_argument("[dim] no value for symbol " + std::to_string(e.a));
      }
      values[i] = symbol_values[static_cast<size_t>(e.a)];
      continue;
    }
    const int64_t a = values[static_cast<size_t>(e.a)];
    const int64_t b = values[static_cast<size_t>(e.b)];
    switch (e.kind) {
      case Kind::add:
        values[i] = checked_add(a, b);
        break;
      case Kind::sub:
        values[i] = checked_add(a, checked_multiply(b, -1));
        break;
      case Kind::mul:
        values[i] = checked_multiply(a, b);
        break;
      case Kind::div:
        values[i] = b == 0 ? 0 : dim_detail::floor_divide(a, b);
        break;
      case Kind::mod:
        values[i] = b == 0 ? 0 : dim_detail::floor_modulo(a, b);
        break;
      case Kind::min:
        values[i] = std::min(a, b);
        break;
      case Kind::max:
        values[i] = std::max(a, b);
        break;
      case Kind::symbol:
      case Kind::constant:
        break;
    }
  }
  return values;
}

bool DimTable::guards_hold(std::span<const int64_t> values) const {
  return std::all_of(guards.begin(), guards.end(), [&](const DimGuard& guard) {
    return dim_detail::holds(guard.kind, values[static_cast<size_t>(guard.a)],
                             values[static_cast<size_t>(guard.b)]);
  });
}

std::string DimTable::to_text(uint32_t expression) const {
  const DimExpression& e = expressions.at(expression);
  if (e.kind == Kind::constant) return std::to_string(e.a);
  if (e.kind == Kind::symbol) return "s" + std::to_string(e.a);
  const std::string a = to_text(static_cast<uint32_t>(e.a));
  const std::string b = to_text(static_cast<uint32_t>(e.b));
  const auto is_sum = [this](int32_t place) {
    const Kind kind = expressions[static_cast<size_t>(place)].kind;
    return kind == Kind::add || kind == Kind::sub;
  };
  const auto is_product = [this](int32_t place) {
    const Kind kind = expressions[static_cast<size_t>(place)].kind;
    return kind == Kind::mul || kind == Kind::div || kind == Kind::mod;
  };
  const std::string factor_a = is_sum(e.a) ? "(" + a + ")" : a;
  const std::string factor_b = is_sum(e.b) || is_product(e.b) ? "(" + b + ")" : b;
  switch (e.kind) {
    case Kind::add:
      return a + " + " + b;
    case Kind::sub:
      return a + " - " + (is_sum(e.b) ? "(" + b + ")" : b);
    case Kind::mul:
      return factor_a + "*" + factor_b;
    case Kind::div:
      return factor_a + "/" + factor_b;
    case Kind::mod:
      return factor_a + "%" + factor_b;
    case Kind::min:
      return "min(" + a + ", " + b + ")";
    case Kind::max:
      return "max(" + a + ", " + b + ")";
    case Kind::symbol:
    case Kind::constant:
      break;
  }
  return {};
}

std::string DimTable::to_text(const DimGuard& guard) const {
  const char* const sign = guard.kind == DimGuard::Kind::eq   ? " == "
                           : guard.kind == DimGuard::Kind::ne ? " != "
                           : guard.kind == DimGuard::Kind::lt ? " < "
                                                              : " <= ";
  return to_text(static_cast<uint32_t>(guard.a)) + sign + to_text(static_cast<uint32_t>(guard.b));
}

}  // namespace lazuli
