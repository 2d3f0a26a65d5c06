#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace lazuli::interpreter {

/// Virtual registers, each written once, and the places in memory they share when they do not live at the
/// same time. Time counts steps.
class Registers {
 public:
  /// A register for values of `size` bytes, written at time `now`.
  uint32_t make(int size, uint32_t now) {
    registers_.push_back({size, now, now, 0});
    return static_cast<uint32_t>(registers_.size() - 1);
  }
  void use(uint32_t reg, uint32_t now) {
    if (registers_[reg].last < now) registers_[reg].last = now;
  }

  /// Assigns places. A register's place is free again after the time of its last use.
  void assign();

  /// Bytes an element takes in all places together.
  int element_size() const { return element_size_; }
  /// The offset of a register, if places hold `block_size` elements and the first lies at `begin`.
  size_t offset(uint32_t reg, size_t begin, int64_t block_size) const {
    return begin + static_cast<size_t>(registers_[reg].place) * static_cast<size_t>(block_size);
  }

 private:
  struct Register {
    int size;
    uint32_t first;
    uint32_t last;
    int place;  ///< the sizes of the places before it, added up
  };
  std::vector<Register> registers_;
  int element_size_ = 0;
};

}  // namespace lazuli::interpreter
