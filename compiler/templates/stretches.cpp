#include <lazuli/compiler/templates/stretches.h>

#include <algorithm>
#include <stdexcept>

namespace lazuli::templates {

namespace {

constexpr int half_word = 32;

uint64_t packed(int64_t begin, int64_t end) {
  return static_cast<uint64_t>(begin) << half_word | static_cast<uint64_t>(end);
}

Stretches::Piece unpacked(uint64_t units) {
  constexpr uint64_t lower = (uint64_t{1} << half_word) - 1;
  return {static_cast<int64_t>(units >> half_word), static_cast<int64_t>(units & lower)};
}

/// Of what a thread has left it takes a part at a time, so that others find something to take over until
/// shortly before the end.
constexpr int64_t parts_of_rest = 4;

}  // namespace

Stretches::Stretches(int64_t count, int64_t threads) : left_(static_cast<size_t>(threads)) {
  if (count >> half_word != 0) throw std::invalid_argument("[stretches] too many units");
  for (int64_t i = 0; i < threads; ++i) {
    left_[static_cast<size_t>(i)].units = packed(count * i / threads, count * (i + 1) / threads);
  }
}

Stretches::Piece Stretches::take(int64_t thread, int64_t most) {
  std::atomic<uint64_t>& own = left_[static_cast<size_t>(thread)].units;
  do {
    uint64_t units = own;
    for (Piece rest = unpacked(units); rest.begin < rest.end; rest = unpacked(units)) {
      const int64_t taken = std::clamp<int64_t>((rest.end - rest.begin) / parts_of_rest, 1, most);
      if (own.compare_exchange_weak(units, packed(rest.begin + taken, rest.end))) {
        return {rest.begin, rest.begin + taken};
      }
    }
  } while (take_over(thread));
  return {};
}

bool Stretches::take_over(int64_t thread) {
  for (;;) {
    Left* longest = nullptr;
    uint64_t units = 0;
    int64_t most = 0;
    for (Left& other : left_) {
      const uint64_t found = other.units;
      const Piece rest = unpacked(found);
      if (rest.end - rest.begin <= most) continue;
      most = rest.end - rest.begin;
      longest = &other;
      units = found;
    }
    if (longest == nullptr) return false;
    const Piece rest = unpacked(units);
    const int64_t middle = rest.end - (most + 1) / 2;
    if (!longest->units.compare_exchange_strong(units, packed(rest.begin, middle))) continue;
    // Nobody else writes to a word that has nothing left.
    left_[static_cast<size_t>(thread)].units = packed(middle, rest.end);
    return true;
  }
}

}  // namespace lazuli::templates
