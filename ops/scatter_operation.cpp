#include <lazuli/ops/scatter_operation.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/scatter_rows.h>
#include <lazuli/ops/strided_copy.h>

namespace lazuli {

namespace {

// Below this many elements one thread does it all.
constexpr int64_t small_work = 8192;
// From so many elements on, rows are put into the order of their places.
constexpr int64_t shortest_sorted_row = 16;
// Places are dealt out to threads in blocks of a cache line or so.
constexpr int64_t owned_block = 16;

/// A dimension of the updates: how far a step goes in them, in the result, and in each index array.
struct Step {
  int64_t extent;
  int64_t update;
  int64_t place;
  std::vector<int64_t> index;
};

/// Where a slice of the updates lies, and where it goes.
struct Slice {
  int64_t update;
  int64_t place;
};

/// Adds to the places of slices what an index says, times a stride: `count` elements from `first` on.
void add_index(const TensorView& index, int64_t first, int64_t step, const DynamicIndex& by, int64_t stride,
               Slice* slices, int64_t count) {
  const int64_t extent = by.extent.hint();
  const int64_t limit = by.limit.hint();
  dispatch_dtype(index.dtype, [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {  // others are refused where the operation is made
      const T* from = reinterpret_cast<const T*>(index.data) + first;
      for (int64_t i = 0; i < count; ++i) {
        const auto value = static_cast<int64_t>(from[i * step]);
        slices[i].place += std::clamp<int64_t>(value < 0 ? value + extent : value, 0, limit) * stride;
      }
    }
  });
}

/// The way through the updates: slices, whose places are found by index, and in each the same steps, along
/// dimensions in which different elements of one slice, or of two, never meet.
class Walk {
 public:
  Walk(std::span<const TensorView> inputs, const IndexMap& map, const std::vector<DynamicIndex>& dynamic)
      : inputs_(inputs), dynamic_(dynamic) {
    const Shape& out = inputs[0].shape;
    const Shape& updates = inputs[1].shape;
    const Strides out_strides = row_major_strides(out);
    const Strides update_strides = row_major_strides(updates);
    for (size_t d = 0; d < updates.size(); ++d) {
      if (updates[d].hint() == 1) continue;
      Step step{updates[d].hint(), update_strides[d], 0, std::vector<int64_t>(dynamic.size(), 0)};
      bool is_free = false;
      for (size_t t = 0; t < map.size(); ++t) {
        if (map[t].dim != static_cast<int>(d)) continue;
        step.place += map[t].scale.hint() * out_strides[t];
        is_free = is_free || (map[t].dynamic < 0 && map[t].scale.hint() != 0);
      }
      for (size_t j = 0; j < dynamic.size(); ++j) {
        const TensorView& index = inputs[static_cast<size_t>(dynamic[j].operand)];
        for (size_t t = 0; t < dynamic[j].map.size(); ++t) {
          if (dynamic[j].map[t].dim != static_cast<int>(d)) continue;
          step.index[j] += dynamic[j].map[t].scale.hint() * index.strides[t];
          is_free = false;
        }
      }
      (is_free ? within_ : across_).push_back(std::move(step));
    }
    for (size_t t = 0; t < map.size(); ++t) {
      first_place_ += map[t].offset.hint() * out_strides[t];
      if (map[t].dynamic >= 0) dynamic_strides_.emplace_back(map[t].dynamic, out_strides[t]);
    }
    for (const DynamicIndex& index : dynamic) {
      int64_t position = 0;
      const TensorView& tensor = inputs[static_cast<size_t>(index.operand)];
      for (size_t t = 0; t < index.map.size(); ++t)
        position += index.map[t].offset.hint() * tensor.strides[t];
      first_index_.push_back(position);
    }
  }

  /// Makes single elements of slices, for when slices are short.
  void dissolve() {
    across_.insert(across_.end(), within_.begin(), within_.end());
    std::sort(across_.begin(), across_.end(),
              [](const Step& a, const Step& b) { return a.update > b.update; });
    within_.clear();
  }

