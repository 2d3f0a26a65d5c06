// Gradients that the table of cases in float64 does not cover: other dtypes, special values, kernels.

#include <gtest/gtest.h>

#include <cmath>

#include <lazuli/ops/elementwise_table.h>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Arrays = std::vector<array>;

TEST(OtherGradients, ComplexNumbers) {
  // Of L = Re(Σ c·f(z)), by differences along both parts.
  struct ComplexCase {
    const char* name;
    std::function<array(const array&)> f;
  };
  const std::vector<ComplexCase> cases{
      {"multiply", [](const array& z) { return z * z * conjugate(z); }},
      {"divide", [](const array& z) { return conjugate(z) / (z + array(2.0f)); }},
      {"exp", [](const array& z) { return exp(z); }},
      {"sin", [](const array& z) { return sin(z) * cos(z); }},
      {"log", [](const array& z) { return log(z); }},
      {"sqrt", [](const array& z) { return sqrt(z); }},
      {"tanh", [](const array& z) { return tanh(z); }},
      {"square", [](const array& z) { return square(z); }},
      {"abs", [](const array& z) { return astype(abs(z), complex64); }},
      {"real", [](const array& z) { return astype(real(z) * imag(z), complex64); }},
      {"parts",
       [](const array& z) {
         return apply_elementwise(Elementwise::make_complex, {imag(z) * real(z), real(z)}, {}) * z;
       }},
      {"matmul", [](const array& z) { return matmul(expand_dims(z, 1), expand_dims(z, 0)); }},
      {"sum", [](const array& z) { return sum(z * z); }},
      {"reciprocal", [](const array& z) { return reciprocal(z) + rsqrt(z); }},
      {"logaddexp", [](const array& z) { return logaddexp(z, z * z); }},
      {"logsumexp", [](const array& z) { return logsumexp(z * z); }},
      {"softmax", [](const array& z) { return softmax(z * array(0.5f)); }},
      {"cummax", [](const array& z) { return cummax(z) * z; }},
      {"cummin", [](const array& z) { return cummin(z, 0, true) * z; }},
      {"logcumsumexp", [](const array& z) { return logcumsumexp(z) + logcumsumexp(z, 0, true, true) * z; }},
      {"median", [](const array& z) { return median(z) * z; }},
      {"sort", [](const array& z) { return sort(negative(z)) * z; }},
      {"scatter_max",
       [](const array& z) {
         return scatter_max(z, array({1, 1}), reshape(z * z, {2, 1}), 0) * z;
       }},
      {"scatter_min",
       [](const array& z) {
         return scatter_min(z, array({0, 1}), reshape(z * z, {2, 1}), 0) * z;
       }},
  };
  const std::vector<complex64_t> at{{0.7f, -0.4f}, {1.2f, 0.9f}};
  const auto weights = [](const array& like) {
    std::vector<complex64_t> w;
    for (size_t i = 0; i < like.size(); ++i)
      w.emplace_back(0.5f + static_cast<float>(i), 0.25f - static_cast<float>(i));
    return array(w.begin(), like.shape());
  };
  for (const ComplexCase& tested : cases) {
    const array z(at.begin(), {2});
    const array w = weights(tested.f(z));
    const auto loss = [&](const array& x) { return sum(real(conjugate(w) * tested.f(x))).item<float>(); };
    const array found = vjp(tested.f, z, w).second;
    ASSERT_EQ(found.dtype(), complex64);
    const float step = 5e-3f;
    for (size_t i = 0; i < at.size(); ++i) {
      const auto moved = [&](complex64_t by) {
        std::vector<complex64_t> elements = at;
        elements[i] += by;
        return loss(array(elements.begin(), {2}));
      };
      const complex64_t of_z = take(found, static_cast<int>(i), 0).item<complex64_t>();
      const complex64_t i_step(0, step);
      EXPECT_NEAR(of_z.real(), (moved(step) - moved(-step)) / (2 * step), 3e-3) << tested.name;
      EXPECT_NEAR(of_z.imag(), (moved(i_step) - moved(-i_step)) / (2 * step), 3e-3) << tested.name;
      // Forward: along both directions.
      for (const complex64_t direction : {complex64_t(1, 0), complex64_t(0, 1)}) {
        std::vector<complex64_t> along(2);
        along[i] = direction;
        const array tangent = jvp(tested.f, z, array(along.begin(), {2})).second;
        const float change = sum(real(conjugate(w) * tangent)).item<float>();
        EXPECT_NEAR(change, direction.real() * of_z.real() + direction.imag() * of_z.imag(), 1e-3)
            << tested.name;
      }
    }
  }
}

