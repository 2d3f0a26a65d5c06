#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <lazuli/compiler/llvm/disk_cache.h>

namespace lazuli::templates {

/// Finds out which of several ways to cut a loop is the fastest by the calls that are made anyway: each way
/// gets a few of them, then the best stays. Way 0, which is what the cache model says, gives place only to
/// one that is clearly faster. What was found is kept on disk, where kernels are kept. Ways differ in which
/// tasks there are and what stays in which cache, never in the order of an element's sum, so results are the
/// same.
class TileTuner {
 public:
  /// The way to take at the next call of the class `key`, which has so many.
  int next(const std::string& key, int ways);
  /// Says how long a call took.
  void record(const std::string& key, int way, double seconds);
  /// Whether the class is settled.
  bool is_settled(const std::string& key);
  /// Forgets what is in memory.
  void clear();

  static TileTuner& instance();

  static constexpr int calls_a_way = 3;
  /// Of way 0's time.
  static constexpr double clearly_faster = 0.97;

 private:
  struct Class {
    std::vector<double> best;  // seconds of each way, the fastest call
    std::vector<int> calls;
    int settled = -1;
  };
  Class& find(const std::string& key, int ways);

  std::mutex mutex_;
  std::unordered_map<std::string, Class> classes_;
  DiskCache disk_;
};

/// A call of a loop, from its construction to its destruction: which way to cut it. Calls are alike if they
/// are of one loop on as many threads, and their extents differ by little.
class TileChoice {
 public:
  TileChoice(std::string_view loop, int64_t m, int64_t n, int64_t k, int ways);
  ~TileChoice();
  TileChoice(const TileChoice&) = delete;
  TileChoice& operator=(const TileChoice&) = delete;

  int way() const { return way_; }

 private:
  std::string key_;  // empty where nothing is to be learnt
  int way_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lazuli::templates
