#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::lm {

/// A hash of up to a few dozen bytes, read eight at a time.
inline std::uint64_t hash_bytes(std::string_view bytes) {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15u;
  std::uint64_t hash = bytes.size() * kFactor;
  const char* data = bytes.data();
  std::size_t left = bytes.size();
  auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * kFactor;
    hash ^= hash >> 32;
  };
  for (; left >= 8; left -= 8, data += 8) {
    std::uint64_t word;
    std::memcpy(&word, data, sizeof(word));
    mix(word);
  }
  if (left > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, left);
    mix(word);
  }
  return hash * kFactor;
}

/// A map from 64-bit keys to 64-bit values with open addressing, for tables that are built once and read
/// often. The key with all bits set is not allowed.
class FlatMap {
 public:
  explicit FlatMap(std::size_t expected = 0) { resize(std::bit_ceil(expected * 2 + 8)); }

  std::size_t size() const { return size_; }

  /// Sets the value of `key`, replacing one that is there.
  void set(std::uint64_t key, std::uint64_t value) {
    if ((size_ + 1) * 2 > slots_.size()) resize(slots_.size() * 2);
    Slot& slot = slots_[place(key)];
    if (slot.key == kEmpty) ++size_;
    slot = {key, value};
  }

  /// The value of `key`, or null.
  const std::uint64_t* find(std::uint64_t key) const {
    const Slot& slot = slots_[place(key)];
    return slot.key == kEmpty ? nullptr : &slot.value;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kEmpty;
    std::uint64_t value = 0;
  };

  std::size_t place(std::uint64_t key) const {
    std::size_t index = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> shift_);
    while (slots_[index].key != key && slots_[index].key != kEmpty) index = (index + 1) & (slots_.size() - 1);
    return index;
  }

  void resize(std::size_t capacity) {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(capacity, Slot{});
    shift_ = 64 - std::countr_zero(capacity);
    for (const Slot& slot : old) {
      if (slot.key != kEmpty) slots_[place(slot.key)] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
  int shift_ = 0;
};

}  // namespace lazuli::lm
