#pragma once

#include <cstdint>
#include <string_view>

namespace lazuli {

/// Mixes words into a 64-bit hash. Not for hostile input; the same in every process.
class Hasher {
 public:
  explicit Hasher(uint64_t seed = 0x9e3779b97f4a7c15u) : state_(seed) {}

  void add(uint64_t word) {
    // Multiply-and-fold: both halves of the 128-bit product reach every bit of the state.
    __extension__ using Wide = unsigned __int128;
    const auto product = static_cast<Wide>(state_ ^ word) * 0xd6e8feb86659fd93u;
    state_ = (static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64)) + 0x2545f4914f6cdd1du;
  }
  void add(std::string_view bytes);
  uint64_t result() const {
    const uint64_t folded = state_ ^ (state_ >> 32);
    return folded * 0x9fb21c651e98df25u;
  }

 private:
  uint64_t state_;
};

}  // namespace lazuli
