// Convolutions against loops over what their definition says.

#include <gtest/gtest.h>

#include "helpers.h"
#include "support/settings_scope.h"

namespace lazuli::test {
namespace {

struct Parameters {
  Shape input;   // [n, spatial..., channels]
  Shape weight;  // [features, kernel..., channels / groups]
  std::vector<int> stride = {};
  std::vector<int> padding_lo = {};
  std::vector<int> padding_hi = {};
  std::vector<int> kernel_dilation = {};
  std::vector<int> input_dilation = {};
  int groups = 1;
  bool flip = false;
};

int at_axis(const std::vector<int>& values, size_t d, int usual) {
  return values.empty() ? usual : values.size() == 1 ? values[0] : values[d];
}

Shape result_shape(const Parameters& p) {
  Shape shape{p.input[0]};
  for (size_t d = 0; d + 2 < p.input.size(); ++d) {
    const int apart = (p.input[d + 1].hint() - 1) * at_axis(p.input_dilation, d, 1) + 1;
    const int kernel = (p.weight[d + 1].hint() - 1) * at_axis(p.kernel_dilation, d, 1) + 1;
    const int room = apart + at_axis(p.padding_lo, d, 0) + at_axis(p.padding_hi, d, 0) - kernel;
    shape.push_back(room / at_axis(p.stride, d, 1) + 1);
  }
  shape.push_back(p.weight[0]);
  return shape;
}

std::vector<double> expected_of(const Parameters& p, const std::vector<double>& input,
                                const std::vector<double>& weight) {
  const size_t rank = p.input.size() - 2;
  const int group_channels = p.weight.back().hint();
  const int group_features = p.weight[0].hint() / p.groups;
  Shape kernel(p.weight.begin() + 1, p.weight.end() - 1);
  std::vector<double> result;
  for_each_index(result_shape(p), [&](const std::vector<int>& o) {
    const int group = o.back() / group_features;
    double sum = 0;
    for_each_index(kernel, [&](const std::vector<int>& k) {
      std::vector<int> from{o[0]};
      std::vector<int> of{o.back()};
      for (size_t d = 0; d < rank; ++d) {
        const int apart = at_axis(p.input_dilation, d, 1);
        const int at = o[d + 1] * at_axis(p.stride, d, 1) - at_axis(p.padding_lo, d, 0) +
                       k[d] * at_axis(p.kernel_dilation, d, 1);
        if (at < 0 || at % apart != 0 || at / apart >= p.input[d + 1].hint()) return;
        from.push_back(at / apart);
        of.push_back(p.flip ? kernel[d].hint() - 1 - k[d] : k[d]);
      }
      from.push_back(0);
      of.push_back(0);
      for (int c = 0; c < group_channels; ++c) {
        from.back() = group * group_channels + c;
        of.back() = c;
        sum += input[place(p.input, from)] * weight[place(p.weight, of)];
      }
    });
    result.push_back(sum);
  });
  return result;
}

/// Sums of so many terms, in any order, are off by no more than a share of the terms' magnitudes.
void check(const Parameters& p, Dtype dtype = float32) {
  const array input = make_numbers(p.input, dtype);
  const array weight = make_numbers(p.weight, dtype, 0.7);
  const array found = conv_general(input, weight, p.stride, p.padding_lo, p.padding_hi, p.kernel_dilation,
                                   p.input_dilation, p.groups, p.flip);
  const int64_t terms = element_count(p.weight) / std::max(1, p.weight[0].hint());
  ASSERT_EQ(found.shape(), result_shape(p));
  ASSERT_EQ(found.dtype(), dtype);
  const std::vector<double> expected = expected_of(p, doubles(input), doubles(weight));
  const std::vector<double> magnitudes = expected_of(p, doubles(abs(input)), doubles(abs(weight)));
  const std::vector<double> got = doubles(found);
  const double share = rounding_of(dtype) * static_cast<double>(2 + terms);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], share * magnitudes[i])
        << shape_to_string(p.input) << " * " << shape_to_string(p.weight) << " at " << i;
  }
}