TEST(OtherGradients, HalfPrecision) {
  for (Dtype dtype : {float16, bfloat16}) {
    const array x = make_numbers({3, 8}, dtype, 0.5);
    const array w = make_numbers({8}, dtype, 0.5);
    const ArrayFunction f = [](const Arrays& in) {
      return Arrays{astype(sum(square(fast::rms_norm(in[0], in[1], 1e-5f) * softmax(in[0], -1))), float32)};
    };
    const auto [results, gradients] = value_and_grad(f, std::vector<int>{0, 1})({x, w});
    const auto exact =
        value_and_grad(f, std::vector<int>{0, 1})({astype(x, float64), astype(w, float64)}).second;
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_EQ(gradients[i].dtype(), dtype);
      expect_array(gradients[i], exact[i].shape(), dtype, doubles(exact[i]), 16 * rounding_of(dtype));
    }
  }
}

TEST(OtherGradients, ProductsWithZeros) {
  const auto f = [](const array& x) { return sum(prod(x, 1)); };
  expect_array(grad(f)(make({2, 3, 4, 0, 5, 6, 0, 7, 0}, {3, 3})), {3, 3}, float32,
               {12, 8, 6, 30, 0, 0, 0, 0, 0});
  const auto g = [](const array& x) {
    return sum(scatter_prod(array({2.0f}), zeros({3}, int32), reshape(x, {3, 1}), 0));
  };
  expect_array(grad(g)(make({3, 0, 5}, {3})), {3}, float32, {0, 30, 0});
}

TEST(OtherGradients, EqualExtremesShare) {
  expect_array(grad([](const array& x) { return max(x); })(make({3, 1, 3}, {3})), {3}, float32,
               {0.5, 0, 0.5});
  const auto f = [](const array& x) {
    return sum(scatter_max(array({3.0f}), zeros({2}, int32), reshape(x, {2, 1}), 0));
  };
  expect_array(grad(f)(make({3, 3}, {2})), {2}, float32, {1.0 / 3, 1.0 / 3}, 1e-6);
}

TEST(OtherGradients, PowersOfZero) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{power(in[0], in[1])}; };
  const auto found = vjp(f, {make({0, 0, 0}, {3}), make({2, 0, 1}, {3})}, {ones({3})}).second;
  expect_array(found[0], {3}, float32, {0, 0, 1});
  expect_array(found[1], {3}, float32, {0, 0, 0});
}

TEST(OtherGradients, InfiniteScores) {
  // Elements that a mask hides get nothing, and don't make anything else NaN.
  const array x = make({1, -infinity, 2, 0.5}, {1, 4});
  for (const auto& f :
       {std::function<array(const array&)>([](const array& a) { return sum(square(softmax(a, -1))); }),
        std::function<array(const array&)>([](const array& a) { return sum(logsumexp(a, -1)); })}) {
    const std::vector<double> found = doubles(grad(f)(x));
    for (double element : found) EXPECT_TRUE(std::isfinite(element));
    EXPECT_EQ(found[1], 0);
  }
}

