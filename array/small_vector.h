#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace lazuli {

/// A vector of trivially copyable elements that keeps up to `N` of them in itself.
template <typename T, size_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  using value_type = T;
  using size_type = size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using iterator = T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<T*>;
  using const_reverse_iterator = std::reverse_iterator<const T*>;

  SmallVector() = default;
  explicit SmallVector(size_t count, const T& value = T()) { resize(count, value); }
  SmallVector(std::initializer_list<T> values) : SmallVector(values.begin(), values.end()) {}
  template <typename It>
  requires std::input_iterator<It> SmallVector(It first, It last) {
    for (; first != last; ++first) push_back(static_cast<T>(*first));
  }
  template <typename U>
  requires std::convertible_to<U, T> SmallVector(const std::vector<U>& values)
      : SmallVector(values.begin(), values.end()) {}
  SmallVector(const SmallVector& other) {
    if (other.size_ <= N) {
      copy_inline(other);
    } else {
      assign_bytes(other.data_, other.size_);
    }
  }
  SmallVector(SmallVector&& other) noexcept { steal(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign_bytes(other.data_, other.size_);
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      release();
      steal(other);
    }
    return *this;
  }
  ~SmallVector() { release(); }

  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  const T* cbegin() const { return data_; }
  const T* cend() const { return data_ + size_; }
  reverse_iterator rbegin() { return reverse_iterator(end()); }
  reverse_iterator rend() { return reverse_iterator(begin()); }
  const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t capacity() const { return capacity_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& at(size_t i) { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    T* grown = static_cast<T*>(::operator new(capacity * sizeof(T)));
    std::memcpy(static_cast<void*>(grown), data_, size_ * sizeof(T));
    release();
    data_ = grown;
    capacity_ = static_cast<uint32_t>(capacity);
  }
  void clear() { size_ = 0; }
  void push_back(T value) {
    if (size_ == capacity_) reserve(size_t{capacity_} * 2);
    new (data_ + size_++) T(value);
  }
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    push_back(T(std::forward<Args>(args)...));
    return back();
  }
  void pop_back() { --size_; }
  void resize(size_t count, const T& value = T()) {
    reserve(count);
    for (size_t i = size_; i < count; ++i) new (data_ + i) T(value);
    size_ = static_cast<uint32_t>(count);
  }
  iterator insert(const_iterator position, T value) { return insert(position, &value, &value + 1); }
  template <typename It>
  requires std::input_iterator<It> iterator insert(const_iterator position, It first, It last) {
    const size_t at = static_cast<size_t>(position - data_);
    SmallVector tail(data_ + at, data_ + size_);
    size_ = static_cast<uint32_t>(at);
    for (; first != last; ++first) push_back(static_cast<T>(*first));
    for (const T& value : tail) push_back(value);
    return data_ + at;
  }
  iterator erase(const_iterator position) { return erase(position, position + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    T* to = data_ + (first - data_);
    std::memmove(static_cast<void*>(to), last, static_cast<size_t>(end() - last) * sizeof(T));
    size_ -= static_cast<uint32_t>(last - first);
    return to;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  void assign_bytes(const T* from, size_t count) {
    size_ = 0;
    reserve(count);
    if (count > 0) std::memcpy(static_cast<void*>(data_), from, count * sizeof(T));
    size_ = static_cast<uint32_t>(count);
  }
  /// Copies at most `N` elements, as all that may be there: a fixed number of bytes is the fastest to copy,
  /// and wherever the other's elements lie there is room for as many.
  void copy_inline(const SmallVector& other) {
    std::memcpy(storage_, static_cast<const void*>(other.data_), sizeof(storage_));
    size_ = other.size_;
  }
  void release() {
    if (data_ != inline_data()) ::operator delete(data_);
    data_ = inline_data();
    capacity_ = N;
  }
  void steal(SmallVector& other) {
    if (other.data_ == other.inline_data()) {
      data_ = inline_data();
      capacity_ = N;
      copy_inline(other);
    } else {
      data_ = std::exchange(other.data_, other.inline_data());
      capacity_ = std::exchange(other.capacity_, static_cast<uint32_t>(N));
      size_ = other.size_;
    }
    other.size_ = 0;
  }
  T* inline_data() { return reinterpret_cast<T*>(storage_); }

  T* data_ = inline_data();
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  alignas(T) std::byte storage_[N * sizeof(T)];
};

}  // namespace lazuli
