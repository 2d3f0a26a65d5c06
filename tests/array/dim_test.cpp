#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <thread>

#include <lazuli/array/dim.h>
#include <lazuli/array/shape.h>

using namespace lazuli;

namespace {

class DimTest : public testing::Test {
 protected:
  std::string text(Dim d) { return scope_.table().to_text(static_cast<uint32_t>(scope_.place_of(d))); }
  /// Guards recorded since symbols were made.
  std::vector<std::string> guards() {
    std::vector<std::string> result;
    for (const DimGuard& guard : scope_.table().guards) {
      std::string t = scope_.table().to_text(guard);
      if (t.rfind("2 <= s", 0) != 0) result.push_back(std::move(t));
    }
    return result;
  }
  using Guards = std::vector<std::string>;

  DimScope scope_;
  Dim n_ = scope_.new_symbol(7);
  Dim m_ = scope_.new_symbol(12);
};

TEST(Dim, ConstantsAreNumbers) {
  EXPECT_EQ(Dim(7) + 5, 12);
  EXPECT_EQ(Dim(-7) / 2, -4);
  EXPECT_EQ(Dim(-7) % 2, 1);
  EXPECT_EQ(Dim(7) % -2, -1);
  EXPECT_EQ(dim_min(Dim(3), Dim(4)), 3);
  EXPECT_EQ(dim_max(Dim(3), 4), 4);
  EXPECT_LT(Dim(3), 4);
  EXPECT_GE(5u, Dim(5));
  EXPECT_THROW(Dim(1) / 0, std::domain_error);
  EXPECT_THROW(Dim(1) % 0, std::domain_error);
  EXPECT_THROW(Dim(int64_t{1} << 31), std::overflow_error);
  EXPECT_THROW(Dim(4000000000u), std::overflow_error);
  EXPECT_THROW(Dim(1 << 30) * 4, std::overflow_error);
  std::ostringstream os;
  os << Dim(3) << ' ' << Shape{2, 3} << ' ' << Shape{4} << ' ' << Strides{};
  EXPECT_EQ(os.str(), "3 (2,3) (4,) ()");
}

TEST_F(DimTest, EqualExpressionsAreOnePlace) {
  EXPECT_TRUE((n_ + 0).same_as(n_));
  EXPECT_TRUE((n_ * 1).same_as(n_));
  EXPECT_TRUE((n_ + 1 - 1).same_as(n_));
  EXPECT_TRUE((n_ - n_).same_as(Dim(0)));
  EXPECT_TRUE((n_ * 0).same_as(Dim(0)));
  EXPECT_TRUE((n_ * 6 / 6).same_as(n_));
  EXPECT_TRUE((n_ + m_).same_as(m_ + n_));
  EXPECT_TRUE((n_ * m_ * 3).same_as(3 * m_ * n_));
  EXPECT_TRUE((n_ * m_ / m_).same_as(n_));
  EXPECT_TRUE(((n_ + 1) * (m_ + 2) / (m_ + 2)).same_as(n_ + 1));
  EXPECT_TRUE(((n_ + m_) * 2 - n_ - m_ - m_).same_as(n_));
  EXPECT_TRUE(((4 * n_ + 3) / 4).same_as(n_));
  EXPECT_TRUE(((4 * n_ + m_) / 4).same_as(n_ + m_ / 4));
  EXPECT_TRUE((n_ * m_ % m_).same_as(Dim(0)));
  EXPECT_TRUE(((2 * n_ + 1) % 2).same_as(Dim(1)));
  EXPECT_TRUE((m_ / 4).same_as((m_ + 4) / 4 - 1));
  EXPECT_TRUE((n_ / n_).same_as(Dim(1)));
  EXPECT_TRUE(dim_max(n_, 2).same_as(n_));
  EXPECT_TRUE(dim_min(n_, n_ + 1).same_as(n_));
  EXPECT_TRUE(dim_max(n_, m_).same_as(dim_max(m_, n_)));
  EXPECT_TRUE((-(-n_)).same_as(n_));
  EXPECT_TRUE(guards().empty()) << guards()[0];
  EXPECT_EQ((n_ * m_ + 3 - n_).hint(), 80);
}

TEST_F(DimTest, TextOfExpressions) {
  EXPECT_EQ(text(n_ + 1), "s0 + 1");
  EXPECT_EQ(text(n_ - 1), "s0 - 1");
  EXPECT_EQ(text(5 - n_), "5 - s0");
  EXPECT_EQ(text((n_ + 1) / 2), "(s0 + 1)/2");
  EXPECT_EQ(text(dim_min(n_, 5) * m_), "s1*min(s0, 5)");
}

TEST_F(DimTest, WhatIsKnownNeedsNoGuard) {
  EXPECT_FALSE(n_ == 1);
  EXPECT_FALSE(n_ == 0);
  EXPECT_TRUE(n_ != -1);
  EXPECT_TRUE(n_ > 0);
  EXPECT_TRUE(n_ > 1);
  EXPECT_TRUE(n_ >= 2);
  EXPECT_TRUE(n_ == n_ + 1 - 1);
  EXPECT_TRUE(n_ < n_ + 1);
  EXPECT_FALSE(n_ + m_ <= n_);
  EXPECT_FALSE(n_ * m_ == 3);
  EXPECT_TRUE(n_ % 4 < 4);
  EXPECT_TRUE(n_ / 4 >= 0);
  EXPECT_TRUE(guards().empty()) << guards()[0];
}

TEST_F(DimTest, ComparisonsRecordTheirOutcomeOnce) {
  EXPECT_FALSE(n_ == m_);
  EXPECT_FALSE(m_ == n_);
  EXPECT_TRUE(n_ < 8);
  EXPECT_FALSE(n_ > 7);
  EXPECT_TRUE(m_ - n_ == 5);
  EXPECT_EQ(guards(), (Guards{"s0 != s1", "s0 < 8", "s0 <= 7", "s1 - s0 == 5"}));
  EXPECT_EQ(n_ <=> m_, std::strong_ordering::less);
  EXPECT_EQ(guards().back(), "s0 < s1");
}

TEST_F(DimTest, ConversionFixesTheValue) {
  const int value = n_ + 1;
  EXPECT_EQ(value, 8);
  EXPECT_EQ(guards(), (Guards{"s0 + 1 == 8"}));
}

TEST_F(DimTest, DivisorThatMayBeZeroIsGuarded) {
  EXPECT_EQ((m_ / (n_ - 5)).hint(), 6);
  EXPECT_EQ(guards(), (Guards{"s0 - 5 != 0"}));
  EXPECT_THROW(m_ / (n_ - 7), std::domain_error);
  const DimTable& table = scope_.table();
  const std::vector<int64_t> symbols{5, 12};
  EXPECT_FALSE(table.guards_hold(table.evaluate(symbols)));
}

TEST_F(DimTest, ZeroAndOneAreConstants) {
  EXPECT_FALSE(scope_.new_symbol(0).is_symbolic());
  EXPECT_FALSE(scope_.new_symbol(1).is_symbolic());
  EXPECT_EQ(scope_.table().symbols, 2);
  EXPECT_THROW(scope_.new_symbol(-1), std::invalid_argument);
  // The guard of a symbol: at least 2.
  const DimTable& table = scope_.table();
  EXPECT_TRUE(table.guards_hold(table.evaluate(std::vector<int64_t>{2, 100})));
  EXPECT_FALSE(table.guards_hold(table.evaluate(std::vector<int64_t>{1, 100})));
}

TEST_F(DimTest, ScopesNest) {
  const Dim outer = n_ + 1;
  {
    DimScope inner;
    EXPECT_EQ(DimScope::current(), &inner);
    EXPECT_FALSE(inner.owns(outer));
    const Dim k = inner.new_symbol(7);
    EXPECT_NE(k.symbol(), n_.symbol());
    const Dim sum = k + outer;
    EXPECT_EQ(inner.table().to_text(static_cast<uint32_t>(inner.place_of(sum))), "s0 + 8");
    EXPECT_FALSE((outer + 1).is_symbolic());
  }
  EXPECT_EQ(guards(), (Guards{"s0 + 1 == 8"}));
  EXPECT_EQ(DimScope::current(), &scope_);
}

TEST_F(DimTest, StaleDimsAreConstants) {
  Dim stale;
  {
    DimScope ended;
    stale = ended.new_symbol(9) + 1;
  }
  EXPECT_FALSE((stale + 1).is_symbolic());
  EXPECT_EQ(static_cast<int>(stale), 10);
  DimScope next;
  (void)(next.new_symbol(9) + 1);
  EXPECT_FALSE(next.owns(stale));
  EXPECT_TRUE(guards().empty());
  std::thread([&] { EXPECT_EQ(static_cast<int>(n_), 7); }).join();
  EXPECT_TRUE(guards().empty());
}

TEST_F(DimTest, BroadcastKeepsSymbols) {
  EXPECT_TRUE(broadcast_shapes(Shape{n_, 1}, Shape{m_})[1].same_as(m_));
  EXPECT_TRUE(broadcast_shapes(Shape{n_}, Shape{4, n_})[1].same_as(n_));
  EXPECT_TRUE(guards().empty());
  EXPECT_FALSE(broadcast_shapes(Shape{n_}, Shape{7})[0].is_symbolic());
  EXPECT_EQ(guards(), (Guards{"s0 == 7"}));
  EXPECT_THROW(broadcast_shapes(Shape{n_}, Shape{m_}), std::invalid_argument);
}

TEST(Dim, LargeTables) {
  DimScope scope;
  std::vector<Dim> sums;
  const Dim n = scope.new_symbol(5);
  for (int i = 1; i < 1000; ++i) sums.push_back(n + i);
  for (int i = 1; i < 1000; ++i) EXPECT_TRUE((sums[static_cast<size_t>(i - 1)] - i).same_as(n));
}

// Random expressions: evaluating the table gives what plain integers give, at the values traced with and at
// others for which the guards hold.
TEST(Dim, RandomExpressionsEvaluateRight) {
  std::mt19937 random(1);
  const auto any = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    DimScope scope;
    std::vector<Dim> dims;
    std::vector<int64_t> symbols;
    std::vector<int64_t> others;
    for (int i = 0; i < 3; ++i) {
      symbols.push_back(2 + any(9));
      others.push_back(2 + any(9));
      dims.push_back(scope.new_symbol(static_cast<int32_t>(symbols.back())));
    }
    std::vector<int64_t> at_others = others;
    for (int i = 1; i < 5; ++i) {
      dims.push_back(Dim(i));
      at_others.push_back(i);
    }
    for (int step = 0; step < 12; ++step) {
      const size_t a = static_cast<size_t>(any(static_cast<int>(dims.size())));
      const size_t b = static_cast<size_t>(any(static_cast<int>(dims.size())));
      const int64_t x = at_others[a], y = at_others[b];
      const auto floor_div = [](int64_t p, int64_t q) {
        const int64_t d = p / q;
        return p % q != 0 && (p < 0) != (q < 0) ? d - 1 : d;
      };
      if (std::abs(dims[a].hint()) > 20000 || std::abs(dims[b].hint()) > 20000) continue;
      if (std::abs(x) > 20000 || std::abs(y) > 20000) continue;
      const int kind = any(8);
      if (kind >= 5 && (dims[b].hint() == 0 || y == 0) && kind < 7) continue;
      switch (kind) {
        case 0:
          dims.push_back(dims[a] + dims[b]), at_others.push_back(x + y);
          break;
        case 1:
          dims.push_back(dims[a] - dims[b]), at_others.push_back(x - y);
          break;
        case 2:
          dims.push_back(dims[a] * dims[b]), at_others.push_back(x * y);
          break;
        case 3:
          dims.push_back(dim_min(dims[a], dims[b])), at_others.push_back(std::min(x, y));
          break;
        case 4:
          dims.push_back(dim_max(dims[a], dims[b])), at_others.push_back(std::max(x, y));
          break;
        case 5:
          dims.push_back(dims[a] / dims[b]), at_others.push_back(floor_div(x, y));
          break;
        case 6:
          dims.push_back(dims[a] % dims[b]);
          at_others.push_back(x - y * floor_div(x, y));
          break;
        default:
          EXPECT_EQ(dims[a] < dims[b], dims[a].hint() < dims[b].hint());
          break;
      }
    }
    std::vector<int32_t> places;
    for (const Dim d : dims) places.push_back(scope.place_of(d));
    const DimTable& table = scope.table();
    const std::vector<int64_t> here = table.evaluate(symbols);
    EXPECT_TRUE(table.guards_hold(here));
    const std::vector<int64_t> there = table.evaluate(others);
    const bool holds = table.guards_hold(there);
    for (size_t i = 0; i < dims.size(); ++i) {
      EXPECT_EQ(here[static_cast<size_t>(places[i])], dims[i].hint());
      if (holds) {
        EXPECT_EQ(there[static_cast<size_t>(places[i])], at_others[i]);
      }
    }
  }
}

}  // namespace