TEST(OtherGradients, QuantizedProduct) {
  for (const bool transposed : {true, false}) {
    for (const Shape& shape : {Shape{5, 64}, Shape{2, 3, 64}, Shape{64}}) {
      const std::vector<array> parts = quantize(make_numbers({64, 64}), 32, 4);
      const array x = make_numbers(shape, float32, 0.5);
      const ArrayFunction f = [&](const Arrays& in) {
        return Arrays{quantized_matmul(in[0], parts[0], in[1], in[2], transposed, 32, 4)};
      };
      const ArrayFunction plain = [&](const Arrays& in) {
        const array w = dequantize(parts[0], in[1], in[2], 32, 4);
        return Arrays{matmul(in[0], transposed ? transpose(w) : w)};
      };
      const Arrays in{x, parts[1], parts[2]};
      const array w = make_numbers(f(in)[0].shape());
      const Arrays expected = vjp(plain, in, {w}).second;
      const Arrays found = vjp(f, in, {w}).second;
      for (size_t i = 0; i < 3; ++i) {
        expect_array(found[i], in[i].shape(), float32, doubles(expected[i]), 2e-3, std::to_string(i));
      }
      const auto along = jvp(f, in, {w.shape() == x.shape() ? w : x, parts[1], parts[2]}).second[0];
      const auto along_plain = jvp(plain, in, {w.shape() == x.shape() ? w : x, parts[1], parts[2]}).second[0];
      expect_array(along, along_plain.shape(), float32, doubles(along_plain), 2e-3);
    }
  }
  // A batch of matrices, and of vectors for one matrix.
  const std::vector<array> parts = quantize(make_numbers({2, 32, 64}), 32, 8);
  const array x = make_numbers({2, 3, 64}, float32, 0.5);
  const ArrayFunction product = [](const Arrays& in) {
    return Arrays{quantized_matmul(in[0], in[1], in[2], in[3], true, 32, 8)};
  };
  const array all = vmap(product)({x, parts[0], parts[1], parts[2]})[0];
  const array shared = vmap(
      product, {0, -1, -1, -1})({x, take(parts[0], 1, 0), take(parts[1], 1, 0), take(parts[2], 1, 0)})[0];
  const array weights = dequantize(parts[0], parts[1], parts[2], 32, 8);
  expect_array(all, {2, 3, 32}, float32, doubles(matmul(x, swapaxes(weights, 1, 2))), 2e-3);
  expect_array(shared, {2, 3, 32}, float32, doubles(matmul(x, transpose(take(weights, 1, 0)))), 2e-3);
}

TEST(OtherGradients, PackedQuantizedProduct) {
  const std::vector<array> parts = quantize(make_numbers({48, 64}), 32, 4);
  const array packed = pack_quantized(parts[0], parts[1], parts[2], 32, 4);
  const array weights = dequantize(parts[0], parts[1], parts[2], 32, 4);
  for (const Shape& shape : {Shape{3, 64}, Shape{2, 5, 64}, Shape{1, 64}}) {
    const array x = make_numbers(shape, float32, 0.5);
    for (const auto activations : {QuantizedActivations::float32, QuantizedActivations::int8}) {
      const auto f = [&](const array& a) {
        return packed_quantized_matmul(a, packed, 48, 64, 32, 4, activations);
      };
      const array g = make_numbers(f(x).shape());
      expect_array(vjp(f, x, g).second, shape, float32, doubles(matmul(g, weights)), 1e-4);
      expect_array(jvp(f, x, x).second, g.shape(), float32, doubles(matmul(x, transpose(weights))), 1e-4);
    }
  }
}

TEST(OtherGradients, GatheredQuantizedProduct) {
  const std::vector<array> parts = quantize(make_numbers({3, 32, 64}), 32, 4);
  const array weights = dequantize(parts[0], parts[1], parts[2], 32, 4);
  const array which = make({2, 0, 2, 1}, {4}, uint32);
  const array x = make_numbers({4, 2, 64}, float32, 0.5);
  const array g = make_numbers({4, 2, 32});
  const auto f = [&](const array& a) {
    return gather_qmm(a, parts[0], parts[1], parts[2], std::nullopt, which, true, 32, 4);
  };
  expect_array(vjp(f, x, g).second, {4, 2, 64}, float32, doubles(matmul(g, take(weights, which, 0))), 1e-3);
}

