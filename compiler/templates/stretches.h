#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

/// Units of work, [0, count), that lie one after another in memory, dealt out so that each thread goes over
/// one long stretch of it: what it asks for ahead is its own. A thread that is done takes half of what is
/// left of the longest stretch of another, so that none waits for long.
class Stretches {
 public:
  struct Piece {
    int64_t begin = 0;
    int64_t end = 0;  ///< `begin` where nothing is left
  };

  Stretches(int64_t count, int64_t threads);

  /// The next units for `thread`: at most so many, fewer towards the end of a stretch.
  Piece take(int64_t thread, int64_t most);

 private:
  /// What a thread has left, in one word, on a line of its own.
  struct alignas(64) Left {
    std::atomic<uint64_t> units{0};
  };

  /// Takes over half of what the thread that has most left has. False where none has any.
  bool take_over(int64_t thread);

  std::vector<Left> left_;
};

/// Asks for the beginning of what a thread goes over, which nobody has asked for ahead: not where all of it,
/// `bytes`, is so little that it may well be in a cache.
inline void fetch_start(const std::byte* data, int64_t bytes) {
  constexpr int64_t start_bytes = 16 << 10, least_bytes = 512 << 10, line_bytes = 64;
  if (bytes < least_bytes) return;
  for (int64_t at = 0; at < start_bytes; at += line_bytes) __builtin_prefetch(data + at, 0, 2);
}

/// Calls `f(begin, end)` for units [0, count) in stretches, at most so many units at a time, and before it
/// `start(begin)` where a thread goes on elsewhere than behind its last units.
template <typename F, typename Start>
void share_out_stretches(int64_t count, int64_t most, const F& f, const Start& start) {
  const int64_t threads = std::min<int64_t>(count, num_threads());
  if (threads <= 1) {
    if (count > 0) start(0);
    for (int64_t begin = 0; begin < count; begin += most) f(begin, std::min(begin + most, count));
    return;
  }
  Stretches stretches(count, threads);
  parallel_for(threads, [&](int64_t thread) {
    int64_t end = -1;
    for (;;) {
      const Stretches::Piece piece = stretches.take(thread, most);
      if (piece.begin == piece.end) return;
      if (piece.begin != end) start(piece.begin);
      f(piece.begin, piece.end);
      end = piece.end;
    }
  });
}
template <typename F>
void share_out_stretches(int64_t count, int64_t most, const F& f) {
  share_out_stretches(count, most, f, [](int64_t) {});
}

}  // namespace lazuli::templates