TEST(Convolution, OneAxis) {
  check({.input = {2, 9, 3}, .weight = {4, 3, 3}});
  check({.input = {1, 1, 1}, .weight = {1, 1, 1}});
  check({.input = {2, 50, 16}, .weight = {20, 5, 16}, .stride = {2}, .padding_lo = {2}, .padding_hi = {2}});
  check({.input = {1, 30, 4},
         .weight = {3, 4, 4},
         .padding_lo = {7},
         .padding_hi = {1},
         .kernel_dilation = {3}});
  check(
      {.input = {2, 7, 5}, .weight = {6, 3, 5}, .padding_lo = {4}, .padding_hi = {3}, .input_dilation = {3}});
  check({.input = {2, 12, 5}, .weight = {6, 3, 5}, .padding_lo = {-2}, .padding_hi = {-1}});
  check({.input = {2, 12, 5}, .weight = {6, 1, 5}});
  check({.input = {2, 12, 5}, .weight = {6, 1, 5}, .stride = {3}});
}

TEST(Convolution, TwoAxes) {
  check({.input = {2, 10, 11, 3}, .weight = {5, 3, 3, 3}, .padding_lo = {1}, .padding_hi = {1}});
  check({.input = {1, 9, 30, 20},
         .weight = {33, 3, 5, 20},
         .stride = {1, 2},
         .padding_lo = {1, 2},
         .padding_hi = {0, 3}});
  check({.input = {2, 8, 8, 6},
         .weight = {4, 3, 2, 3},
         .stride = {2},
         .padding_lo = {1},
         .padding_hi = {1},
         .groups = 2});
  check({.input = {1, 6, 7, 4},
         .weight = {4, 3, 3, 4},
         .stride = {3, 2},
         .padding_lo = {2, 3},
         .padding_hi = {2, 2},
         .kernel_dilation = {2, 1},
         .input_dilation = {2, 3}});
  check({.input = {1, 6, 7, 4},
         .weight = {4, 3, 2, 4},
         .padding_lo = {2},
         .padding_hi = {2},
         .input_dilation = {2, 4},
         .flip = true});
  check({.input = {3, 6, 7, 2}, .weight = {4, 1, 1, 2}});
  check({.input = {1, 40, 40, 1},
         .weight = {64, 7, 7, 1},
         .stride = {2},
         .padding_lo = {3},
         .padding_hi = {3}});
  check({.input = {1, 4, 4, 3},
         .weight = {5, 9, 9, 3},
         .padding_lo = {6},
         .padding_hi = {6}});  // all see borders
}

TEST(Convolution, ThreeAxes) {
  check({.input = {2, 5, 6, 4, 3}, .weight = {4, 3, 2, 3, 3}, .padding_lo = {1}, .padding_hi = {1}});
  check({.input = {1, 5, 6, 4, 4},
         .weight = {6, 2, 3, 2, 2},
         .stride = {2, 1, 3},
         .padding_lo = {1, 0, 2},
         .padding_hi = {0, 2, 1},
         .kernel_dilation = {1, 2, 1},
         .input_dilation = {2, 1, 1},
         .groups = 2,
         .flip = true});
}

TEST(Convolution, Depthwise) {
  check({.input = {2, 10, 11, 7}, .weight = {7, 3, 3, 1}, .padding_lo = {1}, .padding_hi = {1}, .groups = 7});
  check({.input = {1, 9, 300},
         .weight = {300, 4, 1},
         .stride = {2},
         .padding_lo = {3},
         .padding_hi = {0},
         .groups = 300});
  check({.input = {1, 6, 6, 5},
         .weight = {5, 3, 2, 1},
         .padding_lo = {2},
         .padding_hi = {2},
         .input_dilation = {2},
         .groups = 5,
         .flip = true});
  check({.input = {2, 8, 4}, .weight = {8, 3, 1}, .groups = 4});  // two features for each channel
  // One line, whose channels threads share; more taps than places, and than fit registers.
  check({.input = {1, 37, 331}, .weight = {331, 4, 1}, .padding_lo = {3}, .padding_hi = {0}, .groups = 331});
  check({.input = {1, 5, 4, 50},
         .weight = {50, 7, 6, 1},
         .padding_lo = {4},
         .padding_hi = {5},
         .kernel_dilation = {1, 2},
         .groups = 50});
}

