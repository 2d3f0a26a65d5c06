#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace lazuli {

/// A count of owners inside the object; see `Ref`. The last owner calls `destroy`, which deletes the object:
/// one whose memory comes from a pool has its own operator delete, or its own `destroy`.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void add_ref() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  /// Drops an owner; true where it was the last.
  bool drop_ref() const noexcept {
    // A sole owner need not write the count: nobody else is there to see it.
    return count_.load(std::memory_order_acquire) == 1 || count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  uint32_t ref_count() const noexcept { return count_.load(std::memory_order_acquire); }

 protected:
  virtual ~RefCounted() = default;

 private:
  template <typename T>
  friend class Ref;
  virtual void destroy() const { delete this; }
  void start_count() const noexcept { count_.store(1, std::memory_order_relaxed); }
  mutable std::atomic<uint32_t> count_{0};
};

/// An owning pointer to a RefCounted object: one word, and no second allocation.
template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* object) : object_(object) {
    if (object_) object_->add_ref();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
  requires std::convertible_to<U*, T*> Ref(const Ref<U>& other) : Ref(other.get()) {}
  template <typename U>
  requires std::convertible_to<U*, T*> Ref(Ref<U>&& other)
  noexcept : object_(other.release()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ && object_->drop_ref()) static_cast<const RefCounted*>(object_)->destroy();
  }

  /// Takes over an object that has no owner yet.
  static Ref adopt_new(T* object) noexcept {
    Ref result;
    static_cast<const RefCounted*>(object)->start_count();
    result.object_ = object;
    return result;
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref& other) const { return object_ == other.object_; }
  /// Gives up ownership without dropping the count.
  T* release() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>::adopt_new(new T(std::forward<Args>(args)...));
}

}  // namespace lazuli
