#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>

#include <lazuli/array/array.h>

/// An array's elements for plain C++: spans, multidimensional access, iterators. Nothing is copied.
namespace lazuli {

namespace host_view_detail {

/// Evaluates, and throws std::invalid_argument where `T` is not the dtype's type.
template <typename T>
array evaluated(const array& a, const char* name) {
  if (a.dtype() != dtype_of<T>()) {
    throw std::invalid_argument("[" + std::string(name) + "] the array is " +
                                std::string(dtype_name(a.dtype())) + ", not " +
                                std::string(dtype_name(dtype_of<T>())));
  }
  array kept = a;
  kept.eval();
  return kept;
}

}  // namespace host_view_detail

/// Read-only access to an array's elements, which it keeps alive. Like std::mdspan, but that iterators go
/// over all elements, in row-major order.
///
///     const HostView<float> view(a);
///     for (int i = 0; i < view.extent(0); ++i) total += view(i, 2);
///     const float highest = *std::max_element(view.begin(), view.end());
template <typename T>
class HostView {
 public:
  using value_type = T;
  class iterator;
  using const_iterator = iterator;

  /// Evaluates the array. Throws std::invalid_argument `[HostView] ...` unless `T` is the type of its
  /// elements.
  explicit HostView(const array& a)
      : array_(host_view_detail::evaluated<T>(a, "HostView")),
        first_(std::as_const(array_).template data<T>()) {
    for (const Dim extent : a.shape()) shape_.push_back(extent.hint());
  }

  size_t rank() const { return shape_.size(); }
  int64_t extent(size_t dim) const { return shape_[dim]; }
  int64_t stride(size_t dim) const { return array_.strides()[dim]; }
  size_t size() const { return array_.size(); }
  bool empty() const { return size() == 0; }
  /// The first element; others lie strides apart.
  const T* data() const { return first_; }

  /// The element at the given coordinates, as many as there are dimensions; they are not checked.
  template <std::convertible_to<int64_t>... Index>
  const T& operator()(Index... index) const {
    const std::array<int64_t, sizeof...(Index)> at{static_cast<int64_t>(index)...};
    return element(at);
  }
  const T& element(std::span<const int64_t> at) const {
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); ++d) offset += at[d] * array_.strides()[d];
    return first_[offset];
  }
  /// The same, checked: throws std::out_of_range.
  template <std::convertible_to<int64_t>... Index>
  const T& at(Index... index) const {
    const std::array<int64_t, sizeof...(Index)> place{static_cast<int64_t>(index)...};
    bool is_there = place.size() == rank();
    for (size_t d = 0; is_there && d < place.size(); ++d) is_there = place[d] >= 0 && place[d] < shape_[d];
    if (!is_there) throw std::out_of_range("[HostView] there is no such element");
    return element(place);
  }

  iterator begin() const { return iterator(*this, 0); }
  iterator end() const { return iterator(*this, static_cast<int64_t>(size())); }

 private:
  array array_;
  const T* first_;
  SmallVector<int64_t, 5> shape_;
};

/// Goes over a HostView, which must outlive it.
template <typename T>
class HostView<T>::iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = const T*;
  using reference = const T&;

  iterator() = default;
  iterator(const HostView& view, int64_t place)
      : view_(&view), place_(place), position_(view.rank(), 0), at_(view.first_) {}

  reference operator*() const { return *at_; }
  pointer operator->() const { return at_; }
  iterator& operator++() {
    ++place_;
    for (size_t d = position_.size(); d-- > 0;) {
      const int64_t stride = view_->stride(d);
      if (position_[d] + 1 < view_->extent(d)) {
        at_ += stride;
        ++position_[d];
        break;
      }
      at_ -= stride * position_[d];
      position_[d] = 0;
    }
    return *this;
  }
  iterator operator++(int) {
    iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const iterator& a, const iterator& b) { return a.place_ == b.place_; }

 private:
  const HostView* view_ = nullptr;
  int64_t place_ = 0;
  SmallVector<int64_t, 5> position_;
  const T* at_ = nullptr;
};

/// The elements of an array that is row-major in memory, evaluated first: valid as long as some array shares
/// them. Throws std::invalid_argument `[as_span] ...` for other arrays, and unless `T` is the type of the
/// elements.
template <typename T>
std::span<const T> as_span(const array& a) {
  const array kept = host_view_detail::evaluated<T>(a, "as_span");
  const Strides expected = row_major_strides(kept.shape());
  for (size_t d = 0; d < kept.ndim(); ++d) {
    if (kept.size() > 0 && kept.shape()[d].hint() != 1 && kept.strides()[d] != expected[d]) {
      throw std::invalid_argument("[as_span] the array is not row-major in memory");
    }
  }
  if (kept.size() == 0) return {};
  return {kept.data<T>(), kept.size()};
}

}  // namespace lazuli