  static int64_t count(const std::vector<Step>& steps) {
    int64_t product = 1;
    for (const Step& step : steps) product *= step.extent;
    return product;
  }
  int64_t slice_count() const { return count(across_); }
  int64_t slice_size() const { return count(within_); }
  /// Whether slices are whole rows of the result, one element after the other, so that two of them are the
  /// same places or have none in common.
  bool slices_are_rows() const {
    return within_.size() == 1 && within_[0].update == 1 && within_[0].place == 1 &&
           within_[0].extent == inputs_[0].shape.back().hint();
  }

  /// Calls `f(slice)` for all slices, in row-major order of the updates.
  template <typename F>
  void for_each_slice(F&& f) const {
    Slice chunk[chunk_size];
    const int64_t row = across_.empty() ? 1 : across_.back().extent;
    const int64_t rows = row == 0 ? 0 : slice_count() / row;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t begin = 0; begin < row; begin += chunk_size) {
        const int64_t count = std::min(chunk_size, row - begin);
        find(i, begin, chunk, count);
        for (int64_t k = 0; k < count; ++k) f(chunk[k]);
      }
    }
  }

 private:
  static constexpr int64_t chunk_size = 512;

  /// `count` slices from `begin` on along the last of the dimensions across, in its row number `row`.
  void find(int64_t row, int64_t begin, Slice* slices, int64_t count) const {
    Slice at{0, first_place_};
    std::vector<int64_t> index = first_index_;
    Step along{1, 0, 0, std::vector<int64_t>(index.size(), 0)};
    if (!across_.empty()) along = across_.back();
    for (size_t d = across_.size(); d-- > 0;) {
      const bool is_last = d + 1 == across_.size();
      const int64_t coordinate = is_last ? begin : row % across_[d].extent;
      if (!is_last) row /= across_[d].extent;
      at.update += coordinate * across_[d].update;
      at.place += coordinate * across_[d].place;
      for (size_t j = 0; j < index.size(); ++j) index[j] += coordinate * across_[d].index[j];
    }
    for (int64_t k = 0; k < count; ++k)
      slices[k] = {at.update + k * along.update, at.place + k * along.place};
    for (const auto& [j, stride] : dynamic_strides_) {
      const DynamicIndex& by = dynamic_[static_cast<size_t>(j)];
      add_index(inputs_[static_cast<size_t>(by.operand)], index[static_cast<size_t>(j)],
                along.index[static_cast<size_t>(j)], by, stride, slices, count);
    }
  }

  std::span<const TensorView> inputs_;
  const std::vector<DynamicIndex>& dynamic_;
  std::vector<Step> across_;
  std::vector<Step> within_;
  int64_t first_place_ = 0;
  std::vector<int64_t> first_index_;
  std::vector<std::pair<int, int64_t>> dynamic_strides_;
};

/// Accumulates updates of type T into places of type Acc. Threads share the work so that each has places of
/// its own, and goes through the updates in order.
template <ScatterMode mode, typename T, typename Acc>
void accumulate(Walk& walk, const T* updates, Acc* places, int64_t total) {
  const int64_t parts = total < small_work ? 1 : num_threads();
  const int64_t size = walk.slice_size();
  const auto add = [](Acc& place, T update) { place = combine<mode, Acc>(place, static_cast<Acc>(update)); };
  const auto run = [&](int64_t begin, int64_t end, const Slice& slice) {
    const T* from = updates + slice.update;
    Acc* to = places + slice.place;
    for (int64_t i = begin; i < end; ++i) add(to[i], from[i]);
  };
  if (walk.slices_are_rows() && size > 1) {
    // Whole rows, each the next thread's.
    parallel_for(parts, [&](int64_t part) {
      walk.for_each_slice([&](const Slice& slice) {
        if (parts == 1 || slice.place / size % parts == part) run(0, size, slice);
      });
    });
  } else {
    // Single elements, by blocks of places.
    walk.dissolve();
    parallel_for(parts, [&](int64_t part) {
      walk.for_each_slice([&](const Slice& element) {
        if (parts > 1 && element.place / owned_block % parts != part) return;
        add(places[element.place], updates[element.update]);
      });
    });
  }
}

