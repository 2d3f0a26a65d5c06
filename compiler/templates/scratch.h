#pragma once

#include <cstddef>
#include <cstdint>

namespace lazuli::templates {

/// Memory for packing, aligned to 64 bytes, from a small stock that the process keeps (so that a product does
/// not pay for fresh pages each time). Its contents are undefined.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::byte* data() const { return data_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
};

/// Bytes that the stock may keep while nobody uses them.
inline constexpr size_t scratch_stock_limit = size_t{64} << 20;

/// Sizes in bytes of the caches that one core uses.
struct CacheSizes {
  int64_t l1 = 32 << 10;
  int64_t l2 = 512 << 10;
  int64_t l3 = 8 << 20;
};
const CacheSizes& cache_sizes();

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
constexpr int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

}  // namespace lazuli::templates