TEST(Convolution, Dtypes) {
  for (const Dtype dtype : {float16, bfloat16, float64}) {
    check({.input = {2, 9, 8, 5}, .weight = {6, 3, 3, 5}, .padding_lo = {1}, .padding_hi = {1}}, dtype);
    check({.input = {2, 9, 4}, .weight = {4, 3, 1}, .groups = 4}, dtype);
  }
}

/// The gradient of the weight against that of another way to the same result: one product for each place of
/// the kernel, of slices of the padded input.
TEST(Convolution, GradientOfTheWeightInManyBlocks) {
  const JitModeScope jit(JitMode::sync);
  struct Layer {
    int batch, side, channels, features, kernel, stride, padding, groups, apart = 1;
  };
  for (const Layer& at :
       {Layer{2, 30, 3, 20, 7, 2, 3, 1}, Layer{3, 17, 40, 33, 3, 1, 1, 1}, Layer{2, 12, 70, 70, 3, 1, 1, 70},
        Layer{1, 19, 8, 8, 3, 2, 0, 8}, Layer{2, 9, 12, 18, 2, 1, 0, 3}, Layer{2, 11, 16, 34, 3, 1, 2, 2},
        Layer{1, 40, 9, 16, 5, 3, 2, 1}, Layer{1, 8, 20, 70, 3, 1, 0, 1}, Layer{1, 9, 150, 150, 5, 1, 2, 150},
        Layer{2, 4, 50, 50, 7, 1, 4, 50}, Layer{1, 13, 37, 37, 3, 2, 1, 37},
        // Places as far apart as rows of a panel of packed elements are.
        Layer{2, 16, 14, 40, 5, 1, 2, 1}, Layer{2, 20, 7, 20, 7, 2, 3, 1}, Layer{2, 16, 6, 40, 9, 1, 2, 1},
        // Features for wide tiles; parts of the places with sums of their own; rows in several blocks.
        Layer{4, 30, 40, 70, 3, 1, 1, 1}, Layer{3, 26, 16, 64, 3, 2, 1, 1}, Layer{2, 12, 66, 192, 3, 1, 1, 2},
        Layer{1, 210, 12, 64, 3, 1, 1, 1},
        // More sums than the second-level cache holds: in groups, in steps, by few places, and in rows in
        // blocks.
        Layer{1, 6, 130, 256, 3, 1, 1, 1}, Layer{2, 7, 260, 300, 3, 2, 1, 2},
        Layer{1, 9, 130, 200, 5, 3, 2, 1}, Layer{2, 3, 150, 256, 4, 1, 2, 1},
        Layer{1, 30, 132, 260, 3, 1, 1, 1}, Layer{1, 15, 132, 260, 3, 3, 2, 1, 2},
        Layer{1, 1, 100, 250, 5, 1, 2, 1}}) {
    const array x = make_numbers({at.batch, at.side, at.side, at.channels});
    const array w = make_numbers({at.features, at.kernel, at.kernel, at.channels / at.groups});
    const auto forward = [&](const std::vector<array>& in) {
      return std::vector<array>{conv_general(x, in[0], {at.stride}, {at.padding}, {at.padding}, {at.apart},
                                             std::vector<int>{}, at.groups)};
    };
    const array g = make_numbers(forward({w})[0].shape());
    const array found = vjp(forward, {w}, {g}).second[0];
    const int out = static_cast<int>(g.shape(1).hint());
    const array padded = pad(x, std::vector<std::pair<int, int>>{
                                    {0, 0}, {at.padding, at.padding}, {at.padding, at.padding}, {0, 0}});
    const auto grouped = [&](const array& a) {
      return moveaxis(reshape(a, {-1, at.groups, a.shape(-1) / at.groups}), 1, 0);
    };
    std::vector<array> places;
    for (int i = 0; i < at.kernel; ++i) {
      for (int j = 0; j < at.kernel; ++j) {
        const int last = (out - 1) * at.stride + 1;
        const int row = i * at.apart;
        const int column = j * at.apart;
        const array under =
            slice(padded, {0, row, column, 0}, {at.batch, row + last, column + last, at.channels},
                  {1, at.stride, at.stride, 1});
        places.push_back(reshape(matmul(swapaxes(grouped(g), -1, -2), grouped(under)), {at.features, 1, -1}));
      }
    }
    const array expected = reshape(concatenate(places, 1), w.shape());
    const double scale = doubles(max(abs(expected)))[0];
    expect_array(found, w.shape(), float32, doubles(expected), 1e-5 * scale);
  }
}

