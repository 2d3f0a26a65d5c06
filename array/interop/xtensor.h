#pragma once

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <lazuli/array/interop/host_view.h>
#include <lazuli/array/interop/strided_copy.h>

/// Arrays as xtensor expressions, and xtensor expressions as arrays. Needs xtensor (Debian: libxtensor-dev);
/// Lazuli itself does not.
namespace lazuli {

namespace xtensor_detail {

/// An array's memory as a container of xtensor; copies share it.
template <typename T>
class Storage {
 public:
  using value_type = T;
  using allocator_type = std::allocator<T>;
  using reference = const T&;
  using const_reference = const T&;
  using pointer = const T*;
  using const_pointer = const T*;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using iterator = const T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<const T*>;
  using const_reverse_iterator = std::reverse_iterator<const T*>;

  /// Of an evaluated array without negative strides.
  explicit Storage(const array& a) : kept_(a) {
    if (a.size() == 0) return;
    first_ = std::as_const(kept_).template data<T>();
    size_ = 1;
    for (size_t d = 0; d < a.ndim(); ++d) {
      size_ += static_cast<size_t>((a.shape()[d].hint() - 1) * a.strides()[d]);
    }
  }

  size_type size() const { return size_; }
  size_type max_size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// There is nothing to resize.
  void resize(size_type) const {}
  const_reference operator[](size_type i) const { return first_[i]; }
  const_reference front() const { return first_[0]; }
  const_reference back() const { return first_[size_ - 1]; }
  const_pointer data() const { return first_; }
  const_iterator begin() const { return first_; }
  const_iterator end() const { return first_ + size_; }
  const_iterator cbegin() const { return begin(); }
  const_iterator cend() const { return end(); }
  const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }
  const_reverse_iterator crbegin() const { return rbegin(); }
  const_reverse_iterator crend() const { return rend(); }
  allocator_type get_allocator() const { return {}; }

 private:
  array kept_;
  const T* first_ = nullptr;
  size_t size_ = 0;
};

}  // namespace xtensor_detail

/// What `as_xtensor` gives: a read-only container of xtensor.
template <typename T>
using XtensorView =
    xt::xarray_adaptor<xtensor_detail::Storage<T>, xt::layout_type::dynamic, std::vector<std::size_t>>;

/// An evaluated array as a container of xtensor, which keeps it alive, as do expressions that it is moved
/// into. No element is copied (but where strides are negative, which such containers do not have). Throws
/// std::invalid_argument `[as_xtensor] ...` unless `T` is the type of the elements.
///
///     const xt::xarray<float> shifted = as_xtensor<float>(a) + 1.0f;
template <typename T>
XtensorView<T> as_xtensor(const array& a) {
  array kept = host_view_detail::evaluated<T>(a, "as_xtensor");
  const auto is_negative = [](int64_t stride) { return stride < 0; };
  if (std::any_of(kept.strides().begin(), kept.strides().end(), is_negative)) {
    const T* first = std::as_const(kept).template data<T>();
    kept = copied_elements(reinterpret_cast<const std::byte*>(first), kept.shape(), kept.strides(),
                           kept.dtype());
  }
  std::vector<std::size_t> shape;
  std::vector<std::ptrdiff_t> strides;
  for (size_t d = 0; d < kept.ndim(); ++d) {
    const int extent = kept.shape()[d].hint();
    shape.push_back(static_cast<std::size_t>(extent));
    // xtensor wants axes of extent 1 to stand still.
    strides.push_back(extent == 1 ? 0 : static_cast<std::ptrdiff_t>(kept.strides()[d]));
  }
  return XtensorView<T>(xtensor_detail::Storage<T>(kept), std::move(shape), std::move(strides));
}

/// An array with the elements of an expression, which is evaluated into it. Elements of a type that is none
/// of a dtype's (long double, std::complex<double>) do not compile.
template <typename E>
array from_xtensor(const xt::xexpression<E>& expression) {
  const E& e = expression.derived_cast();
  using T = std::remove_cvref_t<typename E::value_type>;
  // `long` and `long long` are one width, but two types.
  using Element = std::conditional_t<std::is_same_v<T, long long>, int64_t,
                                     std::conditional_t<std::is_same_v<T, unsigned long long>, uint64_t, T>>;
  Shape shape;
  std::vector<std::size_t> extents;
  for (const auto extent : e.shape()) {
    shape.push_back(Dim(static_cast<int64_t>(extent)));
    extents.push_back(static_cast<std::size_t>(extent));
  }
  const auto count = static_cast<size_t>(element_count(shape));
  Ref<Buffer> buffer = Buffer::allocate(count * sizeof(Element));
  if (count > 0) {
    auto target = xt::adapt(reinterpret_cast<Element*>(buffer->data()), count, xt::no_ownership(), extents);
    xt::noalias(target) = e;
  }
  Strides strides = row_major_strides(shape);
  return array(
      Node::of_data(std::move(buffer), 0, std::move(shape), std::move(strides), dtype_of<Element>()));
}

/// The same for a container that is given up: its memory becomes the array's.
template <typename T>
array from_xtensor(xt::xarray<T>&& container) {
  auto kept = std::make_shared<xt::xarray<T>>(std::move(container));
  Shape shape;
  for (const auto extent : kept->shape()) shape.push_back(Dim(static_cast<int64_t>(extent)));
  Strides strides = row_major_strides(shape);
  Ref<Buffer> buffer = Buffer::external(kept->data(), kept->size() * sizeof(T), [kept] {});
  return array(Node::of_data(std::move(buffer), 0, std::move(shape), std::move(strides), dtype_of<T>()));
}

}  // namespace lazuli
