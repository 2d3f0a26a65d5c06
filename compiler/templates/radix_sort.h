#pragma once

#include <algorithm>
#include <cstdint>

#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/thread_pool.h>

/// Stable sorting by digits of the keys, the lowest first: each pass counts how often every digit occurs, and
/// moves records to where that says.
namespace lazuli::templates {

/// A key too wide to share 64 bits with a position.
struct WideRecord {
  uint64_t key = 0;
  uint32_t position = 0;
};

template <typename Record>
uint64_t key_of(const Record& record) {
  return record;
}
template <>
inline uint64_t key_of(const WideRecord& record) {
  return record.key;
}

/// Which bits of a record's key tell the order.
struct KeyBits {
  int first = 0;
  int count = 0;
};

/// What sorting `count` records in `parts` by digits of so many bits needs.
template <typename Record>
class RadixMemory {
 public:
  RadixMemory(int64_t count, KeyBits bits, int digit_bits, int64_t parts)
      : counters_(parts * ceil_div(bits.count, digit_bits) << digit_bits),
        records_(round_up(count, 16)),
        memory_(static_cast<size_t>(counters_) * sizeof(uint32_t) +
                2 * static_cast<size_t>(records_) * sizeof(Record)) {}

  uint32_t* counters() const { return memory_.as<uint32_t>(); }
  int64_t counter_count() const { return counters_; }
  Record* records(int which) const {
    return reinterpret_cast<Record*>(memory_.data() + static_cast<size_t>(counters_) * sizeof(uint32_t)) +
           which * records_;
  }

 private:
  int64_t counters_;
  int64_t records_;
  Scratch memory_;
};

/// Sorts `count` records (fewer than 2^32): `load(i)` gives them, `finish(place, record)` takes them. Each of
/// `parts` threads has an equal share of every pass.
template <int digit_bits, typename Record, typename Load, typename Finish>
void radix_sort(int64_t count, KeyBits bits, int64_t parts, const RadixMemory<Record>& memory,
                const Load& load, const Finish& finish) {
  constexpr int64_t buckets = int64_t{1} << digit_bits;
  const int passes = static_cast<int>(ceil_div(bits.count, digit_bits));
  const auto digit = [&](const Record& record, int pass) {
    return (key_of(record) >> (bits.first + pass * digit_bits)) & (buckets - 1);
  };
  const auto begin_of = [&](int64_t part) { return count * part / parts; };
  uint32_t* const counters = memory.counters();
  const auto counters_of = [&](int64_t part, int pass) {
    return counters + (part * passes + pass) * buckets;
  };
  Record* from = memory.records(0);
  Record* to = memory.records(1);

  std::fill_n(counters, memory.counter_count(), 0u);
  parallel_for(parts, [&](int64_t part) {
    uint32_t* const own = counters_of(part, 0);
    for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i) {
      const Record record = load(i);
      from[i] = record;
      for (int pass = 0; pass < passes; ++pass)
        ++own[pass * buckets + static_cast<int64_t>(digit(record, pass))];
    }
  });

  // Passes over a digit that is the same in all records change nothing.
  int used[64];
  int used_count = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto first = static_cast<int64_t>(digit(from[0], pass));
    int64_t same = 0;
    for (int64_t part = 0; part < parts; ++part) same += counters_of(part, pass)[first];
    if (same < count) used[used_count++] = pass;
  }
  if (used_count == 0) {
    parallel_for(parts, [&](int64_t part) {
      for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i) finish(i, from[i]);
    });
  }
  for (int at = 0; at < used_count; ++at) {
    const int pass = used[at];
    if (at > 0 && parts > 1) {  // the records of a part are others by now
      parallel_for(parts, [&](int64_t part) {
        uint32_t* const own = counters_of(part, pass);
        std::fill_n(own, buckets, 0u);
        for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i) ++own[digit(from[i], pass)];
      });
    }
    uint32_t place = 0;
    for (int64_t bucket = 0; bucket < buckets; ++bucket) {
      for (int64_t part = 0; part < parts; ++part) {
        uint32_t& counter = counters_of(part, pass)[bucket];
        const uint32_t size = counter;
        counter = place;
        place += size;
      }
    }
    const bool is_last = at + 1 == used_count;
    parallel_for(parts, [&](int64_t part) {
      uint32_t* const own = counters_of(part, pass);
      if (is_last) {
        for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i) {
          const Record record = from[i];
          finish(own[digit(record, pass)]++, record);
        }
      } else {
        for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i) {
          const Record record = from[i];
          to[own[digit(record, pass)]++] = record;
        }
      }
    });
    std::swap(from, to);
  }
}

}  // namespace lazuli::templates