TEST(Convolution, LargeEnoughForManyBlocks) {
  check({.input = {3, 40, 37, 24}, .weight = {70, 3, 3, 24}, .padding_lo = {1}, .padding_hi = {1}});
  check({.input = {1, 30, 30, 64},
         .weight = {32, 3, 3, 64},
         .stride = {2},
         .padding_lo = {1},
         .padding_hi = {1}});
}

/// Channels enough that elements are multiplied where they lie: in groups, in steps, apart, flipped, beyond
/// all ends, and along lines that are cut.
TEST(Convolution, ManyChannels) {
  check(
      {.input = {2, 9, 20, 32}, .weight = {40, 3, 3, 16}, .padding_lo = {1}, .padding_hi = {1}, .groups = 2});
  check({.input = {1, 11, 17, 16},
         .weight = {5, 3, 2, 16},
         .stride = {2, 1},
         .padding_lo = {2, 0},
         .padding_hi = {1, 3},
         .kernel_dilation = {2, 3},
         .flip = true});
  check({.input = {1, 1500, 16}, .weight = {33, 3, 16}, .padding_lo = {1}, .padding_hi = {1}});
  check({.input = {1, 1100, 16}, .weight = {8, 1, 16}});
  check({.input = {2, 7, 9, 24},
         .weight = {16, 3, 3, 24},
         .padding_lo = {2},
         .padding_hi = {2},
         .input_dilation = {2}});
  check({.input = {1, 2, 3, 5, 16}, .weight = {6, 3, 3, 3, 16}, .padding_lo = {4}, .padding_hi = {4}});
  check({.input = {1, 6, 8, 16}, .weight = {3, 2, 2, 16}}, float64);
}

/// Places and taps beside each other see the same elements, which tiles load once for all: with every number
/// of taps and of places, with borders seen by none, some and all of a tile, in groups, slices and cut lines.
TEST(Convolution, TapsThatShareElements) {
  const JitModeScope jit(JitMode::sync);
  for (const int taps : {2, 3, 4, 5, 6, 7, 8}) {
    for (const int places : {4, 7, 13, 29}) {
      for (const int padding : {0, 1, taps / 2, taps - 1}) {
        check({.input = {2, 5, places + taps - 1 - padding, 9},
               .weight = {35, 2, taps, 9},
               .padding_lo = {1, padding},
               .padding_hi = {0}});
        check({.input = {1, 4, 2 * places + taps - 1 - padding, 8},
               .weight = {50, 2, taps, 8},
               .stride = {1, 2},
               .padding_lo = {0, padding - padding / 2},
               .padding_hi = {1, padding / 2}});
        check({.input = {1, 3, places + taps - 1 - padding, 16},
               .weight = {20, 3, taps, 8},
               .padding_lo = {1, padding / 2},
               .padding_hi = {1, padding - padding / 2},
               .groups = 2,
               .flip = true},
              float64);
      }
    }
  }
  check({.input = {1, 1, 6, 17, 16},
         .weight = {40, 3, 3, 3, 16},
         .padding_lo = {1},
         .padding_hi = {1},
         .kernel_dilation = {1, 2, 1}});
  check({.input = {2, 700, 12}, .weight = {33, 5, 12}, .padding_lo = {2}, .padding_hi = {2}});
  check({.input = {1, 9, 13, 8},
         .weight = {16, 3, 6, 8},
         .padding_lo = {2, 3},
         .padding_hi = {2},
         .input_dilation = {1, 2}});
  check({.input = {1, 9, 12, 8}, .weight = {16, 3, 3, 8}, .padding_lo = {-1}, .padding_hi = {-2}}, bfloat16);
}