/// Whether a tensor's elements are one and the same in memory.
bool is_uniform(const TensorView& tensor) {
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    if (tensor.shape[d].hint() > 1 && tensor.strides[d] != 0) return false;
  }
  return true;
}

template <ScatterMode mode>
void scatter_into(Walk& walk, const TensorView& given, const TensorView& updates, const TensorView& out) {
  std::vector<std::byte> storage;
  const bool all_alike = is_uniform(given);
  const TensorView base = all_alike ? given : as_row_major(given, storage);
  const int64_t count = element_count(out.shape);
  const int64_t total = element_count(updates.shape);
  dispatch_dtype(out.dtype, [&]<typename T>(std::type_identity<T>) {
    const T* from = reinterpret_cast<const T*>(base.data);
    T* to = reinterpret_cast<T*>(out.data);
    const T* values = reinterpret_cast<const T*>(updates.data);
    constexpr bool is_half = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;
    using Acc = std::conditional_t<is_half, float, T>;
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(num_threads(), count / small_work));
    const auto for_parts = [&](auto&& f) {
      parallel_for(parts, [&](int64_t part) { f(count * part / parts, count * (part + 1) / parts); });
    };
    const auto copy_base = [&](auto* places) {
      for_parts([&](int64_t begin, int64_t end) {
        if (all_alike) {
          std::fill(places + begin, places + end, *from);
        } else {
          std::copy(from + begin, from + end, places + begin);
        }
      });
    };
    if (const int64_t size = walk.slice_size();
        total > 0 && walk.slices_are_rows() && size >= shortest_sorted_row) {
      const RowsByPlace order = rows_by_place(count / size, walk.slice_count(), [&](auto&& f) {
        // Exact, as places are multiples of the size, and faster than a division of integers.
        const auto row_size = static_cast<double>(size);
        walk.for_each_slice([&](const Slice& slice) {
          f(static_cast<int64_t>(static_cast<double>(slice.place) / row_size), slice.update);
        });
      });
      combine_rows<mode, T, Acc>(order, from, all_alike, values, to, size);
    } else if constexpr (is_half) {
      std::vector<float> places(static_cast<size_t>(count));
      copy_base(places.data());
      if (total > 0) accumulate<mode, T, float>(walk, values, places.data(), total);
      for_parts([&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(places[static_cast<size_t>(i)]);
      });
    } else {
      copy_base(to);
      if (total > 0) accumulate<mode, T, T>(walk, values, to, total);
    }
  });
}

}  // namespace

std::string_view ScatterOperation::name() const {
  static constexpr std::string_view names[] = {"scatter_add", "scatter_prod", "scatter_max", "scatter_min"};
  return names[static_cast<size_t>(mode_)];
}

void ScatterOperation::attributes(AttributeWriter& writer) const {
  write_map(writer, map_);
  write_dynamic(writer, dynamic_);
}

void ScatterOperation::execute(std::span<const TensorView> inputs,
                               std::span<const TensorView> outputs) const {
  if (element_count(outputs[0].shape) == 0) return;
  Walk walk(inputs, map_, dynamic_);
  switch (mode_) {
    case ScatterMode::add:
      return scatter_into<ScatterMode::add>(walk, inputs[0], inputs[1], outputs[0]);
    case ScatterMode::prod:
      return scatter_into<ScatterMode::prod>(walk, inputs[0], inputs[1], outputs[0]);
    case ScatterMode::max:
      return scatter_into<ScatterMode::max>(walk, inputs[0], inputs[1], outputs[0]);
    case ScatterMode::min:
      return scatter_into<ScatterMode::min>(walk, inputs[0], inputs[1], outputs[0]);
  }
}

}  // namespace lazuli
