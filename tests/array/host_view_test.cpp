#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include <lazuli/array/interop/host_view.h>

#include "io_files.h"

using namespace lazuli;

namespace {

array counting(const Shape& shape) {
  std::vector<int> numbers(static_cast<size_t>(element_count(shape)));
  std::iota(numbers.begin(), numbers.end(), 0);
  return array(numbers.begin(), shape);
}
array view(const array& a, const Shape& shape, const Strides& strides, int64_t offset = 0) {
  return array(Node::of_data(a.node()->outputs[0].buffer, offset * 4, shape, strides, int32));
}

TEST(HostView, AccessAndIterators) {
  const HostView<int> rows(counting({2, 3, 4}));
  EXPECT_EQ(rows.rank(), 3u);
  EXPECT_EQ(rows.extent(1), 3);
  EXPECT_EQ(rows(1, 2, 3), 23);
  EXPECT_EQ(rows.at(1, 0, 2), 14);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(std::distance(rows.begin(), rows.end()), 24);
  EXPECT_THROW(rows.at(2, 0, 0), std::out_of_range);
  EXPECT_THROW(rows.at(0, -1, 0), std::out_of_range);
  EXPECT_THROW(rows.at(0, 0), std::out_of_range);
  EXPECT_THROW(HostView<float>(counting({2})), std::invalid_argument);
}

TEST(HostView, ViewsOfEveryKind) {
  const array whole = counting({2, 3});
  const HostView<int> turned(view(whole, {3, 2}, {1, 3}));
  EXPECT_EQ(std::vector<int>(turned.begin(), turned.end()), (std::vector<int>{0, 3, 1, 4, 2, 5}));
  const HostView<int> backwards(view(whole, {6}, {-1}, 5));
  EXPECT_EQ(std::vector<int>(backwards.begin(), backwards.end()), (std::vector<int>{5, 4, 3, 2, 1, 0}));
  const HostView<int> repeated(view(whole, {2, 1, 2}, {0, 9, 1}, 1));
  EXPECT_EQ(std::vector<int>(repeated.begin(), repeated.end()), (std::vector<int>{1, 2, 1, 2}));
  const HostView<int> scalar(array(7));
  EXPECT_EQ(scalar(), 7);
  EXPECT_EQ(std::vector<int>(scalar.begin(), scalar.end()), std::vector<int>{7});
  const HostView<int> none(counting({3, 0}));
  EXPECT_TRUE(none.empty());
  EXPECT_TRUE(none.begin() == none.end());
}

TEST(HostView, KeepsTheArrayAlive) {
  const HostView<int> kept = [] { return HostView<int>(counting({1000})); }();
  EXPECT_EQ(kept(999), 999);
}

TEST(AsSpan, OfWhatIsRowMajor) {
  const array whole = counting({2, 3});
  EXPECT_EQ(as_span<int>(whole).size(), 6u);
  EXPECT_EQ(as_span<int>(whole)[5], 5);
  EXPECT_EQ(as_span<int>(view(whole, {1, 3}, {77, 1}, 3))[0], 3);
  EXPECT_TRUE(as_span<int>(counting({0, 2})).empty());
  EXPECT_THROW(as_span<int>(view(whole, {3, 2}, {1, 3})), std::invalid_argument);
  EXPECT_THROW(as_span<float>(whole), std::invalid_argument);
}

}  // namespace