TEST(Convolution, ViewsAndNothing) {
  const array input = transpose(make_numbers({3, 8, 9, 2}), {3, 1, 2, 0});
  const array weight = flip(make_numbers({4, 3, 3, 3}), {1, 2});
  const Parameters p{.input = {2, 8, 9, 3}, .weight = {4, 3, 3, 3}};
  expect_array(conv2d(input, weight), result_shape(p), float32,
               expected_of(p, doubles(input), doubles(weight)), 1e-5);
  EXPECT_EQ(conv1d(zeros({0, 5, 2}), zeros({3, 2, 2})).shape(), (Shape{0, 4, 3}));
  expect_array(conv1d(zeros({1, 5, 0}), zeros({2, 2, 0})), {1, 4, 2}, float32, std::vector<double>(8, 0));
  EXPECT_EQ(conv1d(zeros({1, 5, 2}), zeros({0, 2, 2})).shape(), (Shape{1, 4, 0}));
}

/// Weights are read where they lie: with features or channels or neither beside each other.
TEST(Convolution, WeightsOfAnyStrides) {
  for (const auto& [p, dtype] : std::vector<std::pair<Parameters, Dtype>>{
           {{.input = {2, 9, 11, 20}, .weight = {70, 3, 2, 20}, .padding_lo = {1}, .padding_hi = {1}},
            float32},
           {{.input = {1, 9, 8, 20}, .weight = {3, 3, 3, 20}, .flip = true}, float32},
           {{.input = {1, 9, 8, 3}, .weight = {5, 2, 3, 3}, .stride = {2}}, float32},
           {{.input = {1, 9, 8, 6}, .weight = {6, 3, 3, 1}, .groups = 6}, float32},
           {{.input = {1, 9, 8, 32}, .weight = {10, 3, 3, 16}, .groups = 2}, float64},
           {{.input = {1, 5, 8, 16}, .weight = {7, 3, 3, 16}, .input_dilation = {2}}, float64}}) {
    const array input = make_numbers(p.input, dtype);
    const int last = static_cast<int>(p.weight.size()) - 1;
    Shape turned = p.weight;
    std::swap(turned.front(), turned.back());
    const array numbers = make_numbers(turned, dtype);
    for (const array& weight :
         {swapaxes(numbers, 0, last), flip(swapaxes(numbers, 0, last), {0, 1, last}),
          swapaxes(make_numbers({p.weight[0], p.weight[2], p.weight[1], p.weight[3]}, dtype), 1, 2),
          broadcast_to(make_numbers({p.weight[0], 1, 1, 1}, dtype), p.weight),
          broadcast_to(make_numbers({1, p.weight[1], 1, p.weight[3]}, dtype), p.weight)}) {
      const array found = conv_general(input, weight, p.stride, p.padding_lo, p.padding_hi, p.kernel_dilation,
                                       p.input_dilation, p.groups, p.flip);
      const std::vector<double> expected = expected_of(p, doubles(input), doubles(weight));
      expect_array(found, result_shape(p), dtype, expected, dtype == float64 ? 1e-10 : 1e-3);
    }
  }
}

TEST(Convolution, NamedForms) {
  const array line = make_numbers({2, 20, 4});
  const array weight1 = make_numbers({6, 3, 2});
  expect_array(conv1d(line, weight1, 2, 1, 2, 2), {2, 9, 6}, float32,
               doubles(conv_general(line, weight1, {2}, {1}, {1}, {2}, std::vector<int>{}, 2)));
  const array plane = make_numbers({1, 9, 8, 4});
  const array weight2 = make_numbers({5, 3, 2, 4});
  expect_array(conv2d(plane, weight2, {2, 1}, {0, 1}), {1, 4, 9, 5}, float32,
               doubles(conv_general(plane, weight2, {2, 1}, {0, 1}, {1, 1}, {1, 1}, 1)), 1e-5);
  const array space = make_numbers({1, 4, 5, 6, 2});
  const array weight3 = make_numbers({3, 2, 2, 2, 2});
  EXPECT_EQ(conv3d(space, weight3, {1, 2, 1}, {0, 1, 0}).shape(), (Shape{1, 3, 3, 5, 3}));
}

