#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

namespace lazuli {

/// A map that forgets what was used longest ago once it holds `limit` entries. Not thread-safe.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class LruCache {
 public:
  explicit LruCache(size_t limit) : limit_(limit) {}

  /// The value of a key, which counts as used now; null where there is none.
  Value* find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    if (found->second != entries_.begin()) entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  Value& insert(const Key& key, Value value) {
    if (Value* known = find(key)) return *known = std::move(value);
    entries_.emplace_front(key, std::move(value));
    index_[key] = entries_.begin();
    if (entries_.size() > limit_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return entries_.front().second;
  }

  size_t size() const { return entries_.size(); }
  void clear() {
    index_.clear();
    entries_.clear();
  }

 private:
  size_t limit_;
  std::list<std::pair<Key, Value>> entries_;
  std::unordered_map<Key, typename std::list<std::pair<Key, Value>>::iterator, Hash> index_;
};

}  // namespace lazuli