TEST(OtherGradients, FourierTransforms) {
  // They are linear: the change along a direction is their value of it, and gradients are adjoint to that.
  const array x = make_numbers({3, 6, 8}, float32, 0.5);
  const array along = make_numbers({3, 6, 8}, float32, -0.3) + array(0.1f);
  const auto complex_of = [](const array& a) {
    return astype(a, complex64) * array(complex64_t(0.6f, -0.8f));
  };
  using Function = std::function<array(const array&)>;
  const std::vector<Function> functions{[&](const array& a) { return fft::fft(complex_of(a)); },
                                        [&](const array& a) { return fft::ifft(complex_of(a), 5, 1); },
                                        [&](const array& a) { return fft::fft2(complex_of(a)); },
                                        [&](const array& a) { return fft::ifft2(complex_of(a)); },
                                        [&](const array& a) { return fft::fftn(complex_of(a)); },
                                        [&](const array& a) { return fft::ifftn(complex_of(a)); },
                                        [](const array& a) { return fft::rfft(a); },
                                        [](const array& a) { return fft::rfft(a, 7, 2); },
                                        [](const array& a) { return fft::rfft(a, 1, 1); },
                                        [](const array& a) { return fft::rfft2(a); },
                                        [](const array& a) { return fft::rfftn(a); },
                                        [&](const array& a) { return fft::irfft(complex_of(a)); },
                                        [&](const array& a) { return fft::irfft(complex_of(a), 11, 2); },
                                        [&](const array& a) { return fft::irfft(complex_of(a), 1, 1); },
                                        [&](const array& a) { return fft::irfft(complex_of(a), 2, 1); },
                                        [&](const array& a) { return fft::irfft2(complex_of(a)); },
                                        [&](const array& a) { return fft::irfftn(complex_of(a)); },
                                        [](const array& a) { return fft::fftshift(a); },
                                        [](const array& a) { return fft::ifftshift(a); }};
  for (size_t i = 0; i < functions.size(); ++i) {
    const Function real_of = [&](const array& a) {
      const array y = functions[i](a);
      return y.dtype() == complex64 ? concatenate({flatten(real(y)), flatten(imag(y))}) : flatten(y);
    };
    const array expected = real_of(along);
    expect_array(jvp(real_of, x, along).second, expected.shape(), float32, doubles(expected), 1e-4,
                 std::to_string(i));
    const array w = make_numbers(expected.shape(), float32, 0.2);
    const array gradient = vjp(real_of, x, w).second;
    EXPECT_NEAR(sum(gradient * along).item<float>(), sum(w * expected).item<float>(), 1e-2) << i;
  }
}

/// Attention from scratch, in float64: for T queries and S keys, all heads of their own.
array plain_attention(const array& q, const array& k, const array& v, const array& mask) {
  const array scores = matmul(q, swapaxes(k, -1, -2)) * array(0.5, float64) + mask;
  return matmul(softmax(scores, -1), v);
}

TEST(OtherGradients, Attention) {
  constexpr int heads = 4;
  constexpr int queries = 3;
  constexpr int keys = 5;
  const array q = make_numbers({2, heads, queries, 8}, float32, 0.5);
  const array k = make_numbers({2, 2, keys, 8}, float32, 0.4);
  const array v = make_numbers({2, 2, keys, 6}, float32, 0.3);
  const array w = make_numbers({2, heads, queries, 6});
  const array added = make_numbers({heads, queries, keys}, float32, 0.2);
  array causal = zeros({queries, keys}, float64);
  causal =
      where(tril(ones({queries, keys}), keys - queries) == array(0.0f), array(-infinity, float64), causal);
  for (const std::string mode : {"", "causal", "array"}) {
    const ArrayFunction f = [&](const Arrays& in) {
      const std::optional<array> mask = mode == "array" ? std::make_optional(in[3]) : std::nullopt;
      return Arrays{fast::scaled_dot_product_attention(in[0], in[1], in[2], 0.5f, mode, mask)};
    };
    const ArrayFunction plain = [&](const Arrays& in) {
      Arrays wide;
      for (const array& a : in) wide.push_back(astype(a, float64));
      const array mask = mode == "array" ? wide[3] : mode == "causal" ? causal : array(0.0, float64);
      return Arrays{plain_attention(wide[0], repeat(wide[1], 2, 1), repeat(wide[2], 2, 1), mask)};
    };
    const Arrays in{q, k, v, added};
    const Arrays expected = vjp(plain, in, {w}).second;
    const Arrays found = vjp(f, in, {w}).second;
    for (size_t i = 0; i < in.size(); ++i) {
      expect_array(found[i], in[i].shape(), float32, doubles(expected[i]), 1e-5, mode + std::to_string(i));
    }
    const array tangent = jvp(f, in, in).second[0];
    expect_array(tangent, w.shape(), float32, doubles(jvp(plain, in, in).second[0]), 1e-5, mode);
    // Members of a batch, with keys that they share.
    const array shared = vmap(f, {0, -1, 0, -1})({stack({q, q * 2.0f}), k, stack({v, v - 1.0f}), added})[0];
    expect_array(take(shared, 0, 0), w.shape(), float32, doubles(f(in)[0]), 1e-5, mode);
    expect_array(take(shared, 1, 0), w.shape(), float32, doubles(f({q * 2.0f, k, v - 1.0f, added})[0]), 1e-5,
                 mode);
  }
}

