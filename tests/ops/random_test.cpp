// Random numbers: known values, a direct implementation of the counters, and the shapes of distributions.

#include "helpers.h"

#include <array>
#include <numeric>

namespace lazuli::test {
namespace {

/// Threefry-2x32-20, written out.
std::array<uint32_t, 2> threefry(std::array<uint32_t, 2> key, std::array<uint32_t, 2> x) {
  const uint32_t ks[3] = {key[0], key[1], 0x1BD11BDAu ^ key[0] ^ key[1]};
  const int distances[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  x[0] += ks[0];
  x[1] += ks[1];
  for (int round = 0; round < 20; ++round) {
    const int distance = distances[round % 8];
    x[0] += x[1];
    x[1] = ((x[1] << distance) | (x[1] >> (32 - distance))) ^ x[0];
    if (round % 4 == 3) {
      const uint32_t injection = static_cast<uint32_t>(round / 4 + 1);
      x[0] += ks[injection % 3];
      x[1] += ks[(injection + 1) % 3] + injection;
    }
  }
  return x;
}

/// The bytes that `bits` of that many bytes must be.
std::vector<uint32_t> expected_words(std::array<uint32_t, 2> key, uint32_t words) {
  std::vector<uint32_t> result(words);
  const uint32_t half = words / 2;
  const uint32_t odd = words % 2;
  for (uint32_t i = 0; i < half; ++i) {
    const auto [first, second] = threefry(key, {i, i + half + odd});
    result[i] = first;
    result[i + half + odd] = second;
  }
  if (odd == 1) result[half] = threefry(key, {half, 0})[0];
  return result;
}

TEST(Random, ThreefryHasItsPublishedAnswers) {
  // Known answers of the Random123 library.
  EXPECT_EQ(threefry({0, 0}, {0, 0}), (std::array<uint32_t, 2>{0x6b200159u, 0x99ba4efeu}));
  EXPECT_EQ(threefry({0xffffffffu, 0xffffffffu}, {0xffffffffu, 0xffffffffu}),
            (std::array<uint32_t, 2>{0x1cb996fcu, 0xbb002be7u}));
  EXPECT_EQ(threefry({0x13198a2eu, 0x03707344u}, {0x243f6a88u, 0x85a308d3u}),
            (std::array<uint32_t, 2>{0xc4923a9cu, 0x483df7a0u}));
}

TEST(Random, BitsOfEveryWidthAndSize) {
  for (uint64_t seed : {0ull, 7ull, 0x123456789abcdefull}) {
    const std::array<uint32_t, 2> key{static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)};
    for (int n : {1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 64, 1001}) {
      for (int width : {4, 2, 1}) {
        const std::vector<uint32_t> words = expected_words(key, static_cast<uint32_t>((n * width + 3) / 4));
        std::vector<double> expected;
        for (int i = 0; i < n; ++i) {
          const uint32_t word = words[static_cast<size_t>(i * width / 4)];
          const uint32_t shifted = word >> (8 * (i * width % 4));
          expected.push_back(width == 4 ? shifted : width == 2 ? shifted & 0xffffu : shifted & 0xffu);
        }
        expect_array(random::bits({n}, width, random::key(seed)), {n},
                     width == 4   ? uint32
                     : width == 2 ? uint16
                                  : uint8,
                     expected, 0, std::to_string(n) + " of width " + std::to_string(width));
      }
    }
  }
  // The shape does not matter, only the number of elements.
  expect_array(random::bits({2, 3}, random::key(1)), {2, 3}, uint32,
               doubles(random::bits({6}, random::key(1))));
  expect_array(random::bits({0}, random::key(1)), {0}, uint32, {});
}

TEST(Random, KeysAndSplitting) {
  expect_array(random::key(0x100000002), {2}, uint32, {1, 2});
  const auto words = expected_words({0, 5}, 4);
  const auto [first, second] = random::split(random::key(5));
  expect_array(first, {2}, uint32, {static_cast<double>(words[0]), static_cast<double>(words[1])});
  expect_array(second, {2}, uint32, {static_cast<double>(words[2]), static_cast<double>(words[3])});
  EXPECT_EQ(random::split(random::key(5), 3).shape(), (Shape{3, 2}));
  expect_error([] { random::bits({2}, 3); }, "[bits]");
  expect_error([] { random::bits({2}, 4, zeros({2})); }, "[bits]");
  expect_error([] { random::bits({2}, 4, zeros({3}, uint32)); }, "[bits]");
  expect_error([] { random::bits({-1}); }, "[bits]");
}

TEST(Random, TheDefaultSequenceIsSeeded) {
  random::seed(42);
  const std::vector<double> first = doubles(random::uniform({5}));
  const std::vector<double> next = doubles(random::uniform({5}));
  random::seed(42);
  EXPECT_EQ(doubles(random::uniform({5})), first);
  EXPECT_NE(first, next);
  // It is the sequence that splitting by hand gives.
  const auto [rest, key] = random::split(random::key(42));
  EXPECT_EQ(doubles(random::uniform({5}, key)), first);
  EXPECT_EQ(doubles(random::uniform({5}, random::split(rest).second)), next);
}

TEST(Random, UniformFollowsTheBits) {
  const std::vector<double> bits = doubles(random::bits({1000}, random::key(3)));
  std::vector<double> expected;
  for (double word : bits) {
    const float unit = static_cast<float>(word) / static_cast<float>(4294967295.0);
    expected.push_back(std::min(unit, std::nextafter(1.0f, 0.0f)));
  }
  expect_array(random::uniform({1000}, random::key(3)), {1000}, float32, expected);
  for (Dtype dtype : {float32, float16, bfloat16}) {
    const array x = random::uniform(array(-2.0f), array(3.0f), {20000}, dtype, random::key(1));
    EXPECT_EQ(x.dtype(), dtype);
    EXPECT_GE(min(x).item<float>(), -2);
    EXPECT_LE(max(x).item<float>(), 3);
    EXPECT_NEAR(mean(astype(x, float32)).item<float>(), 0.5, 0.05);
  }
  EXPECT_EQ(random::uniform(make({0, 10}, {2}), array(20.0f), {3, 2}).shape(), (Shape{3, 2}));
  expect_error([] { random::uniform({2}, int32); }, "[uniform]");
  expect_error([] { random::uniform(zeros({3}), array(1.0f), {2}); }, "[uniform]");
  expect_error<std::runtime_error>([] { random::uniform({2}, float64); }, "[uniform]");
}

/// Mean and variance of samples.
std::pair<double, double> moments(const array& x) {
  const std::vector<double> v = doubles(x);
  const double m = std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  double total = 0;
  for (double value : v) total += (value - m) * (value - m);
  return {m, total / static_cast<double>(v.size())};
}

TEST(Random, NormalAndLaplace) {
  for (Dtype dtype : {float32, float16, bfloat16}) {
    const auto [m, v] = moments(random::normal({30000}, dtype, 3.0f, 2.0f, random::key(9)));
    EXPECT_NEAR(m, 3, 0.06);
    EXPECT_NEAR(v, 4, 0.15);
  }
  const auto [m, v] = moments(random::laplace({30000}, 1.0f, 2.0f, random::key(4)));
  EXPECT_NEAR(m, 1, 0.08);
  EXPECT_NEAR(v, 8, 0.5);
  const array z = random::normal({20000}, complex64, random::key(2));
  EXPECT_EQ(z.dtype(), complex64);
  EXPECT_NEAR(moments(real(z)).second, 0.5, 0.03);
  EXPECT_NEAR(moments(imag(z)).second, 0.5, 0.03);
  // It is the inverse of the error function, stretched.
  const array u =
      random::uniform(array(std::nextafter(-1.0f, 0.0f)), array(1.0f), {100}, float32, random::key(6));
  expect_array(random::normal({100}, random::key(6)), {100}, float32,
               doubles(array(std::sqrt(2.0f)) * erfinv(u)), 1e-6);
  const array ends = random::normal({2}, float32, make({0, 100}, {2}), make({1, 0}, {2}), random::key(6));
  EXPECT_EQ(doubles(ends)[1], 100);
  expect_error([] { random::normal({2}, int32); }, "[normal]");
  expect_error([] { random::laplace({2}, int32); }, "[laplace]");
}

TEST(Random, Integers) {
  const array x = random::randint(-3, 4, {20000}, int32, random::key(8));
  EXPECT_EQ(min(x).item<int>(), -3);
  EXPECT_EQ(max(x).item<int>(), 3);
  for (int value = -3; value < 4; ++value) {
    EXPECT_NEAR(static_cast<double>(count_nonzero(x == array(value)).item<int>()), 20000.0 / 7, 200);
  }
  // low + bits modulo the width.
  const std::vector<double> bits = doubles(random::bits({50}, random::key(2)));
  std::vector<double> expected;
  for (double word : bits) expected.push_back(100 + std::fmod(word, 1000));
  expect_array(random::randint(100, 1100, {50}, int32, random::key(2)), {50}, int32, expected);
  expect_array(random::randint(5, 5, {3}, int64, random::key(1)), {3}, int64, {5, 5, 5});
  expect_array(random::randint(7, 2, {2}, uint8, random::key(1)), {2}, uint8, {7, 7});
  // Wide intervals reach beyond 32 bits.
  const array wide =
      random::randint(array(int64_t{0}), array(int64_t{1} << 62), {200}, int64, random::key(1));
  EXPECT_GT(max(wide).item<int64_t>(), int64_t{1} << 60);
  EXPECT_GE(min(wide).item<int64_t>(), 0);
  expect_error([] { random::randint(0, 2, {2}, float32); }, "[randint]");
}

TEST(Random, Bernoulli) {
  EXPECT_NEAR(mean(random::bernoulli(0.3f, Shape{20000}, random::key(5))).item<float>(), 0.3, 0.02);
  expect_array(random::bernoulli(make({0, 1}, {2}), Shape{3, 2}, random::key(1)), {3, 2}, bool_,
               {0, 1, 0, 1, 0, 1});
  EXPECT_EQ(random::bernoulli().shape(), (Shape{}));
  expect_error([] { random::bernoulli(array(1), Shape{2}); }, "[bernoulli]");
  expect_error([] { random::bernoulli(zeros({3}), Shape{2}); }, "[bernoulli]");
}

TEST(Random, TruncatedNormalAndGumbel) {
  const array x = random::truncated_normal(array(-1.0f), array(0.5f), {10000}, float32, random::key(3));
  EXPECT_GE(min(x).item<float>(), -1);
  EXPECT_LE(max(x).item<float>(), 0.5f);
  // The mean is (phi(-1) - phi(0.5)) / (Phi(0.5) - Phi(-1)).
  EXPECT_NEAR(moments(x).first, (0.24197072 - 0.35206533) / (0.69146246 - 0.15865525), 0.02);
  const array g = random::gumbel({30000}, float32, random::key(3));
  EXPECT_NEAR(moments(g).first, 0.57721566, 0.03);
  EXPECT_EQ(random::truncated_normal(zeros({3}), ones({2, 1})).shape(), (Shape{2, 3}));
  expect_error([] { random::truncated_normal(array(0.0f), array(1.0f), {2}, int32); }, "[truncated_normal]");
}

TEST(Random, Categorical) {
  const array logits = log(make({0.1, 0.2, 0.3, 0.4}, {4}));
  const array draws = random::categorical(logits, 0, 20000, random::key(11));
  EXPECT_EQ(draws.shape(), (Shape{20000}));
  EXPECT_EQ(draws.dtype(), uint32);
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(static_cast<double>(count_nonzero(draws == array(i, uint32)).item<int>()), 2000 * (i + 1),
                250);
  }
  const array rows = make({0, -infinity, -infinity, 0}, {2, 2});
  expect_array(random::categorical(rows, -1, random::key(1)), {2}, uint32, {0, 1});
  expect_array(random::categorical(rows, 0, Shape{3, 2}, random::key(1)), {3, 2}, uint32, {0, 1, 0, 1, 0, 1});
  EXPECT_EQ(random::categorical(rows, 1, 5).shape(), (Shape{2, 5}));
  expect_error([&] { random::categorical(rows, 2); }, "[categorical]");
  expect_error([&] { random::categorical(rows, 0, Shape{3}); }, "[categorical]");
}

TEST(Random, CompiledFunctionsDrawByTheirKey) {
  const CompiledFunction f = compile(
      [](const std::vector<array>& in) { return std::vector<array>{random::bits(in[0].shape(), in[1])}; });
  for (int n : {5, 8, 33}) {
    expect_array(f({zeros({n}), random::key(static_cast<uint64_t>(n))})[0], {n}, uint32,
                 doubles(random::bits({n}, random::key(static_cast<uint64_t>(n)))));
  }
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Random, Permutations) {
  const array order = random::permutation(1000, random::key(7));
  EXPECT_EQ(order.dtype(), uint32);
  std::vector<double> sorted = doubles(order);
  EXPECT_NE(sorted, doubles(arange(1000)));
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, doubles(arange(1000)));
  const array x = counting({3, 50});
  const array shuffled = random::permutation(x, 1, random::key(2));
  expect_array(shuffled, {3, 50}, float32, doubles(take(x, random::permutation(50, random::key(2)), 1)));
  expect_array(random::permutation(zeros({0, 2}), 0), {0, 2}, float32, {});
  expect_error([] { random::permutation(zeros({2, 3}), 2); }, "[permutation]");
}

}  // namespace
}  // namespace lazuli::test
