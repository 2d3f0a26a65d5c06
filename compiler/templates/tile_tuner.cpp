#include <lazuli/compiler/templates/tile_tuner.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Multiplications below which a call says too little.
constexpr double least_work = 8 << 20;

/// Half powers of two.
int size_class(int64_t extent) {
  return static_cast<int>(std::lround(2 * std::log2(static_cast<double>(std::max<int64_t>(extent, 1)))));
}

std::string disk_key(const std::string& key) {
  return "tile " + key + " " + host_target().key;
}

}  // namespace

TileTuner::Class& TileTuner::find(const std::string& key, int ways) {
  const auto [found, is_new] = classes_.try_emplace(key);
  Class& of = found->second;
  if (!is_new) return of;
  of.best.assign(static_cast<size_t>(ways), std::numeric_limits<double>::infinity());
  of.calls.assign(static_cast<size_t>(ways), 0);
  if (const auto kept = disk_.read(disk_key(key))) {
    int way = -1;
    const auto [end, error] = std::from_chars(kept->data(), kept->data() + kept->size(), way);
    if (error == std::errc() && end == kept->data() + kept->size() && way >= 0 && way < ways)
      of.settled = way;
  }
  return of;
}

int TileTuner::next(const std::string& key, int ways) {
  const std::lock_guard lock(mutex_);
  const Class& of = find(key, ways);
  if (of.settled >= 0) return of.settled;
  // Those that were tried least, the first of them.
  return static_cast<int>(std::min_element(of.calls.begin(), of.calls.end()) - of.calls.begin());
}

void TileTuner::record(const std::string& key, int way, double seconds) {
  const std::lock_guard lock(mutex_);
  const auto found = classes_.find(key);
  if (found == classes_.end() || found->second.settled >= 0) return;
  Class& of = found->second;
  const auto at = static_cast<size_t>(way);
  of.best[at] = std::min(of.best[at], seconds);
  ++of.calls[at];
  if (*std::min_element(of.calls.begin(), of.calls.end()) < calls_a_way) return;
  const auto fastest = std::min_element(of.best.begin(), of.best.end());
  of.settled = *fastest < clearly_faster * of.best[0] ? static_cast<int>(fastest - of.best.begin()) : 0;
  disk_.write(disk_key(key), std::to_string(of.settled));
}

bool TileTuner::is_settled(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = classes_.find(key);
  return found != classes_.end() && found->second.settled >= 0;
}

void TileTuner::clear() {
  const std::lock_guard lock(mutex_);
  classes_.clear();
}

TileTuner& TileTuner::instance() {
  static TileTuner* const tuner = new TileTuner;  // never destroyed: threads may work while the process exits
  return *tuner;
}

TileChoice::TileChoice(std::string_view loop, int64_t m, int64_t n, int64_t k, int ways) {
  const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  // Within a part of something larger, times depend on what the other threads do.
  if (!tile_tuning() || ways < 2 || work < least_work || is_inside_part()) return;
  key_ = fmt::format("{} {} {} {} {}", loop, size_class(m), size_class(n), size_class(k), num_threads());
  way_ = TileTuner::instance().next(key_, ways);
  start_ = std::chrono::steady_clock::now();
}

TileChoice::~TileChoice() {
  if (key_.empty()) return;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start_;
  TileTuner::instance().record(key_, way_, time.count());
}

}  // namespace lazuli::templates
