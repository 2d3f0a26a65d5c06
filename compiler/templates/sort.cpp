#include <lazuli/compiler/templates/sort.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/radix_sort.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/templates/sort_network.h>
#include <lazuli/compiler/templates/sort_order.h>

namespace lazuli::templates {

namespace {

/// Rows up to this length go through networks: their work grows faster with the length than that of digits.
constexpr int64_t longest_network = 512;
/// From this length on digits are wider, which saves passes but makes each count more.
constexpr int64_t long_row = 16384;
/// A thread's share of a row is at least as long.
constexpr int64_t smallest_part = 32768;
/// Elements that a thread sorts at a time, of short rows.
constexpr int64_t batch_elements = 16384;

/// Calls `f(row)` for every row, or, where there are few and long ones, for one after the other with the
/// number of threads that it may use.
template <typename F>
void for_each_row(int64_t rows, int64_t length, const F& f) {
  const int64_t threads = num_threads();
  if (rows < 2 * threads && length >= 2 * smallest_part) {
    const int64_t parts = std::min(threads, length / smallest_part);
    for (int64_t row = 0; row < rows; ++row) f(row, parts);
  } else {
    share_out(rows, [&](int64_t row) { f(row, 1); });
  }
}

/// Short rows, as keys side by side in vectors. `load(row, i)` gives an element's key, `store(row, i, key)`
/// takes the i-th in order.
template <typename Key, typename Load, typename Store>
void network_sort(const SortNetwork<Key>& network, int64_t rows, int64_t length, const Load& load,
                  const Store& store) {
  const int64_t lanes = network.lanes;
  const int64_t groups = ceil_div(rows, lanes);
  const int64_t groups_a_batch = std::max<int64_t>(1, batch_elements / (lanes * length));
  share_out(ceil_div(groups, groups_a_batch), [&](int64_t batch) {
    alignas(64) Key keys[longest_network * (64 / sizeof(Key))];
    const int64_t end = std::min(groups, (batch + 1) * groups_a_batch);
    for (int64_t group = batch * groups_a_batch; group < end; ++group) {
      const int64_t first = group * lanes;
      const int64_t count = std::min(lanes, rows - first);
      for (int64_t lane = 0; lane < lanes; ++lane) {
        // Lanes behind the last row repeat it.
        const int64_t row = first + std::min(lane, count - 1);
        for (int64_t i = 0; i < length; ++i) keys[i * lanes + lane] = load(row, i);
      }
      network.sort(keys, length);
      for (int64_t lane = 0; lane < count; ++lane) {
        for (int64_t i = 0; i < length; ++i) store(first + lane, i, keys[i * lanes + lane]);
      }
    }
  });
}

template <typename Record, typename Load, typename Finish>
void radix_row(int64_t length, KeyBits bits, int64_t parts, const Load& load, const Finish& finish) {
  if (length < long_row || bits.count <= 8) {
    const RadixMemory<Record> memory(length, bits, 8, parts);
    radix_sort<8>(length, bits, parts, memory, load, finish);
  } else {
    const RadixMemory<Record> memory(length, bits, 11, parts);
    radix_sort<11>(length, bits, parts, memory, load, finish);
  }
}

template <typename Order>
void sort_by_keys(const Order& order, int64_t rows, int64_t length, const std::byte* in, std::byte* out) {
  using Bits = typename Order::Bits;
  using Key = std::conditional_t<sizeof(Bits) == 8, uint64_t, uint32_t>;
  const Bits* from = reinterpret_cast<const Bits*>(in);
  Bits* to = reinterpret_cast<Bits*>(out);
  if (length <= longest_network) {
    const auto load = [&](int64_t row, int64_t i) -> Key { return order.key(from[row * length + i]); };
    const auto store = [&](int64_t row, int64_t i, Key key) {
      to[row * length + i] = order.bits(static_cast<Bits>(key));
    };
    if constexpr (sizeof(Key) == 8) {
      network_sort<Key>(sort_networks().wide, rows, length, load, store);
    } else {
      network_sort<Key>(sort_networks().narrow, rows, length, load, store);
    }
    return;
  }
  for_each_row(rows, length, [&](int64_t row, int64_t parts) {
    const Bits* own = from + row * length;
    Bits* result = to + row * length;
    radix_row<Key>(
        length, KeyBits{0, 8 * sizeof(Bits)}, parts, [&](int64_t i) -> Key { return order.key(own[i]); },
        [&](int64_t place, Key key) { result[place] = order.bits(static_cast<Bits>(key)); });
  });
}

/// Keys of 64 bits leave no room for a position.
template <typename Order>
void argsort_wide(const Order& order, int64_t rows, int64_t length, const uint64_t* from, uint32_t* out) {
  const auto record = [&](int64_t row, int64_t i) {
    return WideRecord{order.rank(from[row * length + i]), static_cast<uint32_t>(i)};
  };
  for_each_row(rows, length, [&](int64_t row, int64_t parts) {
    uint32_t* result = out + row * length;
    if (length > longest_network) {
      radix_row<WideRecord>(
          length, KeyBits{0, 64}, parts, [&](int64_t i) { return record(row, i); },
          [&](int64_t place, const WideRecord& found) { result[place] = found.position; });
      return;
    }
    WideRecord records[longest_network];
    for (int64_t i = 0; i < length; ++i) records[i] = record(row, i);
    std::sort(records, records + length, [](const WideRecord& a, const WideRecord& b) {
      return a.key != b.key ? a.key < b.key : a.position < b.position;
    });
    for (int64_t i = 0; i < length; ++i) result[i] = records[i].position;
  });
}

/// The key above the position: no two are equal, so that any way of sorting them is stable.
template <typename Order>
void argsort_narrow(const Order& order, int64_t rows, int64_t length, const typename Order::Bits* from,
                    uint32_t* out) {
  const auto record = [&](int64_t row, int64_t i) {
    return uint64_t{order.rank(from[row * length + i])} << 32 | static_cast<uint64_t>(i);
  };
  if (length <= longest_network) {
    network_sort<uint64_t>(sort_networks().wide, rows, length, record,
                           [&](int64_t row, int64_t i, uint64_t found) {
                             out[row * length + i] = static_cast<uint32_t>(found);
                           });
    return;
  }
  for_each_row(rows, length, [&](int64_t row, int64_t parts) {
    uint32_t* result = out + row * length;
    radix_row<uint64_t>(
        length, KeyBits{32, 8 * sizeof(typename Order::Bits)}, parts,
        [&](int64_t i) { return record(row, i); },
        [&](int64_t place, uint64_t found) { result[place] = static_cast<uint32_t>(found); });
  });
}

/// Copies elements of each row to the places that positions say.
void gather_rows(int64_t rows, int64_t length, const uint64_t* in, const uint32_t* positions, uint64_t* out) {
  share_out(rows, [&](int64_t row) {
    for (int64_t i = row * length; i < (row + 1) * length; ++i) out[i] = in[row * length + positions[i]];
  });
}

}  // namespace

void argsort_rows(Dtype dtype, int64_t rows, int64_t length, const std::byte* in, uint32_t* out) {
  if (rows == 0 || length == 0) return;
  dispatch_order(dtype, [&](const auto& order) {
    using Bits = typename std::decay_t<decltype(order)>::Bits;
    const Bits* from = reinterpret_cast<const Bits*>(in);
    if constexpr (sizeof(Bits) == 8) {
      argsort_wide(order, rows, length, from, out);
    } else {
      argsort_narrow(order, rows, length, from, out);
    }
  });
}

void sort_rows(Dtype dtype, int64_t rows, int64_t length, const std::byte* in, std::byte* out) {
  if (rows == 0 || length == 0) return;
  dispatch_order(dtype, [&]<typename Order>(const Order& order) {
    if constexpr (std::is_same_v<Order, ComplexOrder>) {
      const Scratch positions(static_cast<size_t>(rows * length) * sizeof(uint32_t));
      argsort_rows(complex64, rows, length, in, positions.as<uint32_t>());
      gather_rows(rows, length, reinterpret_cast<const uint64_t*>(in), positions.as<uint32_t>(),
                  reinterpret_cast<uint64_t*>(out));
    } else {
      sort_by_keys(order, rows, length, in, out);
    }
  });
}

void search_sorted(Dtype dtype, const std::byte* sequence, int64_t length, const std::byte* values,
                   int64_t count, bool or_equal, uint32_t* out) {
  constexpr int64_t values_a_part = 4096;
  dispatch_order(dtype, [&](const auto& order) {
    using Bits = typename std::decay_t<decltype(order)>::Bits;
    const Bits* const elements = reinterpret_cast<const Bits*>(sequence);
    const Bits* const wanted = reinterpret_cast<const Bits*>(values);
    share_out(ceil_div(count, values_a_part), [&](int64_t part) {
      const int64_t end = std::min(count, (part + 1) * values_a_part);
      for (int64_t i = part * values_a_part; i < end; ++i) {
        const auto rank = order.rank(wanted[i]);
        // Halves what is left without a branch: all before `first` come before the value.
        const Bits* first = elements;
        for (int64_t left = length; left > 0;) {
          const int64_t half = (left + 1) / 2;
          const auto last = order.rank(first[half - 1]);
          first += (or_equal ? last <= rank : last < rank) ? half : 0;
          left -= half;
        }
        out[i] = static_cast<uint32_t>(first - elements);
      }
    });
  });
}

}  // namespace lazuli::templates
