#include <lazuli/ops/scatter_operation.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>
#include <lazuli/ops/indexed_view.h>

namespace lazuli {

namespace {

// Below this many elements one thread does it all.
constexpr int64_t small_work = 8192;
// A thread's own part of every slice is at least as long.
constexpr int64_t shortest_run = 64;
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

int64_t index_at(const TensorView& tensor, int64_t position) {
  return dispatch_dtype(tensor.dtype, [&]<typename T>(std::type_identity<T>) -> int64_t {
    if constexpr (std::is_integral_v<T>) {
      T value;
      std::memcpy(&value, tensor.data + position * static_cast<int64_t>(sizeof(T)), sizeof(T));
      return static_cast<int64_t>(value);
    } else {
      return 0;  // indices are integers: checked where the operation is made
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
  const std::vector<Step>& within() const { return within_; }

  /// All slices, in row-major order of the updates.
  std::vector<Slice> slices(int64_t parts) const {
    std::vector<Slice> result(static_cast<size_t>(slice_count()));
    const auto total = static_cast<int64_t>(result.size());
    parallel_for(parts, [&](int64_t part) {
      std::vector<int64_t> index(dynamic_.size());
      for (int64_t i = total * part / parts; i < total * (part + 1) / parts; ++i) {
        Slice slice{0, first_place_};
        std::copy(first_index_.begin(), first_index_.end(), index.begin());
        int64_t rest = i;
        for (size_t d = across_.size(); d-- > 0;) {
          const int64_t at = rest % across_[d].extent;
          rest /= across_[d].extent;
          slice.update += at * across_[d].update;
          slice.place += at * across_[d].place;
          for (size_t j = 0; j < index.size(); ++j) index[j] += at * across_[d].index[j];
        }
        for (const auto& [j, stride] : dynamic_strides_) {
          const DynamicIndex& by = dynamic_[static_cast<size_t>(j)];
          int64_t value = index_at(inputs_[static_cast<size_t>(by.operand)], index[static_cast<size_t>(j)]);
          if (value < 0) value += by.extent.hint();
          slice.place += std::clamp<int64_t>(value, 0, by.limit.hint()) * stride;
        }
        result[static_cast<size_t>(i)] = slice;
      }
    });
    return result;
  }

 private:
  std::span<const TensorView> inputs_;
  const std::vector<DynamicIndex>& dynamic_;
  std::vector<Step> across_;
  std::vector<Step> within_;
  int64_t first_place_ = 0;
  std::vector<int64_t> first_index_;
  std::vector<std::pair<int, int64_t>> dynamic_strides_;
};

template <ScatterMode mode, typename T>
T combine(T a, T b) {
  if constexpr (mode == ScatterMode::max) {
    return a > b || a != a ? a : b;
  } else if constexpr (mode == ScatterMode::min) {
    return a < b || a != a ? a : b;
  } else if constexpr (std::is_same_v<T, bool>) {
    return mode == ScatterMode::add ? a || b : a && b;
  } else if constexpr (std::is_integral_v<T>) {
    // As unsigned numbers of at least 32 bits, which wrap around.
    using U = std::common_type_t<std::make_unsigned_t<T>, uint32_t>;
    const U x = static_cast<U>(a);
    const U y = static_cast<U>(b);
    return static_cast<T>(mode == ScatterMode::add ? x + y : x * y);
  } else {
    return mode == ScatterMode::add ? a + b : a * b;
  }
}

/// Accumulates updates of type T into places of type Acc.
template <ScatterMode mode, typename T, typename Acc>
void accumulate(Walk& walk, const T* updates, Acc* places, int64_t total) {
  const auto threads = static_cast<int64_t>(num_threads());
  const int64_t parts = total < small_work ? 1 : threads;
  if (walk.slice_size() >= parts * shortest_run) {
    // Each thread does its own part of every slice.
    const std::vector<Slice> slices = walk.slices(parts);
    const int64_t size = walk.slice_size();
    std::vector<Slice> within(static_cast<size_t>(size), Slice{0, 0});
    for (int64_t i = 0; i < size; ++i) {
      int64_t rest = i;
      for (size_t d = walk.within().size(); d-- > 0;) {
        const Step& step = walk.within()[d];
        within[static_cast<size_t>(i)].update += rest % step.extent * step.update;
        within[static_cast<size_t>(i)].place += rest % step.extent * step.place;
        rest /= step.extent;
      }
    }
    const bool is_row =
        walk.within().size() == 1 && walk.within()[0].update == 1 && walk.within()[0].place == 1;
    parallel_for(parts, [&](int64_t part) {
      const int64_t begin = size * part / parts;
      const int64_t end = size * (part + 1) / parts;
      for (const Slice& slice : slices) {
        const T* from = updates + slice.update;
        Acc* to = places + slice.place;
        if (is_row) {
          for (int64_t i = begin; i < end; ++i) to[i] = combine<mode, Acc>(to[i], static_cast<Acc>(from[i]));
          continue;
        }
        for (int64_t i = begin; i < end; ++i) {
          const Slice& step = within[static_cast<size_t>(i)];
          to[step.place] = combine<mode, Acc>(to[step.place], static_cast<Acc>(from[step.update]));
        }
      }
    });
    return;
  }
  // Each thread does the elements whose places are its own.
  walk.dissolve();
  const std::vector<Slice> elements = walk.slices(parts);
  parallel_for(parts, [&](int64_t part) {
    for (const Slice& element : elements) {
      if (parts > 1 && element.place / owned_block % parts != part) continue;
      Acc& place = places[element.place];
      place = combine<mode, Acc>(place, static_cast<Acc>(updates[element.update]));
    }
  });
}

template <ScatterMode mode>
void scatter_into(Walk& walk, const TensorView& base, const TensorView& updates, const TensorView& out) {
  const int64_t count = element_count(out.shape);
  const int64_t total = element_count(updates.shape);
  dispatch_dtype(out.dtype, [&]<typename T>(std::type_identity<T>) {
    const T* from = reinterpret_cast<const T*>(base.data);
    T* to = reinterpret_cast<T*>(out.data);
    const T* values = reinterpret_cast<const T*>(updates.data);
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(num_threads(), count / small_work));
    const auto for_parts = [&](auto&& f) {
      parallel_for(parts, [&](int64_t part) { f(count * part / parts, count * (part + 1) / parts); });
    };
    if constexpr (std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>) {
      std::vector<float> places(static_cast<size_t>(count));
      for_parts(
          [&](int64_t begin, int64_t end) { std::copy(from + begin, from + end, places.data() + begin); });
      if (total > 0) accumulate<mode, T, float>(walk, values, places.data(), total);
      for_parts([&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(places[static_cast<size_t>(i)]);
      });
    } else if constexpr (std::is_same_v<T, complex64_t> &&
                         (mode == ScatterMode::max || mode == ScatterMode::min)) {
      throw std::logic_error("[scatter] complex numbers have no order");
    } else {
      for_parts([&](int64_t begin, int64_t end) { std::copy(from + begin, from + end, to + begin); });
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