/// The transpose as a function of the input, which is what the gradient of a convolution is.
TEST(Convolution, Transposes) {
  struct Case {
    int stride, padding, dilation, output_padding, groups;
  };
  for (const Case c : {Case{1, 0, 1, 0, 1}, Case{2, 1, 1, 1, 1}, Case{3, 2, 2, 2, 1}, Case{2, 0, 1, 0, 2}}) {
    const array input = make_numbers({2, 5, 4}, float64);
    const array weight = make_numbers({6, 3, 4 / c.groups}, float64);
    const array found =
        conv_transpose1d(input, weight, c.stride, c.padding, c.dilation, c.output_padding, c.groups);
    const int length = 4 * c.stride - 2 * c.padding + 2 * c.dilation + 1 + c.output_padding;
    ASSERT_EQ(found.shape(), (Shape{2, length, 6}));
    // As a convolution from the result's shape to the input's, features and channels of a group exchanged.
    const array turned = flatten(swapaxes(unflatten(weight, 0, {c.groups, 6 / c.groups}), 1, -1), 0, 1);
    const auto forward = std::function<array(const array&)>(
        [&](const array& x) { return conv1d(x, turned, c.stride, c.padding, c.dilation, c.groups); });
    const array expected = vjp(forward, zeros(found.shape(), float64), input).second;
    expect_array(found, found.shape(), float64, doubles(expected), 1e-12);
  }
  EXPECT_EQ(
      conv_transpose2d(zeros({1, 4, 5, 2}), zeros({3, 3, 2, 2}), {2, 1}, {1, 0}, {1, 1}, {1, 0}).shape(),
      (Shape{1, 8, 6, 3}));
  EXPECT_EQ(conv_transpose3d(zeros({1, 2, 3, 4, 2}), zeros({3, 2, 2, 2, 2}), {2, 2, 2}).shape(),
            (Shape{1, 4, 6, 8, 3}));
}

TEST(Convolution, InACompiledFunction) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{conv2d(in[0], in[1], {2, 2}, {1, 1}) + 1.0f};
  });
  const array weight = make_numbers({4, 3, 3, 2});
  for (const int n : {2, 3, 6}) {
    const array x = make_numbers({n, 2 * n + 3, 9, 2});
    const array expected = conv2d(x, weight, {2, 2}, {1, 1}) + 1.0f;
    expect_array(f({x, weight})[0], expected.shape(), float32, doubles(expected), 1e-6);
  }
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Convolution, Errors) {
  const array x = zeros({1, 5, 5, 4});
  expect_error([&] { conv2d(x, zeros({2, 3, 3, 3})); }, "[conv]");
  expect_error([&] { conv2d(x, zeros({3, 3, 3, 2}), {1, 1}, {0, 0}, {1, 1}, 2); }, "[conv]");
  expect_error([&] { conv2d(x, zeros({2, 6, 3, 4})); }, "[conv]");
  expect_error([&] { conv2d(x, zeros({2, 3, 3, 4}), {0, 1}); }, "[conv]");
  expect_error([&] { conv2d(astype(x, int32), zeros({2, 3, 3, 4}, int32)); }, "[conv]");
  expect_error([&] { conv1d(x, zeros({2, 3, 3, 4})); }, "[conv1d]");
  expect_error([&] { conv_general(x, zeros({2, 3, 4})); }, "[conv]");
  expect_error([&] { conv_general(x, zeros({2, 3, 3, 4}), {1, 1, 1}); }, "[conv]");
  expect_error([&] { conv_transpose1d(x, x); }, "[conv_transpose1d]");
}

}  // namespace
}  // namespace lazuli::test
