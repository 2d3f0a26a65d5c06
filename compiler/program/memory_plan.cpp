#include <lazuli/compiler/program/memory_plan.h>

#include <algorithm>
#include <map>

namespace lazuli {

namespace {

constexpr int64_t alignment = 64;
/// Less than this is not worth a buffer of its own.
constexpr int64_t least_piece = 256 << 10;

int64_t round_up(int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

struct Placed {
  const MemoryNeed* need;
  int64_t offset;
  int64_t end() const { return offset + round_up(need->bytes); }
};

/// The lowest offset that is free while `need` lasts. `placed` is sorted by offset.
int64_t lowest_offset(const std::vector<Placed>& placed, const MemoryNeed& need) {
  int64_t offset = 0;
  for (const Placed& other : placed) {
    if (other.need->last < need.first || need.last < other.need->first) continue;
    if (offset + round_up(need.bytes) <= other.offset) break;
    offset = std::max(offset, other.end());
  }
  return offset;
}

}  // namespace

std::vector<MemoryPiece> place_temporaries(std::span<const MemoryNeed> temporaries) {
  // In one address space first: the largest first, each at the lowest place that is free during its time.
  std::vector<const MemoryNeed*> by_size;
  for (const MemoryNeed& need : temporaries) {
    if (need.bytes > 0) by_size.push_back(&need);
  }
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](const MemoryNeed* a, const MemoryNeed* b) { return a->bytes > b->bytes; });
  std::vector<Placed> placed;  // by offset
  for (const MemoryNeed* need : by_size) {
    const Placed next{need, lowest_offset(placed, *need)};
    const auto before = [](const Placed& a, const Placed& b) { return a.offset < b.offset; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), next, before), next);
  }
  // Then cut where nothing lies across, unless what is cut off would be small.
  std::vector<MemoryPiece> pieces;
  int64_t begin = 0, end = 0;
  for (const Placed& part : placed) {
    const bool cut = !pieces.empty() && part.offset >= end && end - begin >= least_piece &&
                     round_up(part.need->bytes) >= least_piece;
    if (pieces.empty() || cut) {
      begin = part.offset;
      pieces.push_back({0, part.need->first, part.need->last, {}});
    }
    MemoryPiece& piece = pieces.back();
    piece.parts.push_back({part.need->storage, part.offset - begin});
    piece.first = std::min(piece.first, part.need->first);
    piece.last = std::max(piece.last, part.need->last);
    end = std::max(end, part.end());
    piece.bytes = end - begin;
  }
  return pieces;
}

int64_t peak_of(std::span<const MemoryPiece> pieces) {
  std::map<int, int64_t> changes;  // at the beginning of a step
  for (const MemoryPiece& piece : pieces) {
    changes[piece.first] += piece.bytes;
    changes[piece.last + 1] -= piece.bytes;
  }
  int64_t live = 0, most = 0;
  for (const auto& [step, change] : changes) {
    live += change;
    most = std::max(most, live);
  }
  return most;
}

}  // namespace lazuli
