#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

#include <lazuli/array/print.h>

using namespace lazuli;

namespace {

std::string text(const array& a) {
  std::ostringstream os;
  os << a;
  return os.str();
}

TEST(Print, Ranks) {
  EXPECT_EQ(text(array(1.0f)), "array(1, dtype=float32)");
  EXPECT_EQ(text(array({1, 2, 3})), "array([1, 2, 3], dtype=int32)");
  EXPECT_EQ(text(array({1, 2, 3, 4}, Shape{2, 2})), "array([[1, 2],\n       [3, 4]], dtype=int32)");
  EXPECT_EQ(text(array({1, 2, 3, 4, 5, 6, 7, 8}, Shape{2, 2, 2})),
            "array([[[1, 2],\n        [3, 4]],\n       [[5, 6],\n        [7, 8]]], dtype=int32)");
}

TEST(Print, Empty) {
  EXPECT_EQ(text(array({})), "array([], dtype=float32)");
  const std::vector<int8_t> none;
  EXPECT_EQ(text(array(none.begin(), Shape{0, 3})), "array([], dtype=int8)");
  EXPECT_EQ(text(array(none.begin(), Shape{2, 0})), "array([[],\n       []], dtype=int8)");
}

TEST(Print, Elements) {
  EXPECT_EQ(text(array({true, false})), "array([True, False], dtype=bool)");
  EXPECT_EQ(text(array({0.1f, 1e10f, -2.5f, 1.0f / 3, 123456789.0f})),
            "array([0.1, 1e+10, -2.5, 0.333333, 1.23457e+08], dtype=float32)");
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(text(array({inf, -inf, std::nanf(""), -std::nanf(""), -0.0f})),
            "array([inf, -inf, nan, nan, -0], dtype=float32)");
  EXPECT_EQ(text(array({65, -3}, int8)), "array([65, -3], dtype=int8)");
  EXPECT_EQ(text(array(255, uint8)), "array(255, dtype=uint8)");
  EXPECT_EQ(text(array(std::numeric_limits<uint64_t>::max())), "array(18446744073709551615, dtype=uint64)");
  EXPECT_EQ(text(array(0.1f, float16)), "array(0.0999756, dtype=float16)");
  EXPECT_EQ(text(array(0.1f, bfloat16)), "array(0.100098, dtype=bfloat16)");
  EXPECT_EQ(text(array(0.1, float64)), "array(0.1, dtype=float64)");
  EXPECT_EQ(text(array({complex64_t(1, 2), complex64_t(0, -0.5f)})),
            "array([1+2j, 0-0.5j], dtype=complex64)");
}

TEST(Print, Summary) {
  std::vector<int> numbers(1200);
  std::iota(numbers.begin(), numbers.end(), 0);
  EXPECT_EQ(text(array(numbers.begin(), Shape{1001})), "array([0, 1, 2, ..., 998, 999, 1000], dtype=int32)");
  EXPECT_EQ(text(array(numbers.begin(), Shape{1000})).find("..."), std::string::npos);
  EXPECT_EQ(text(array(numbers.begin(), Shape{8, 150})),
            "array([[0, 1, 2, ..., 147, 148, 149],\n"
            "       [150, 151, 152, ..., 297, 298, 299],\n"
            "       [300, 301, 302, ..., 447, 448, 449],\n"
            "       ...,\n"
            "       [750, 751, 752, ..., 897, 898, 899],\n"
            "       [900, 901, 902, ..., 1047, 1048, 1049],\n"
            "       [1050, 1051, 1052, ..., 1197, 1198, 1199]], dtype=int32)");
  EXPECT_EQ(
      text(array(numbers.begin(), Shape{2, 600})),
      "array([[0, 1, 2, ..., 597, 598, 599],\n       [600, 601, 602, ..., 1197, 1198, 1199]], dtype=int32)");
}

TEST(Print, ViewsAndStrides) {
  const array whole({1, 2, 3, 4, 5, 6}, Shape{2, 3});
  const Ref<Buffer>& buffer = whole.node()->outputs[0].buffer;
  const array transposed(Node::of_data(buffer, 0, Shape{3, 2}, Strides{1, 3}, int32));
  EXPECT_EQ(text(transposed), "array([[1, 4],\n       [2, 5],\n       [3, 6]], dtype=int32)");
  const array reversed(Node::of_data(buffer, 5 * 4, Shape{3}, Strides{-2}, int32));
  EXPECT_EQ(text(reversed), "array([6, 4, 2], dtype=int32)");
  const array repeated(Node::of_data(buffer, 4, Shape{2, 2}, Strides{0, 0}, int32));
  EXPECT_EQ(text(repeated), "array([[2, 2],\n       [2, 2]], dtype=int32)");
}

TEST(Print, Options) {
  const PrintOptions old = set_printoptions({.precision = 3, .threshold = 4, .edge_items = 1});
  EXPECT_EQ(text(array({1.23456f, 2, 3, 4, 5})), "array([1.23, ..., 5], dtype=float32)");
  EXPECT_EQ(print_options().precision, 3);
  set_printoptions(old);
  EXPECT_EQ(to_string(array(1.23456789, float64), {.precision = 9}), "array(1.23456789, dtype=float64)");
  EXPECT_THROW(set_printoptions({.precision = -1}), std::invalid_argument);
}

TEST(Print, ArgumentsOfTracedFunctionsThrow) {
  EXPECT_THROW(text(array(Node::placeholder_of({{2}, float32}))), std::runtime_error);
}

}  // namespace