TEST(OtherGradients, AttentionOfManyQueries) {
  // So many that the gradient takes them in blocks, the last of which is shorter.
  const int queries = 523;
  const array q = make_numbers({1, 2, queries, 4}, float32, 0.5);
  const array k = make_numbers({1, 1, queries + 3, 4}, float32, 0.4);
  const array v = make_numbers({1, 1, queries + 3, 4}, float32, 0.3);
  const array w = make_numbers({1, 2, queries, 4});
  array causal = zeros({queries, queries + 3}, float64);
  causal = where(tril(ones({queries, queries + 3}), 3) == array(0.0f), array(-infinity, float64), causal);
  const array added = make_numbers({2, queries, queries + 3}, float32, 0.2);
  for (const std::string mode : {"causal", "array"}) {
    const ArrayFunction f = [&](const Arrays& in) {
      const std::optional<array> mask = mode == "array" ? std::make_optional(in[3]) : std::nullopt;
      return Arrays{fast::scaled_dot_product_attention(in[0], in[1], in[2], 0.5f, mode, mask)};
    };
    const ArrayFunction plain = [&](const Arrays& in) {
      Arrays wide;
      for (const array& a : in) wide.push_back(astype(a, float64));
      return Arrays{plain_attention(wide[0], repeat(wide[1], 2, 1), repeat(wide[2], 2, 1),
                                    mode == "array" ? wide[3] : causal)};
    };
    const Arrays in{q, k, v, added};
    const Arrays expected = vjp(plain, in, {w}).second;
    const ArrayFunction gradients = [&](const Arrays& x) { return vjp(f, x, {w}).second; };
    const Arrays found = gradients(in);
    const Arrays compiled = compile(gradients)(in);
    for (size_t i = 0; i < in.size(); ++i) {
      expect_array(found[i], in[i].shape(), float32, doubles(expected[i]), 2e-5, mode + std::to_string(i));
      expect_array(compiled[i], in[i].shape(), float32, doubles(expected[i]), 2e-5, mode + std::to_string(i));
    }
  }
}

TEST(OtherGradients, AttentionOverACacheIsWhatItIsComposedOf) {
  const array q = make_numbers({1, 4, 2, 8}, float32, 0.5);
  const array k = make_numbers({1, 2, 7, 8}, float32, 0.4);
  const array v = make_numbers({1, 2, 7, 8}, float32, 0.3);
  const array sinks = make({0.1, -0.2, 0.3, 0.4}, {4});
  const array w = make_numbers({1, 4, 2, 8});
  fast::CacheAttentionOptions options;
  options.window = 3;
  options.soft_cap = 2;
  const ArrayFunction f = [&](const Arrays& in) {
    options.sinks = in[3];
    return Arrays{fast::attention_over_cache(in[0], in[1], in[2], array(5), 0.7f, options)};
  };
  const Arrays in{q, k, v, sinks};
  const Arrays found = vjp(f, in, {w}).second;
  for (size_t i = 0; i < in.size(); ++i) {
    const std::vector<double> at = doubles(in[i]);
    const std::vector<double> gradient = doubles(found[i]);
    for (size_t e = 0; e < at.size(); e += 5) {
      const auto moved = [&](double by) {
        std::vector<double> elements = at;
        elements[e] += by;
        Arrays all = in;
        all[i] = make(elements, in[i].shape());
        return sum(f(all)[0] * w).item<double>();
      };
      EXPECT_NEAR(gradient[e], (moved(2e-2) - moved(-2e-2)) / 4e-2, 3e-3) << i << " at " << e;
    }
  }
  // Lengths and sinks that differ between members.
  const ArrayFunction by_length = [&](const Arrays& x) {
    options.sinks = x[1];
    return Arrays{fast::attention_over_cache(q, k, v, x[0], 0.7f, options)};
  };
  const Arrays batch{array({5, 3}, int32), stack({sinks, sinks * 2.0f})};
  const array all = vmap(by_length)(batch)[0];
  expect_array(take(all, 0, 0), w.shape(), float32, doubles(by_length({array(5), sinks})[0]), 1e-5);
  expect_array(take(all, 1, 0), w.shape(), float32, doubles(by_length({array(3), sinks * 2.0f})[0]), 1e-5);
}

}  // namespace
}  // namespace lazuli::test
