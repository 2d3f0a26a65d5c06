#include "helpers.h"

namespace lazuli::test {
namespace {

TEST(PowersOfTwo, AreFoundAndReached) {
  for (int n = -3; n < 5000; ++n) {
    bool is_one = false;
    int next = 1;
    for (int p = 1; p <= n; p *= 2) is_one = p == n;
    while (next < n) next *= 2;
    EXPECT_EQ(is_power_of_2(n), is_one) << n;
    EXPECT_EQ(next_power_of_2(n), next) << n;
  }
  EXPECT_EQ(next_power_of_2((1 << 29) + 1), 1 << 30);
  EXPECT_TRUE(is_power_of_2(1 << 30));
}

}  // namespace
}  // namespace lazuli::test
