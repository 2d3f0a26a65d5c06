#include <lazuli/compiler/interpreter/registers.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace lazuli::interpreter {

void Registers::assign() {
  std::vector<uint32_t> by_first(registers_.size());
  std::iota(by_first.begin(), by_first.end(), 0u);
  std::stable_sort(by_first.begin(), by_first.end(),
                   [&](uint32_t a, uint32_t b) { return registers_[a].first < registers_[b].first; });
  std::map<int, std::vector<int>> free;  // places by size
  std::vector<uint32_t> live;
  for (uint32_t reg : by_first) {
    const uint32_t now = registers_[reg].first;
    std::erase_if(live, [&](uint32_t other) {
      const bool dead = registers_[other].last < now;
      if (dead) free[registers_[other].size].push_back(registers_[other].place);
      return dead;
    });
    std::vector<int>& candidates = free[registers_[reg].size];
    if (candidates.empty()) {
      registers_[reg].place = std::exchange(element_size_, element_size_ + registers_[reg].size);
    } else {
      registers_[reg].place = candidates.back();
      candidates.pop_back();
    }
    live.push_back(reg);
  }
}

}  // namespace lazuli::interpreter
