#include <lazuli/compiler/templates/packing.h>

#include <algorithm>
#include <cstring>

#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>

namespace lazuli::templates {

namespace {

/// Depths that are widened at a time where halves are transposed.
constexpr int64_t widened_depths = 64;
constexpr int64_t most_lanes = 64;
/// Depths that are transposed at a time.
constexpr int64_t transposed_depths = 128;

/// Any strides, one element after another, in the order that reads the smaller stride innermost.
template <typename T, typename S>
void pack_elements(const S* src, int64_t lane_stride, int64_t k_stride, int64_t count, int64_t k_count,
                   int64_t width, T* panel) {
  if (std::abs(lane_stride) <= std::abs(k_stride)) {
    for (int64_t p = 0; p < k_count; ++p) {
      for (int64_t i = 0; i < count; ++i) {
        panel[p * width + i] = real_value<T>(src[i * lane_stride + p * k_stride]);
      }
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t p = 0; p < k_count; ++p) {
        panel[p * width + i] = real_value<T>(src[i * lane_stride + p * k_stride]);
      }
    }
  }
}

/// Lanes side by side: each depth is copied into all panels before the next, so that memory is read in order.
void pack_rows(const std::byte* src, Dtype dtype, int64_t k_stride, int64_t count, int64_t k_count,
               int64_t width, float* panels) {
  const Kernels& table = kernels();
  if (dtype == float32) {
    return table.copy_lanes(reinterpret_cast<const float*>(src), k_stride, count, k_count, width, panels);
  }
  const auto widen = table.widen[static_cast<size_t>(storage_of(dtype))];
  for (int64_t p = 0; p < k_count; ++p) {
    for (int64_t i = 0; i < count; i += width) {
      widen(src + (p * k_stride + i) * dtype.size(), panels + i * k_count + p * width,
            std::min(width, count - i));
    }
  }
}

/// Depths side by side: a transpose.
void pack_columns(const std::byte* src, Dtype dtype, int64_t lane_stride, int64_t count, int64_t k_count,
                  int64_t width, float* panel) {
  const Kernels& table = kernels();
  if (dtype == float32) {
    // So many depths at a time that their part of the panel stays in the L1 cache while its lanes are filled.
    for (int64_t p = 0; p < k_count; p += transposed_depths) {
      table.transpose(reinterpret_cast<const float*>(src) + p, lane_stride, count,
                      std::min(transposed_depths, k_count - p), panel + p * width, width);
    }
    return;
  }
  const auto widen = table.widen[static_cast<size_t>(storage_of(dtype))];
  float rows[most_lanes * widened_depths];
  for (int64_t p = 0; p < k_count; p += widened_depths) {
    const int64_t depths = std::min(widened_depths, k_count - p);
    for (int64_t i = 0; i < count; ++i) {
      widen(src + (i * lane_stride + p) * dtype.size(), rows + i * widened_depths, depths);
    }
    table.transpose(rows, widened_depths, count, depths, panel + p * width, width);
  }
}

template <typename T>
void clear_lanes(int64_t count, int64_t k_count, int64_t width, T* panel) {
  if (count == width) return;
  for (int64_t p = 0; p < k_count; ++p) std::fill(panel + p * width + count, panel + (p + 1) * width, T{0});
}

/// Calls `f(p, i, re, im)` with the element at real depth k_first + p and real lane first + i.
template <typename T, typename F>
void for_each_complex(const LanesView& view, int64_t depth_first, int64_t depths, int64_t lane_first,
                      int64_t lanes, F&& f) {
  dispatch_inexact(view.dtype, [&](auto type) {
    using S = typename decltype(type)::type;
    const S* data = reinterpret_cast<const S*>(view.data);
    for (int64_t p = 0; p < depths; ++p) {
      for (int64_t i = 0; i < lanes; ++i) {
        const S& value = data[(lane_first + i) * view.lane_stride + (depth_first + p) * view.k_stride];
        f(p, i, real_value<T>(value), imaginary_value<T>(value));
      }
    }
  });
}

}  // namespace

template <typename T>
void pack_panels(const LanesView& view, int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                 int64_t width, T* panels) {
  const auto source = [&](int64_t lane) {
    return view.data + (lane * view.lane_stride + k_first * view.k_stride) * view.dtype.size();
  };
  const int64_t last = count % width;
  if (last != 0) clear_lanes(last, k_count, width, panels + (count - last) * k_count);
  if constexpr (std::is_same_v<T, float>) {
    if (view.lane_stride == 1) {
      return pack_rows(source(first), view.dtype, view.k_stride, count, k_count, width, panels);
    }
  }
  for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, T* panel) {
    if constexpr (std::is_same_v<T, float>) {
      if (view.k_stride == 1 && lanes <= most_lanes) {
        return pack_columns(source(lane), view.dtype, view.lane_stride, lanes, k_count, width, panel);
      }
    }
    dispatch_inexact(view.dtype, [&](auto type) {
      using S = typename decltype(type)::type;
      pack_elements(reinterpret_cast<const S*>(source(lane)), view.lane_stride, view.k_stride, lanes, k_count,
                    width, panel);
    });
  });
}

void pack_bfloat16_pairs(const LanesView& view, int64_t k, int64_t first, int64_t count, int64_t k_first,
                         int64_t k_count, int64_t width, float* panels) {
  const uint16_t* data = reinterpret_cast<const uint16_t*>(view.data);
  const Kernels& table = kernels();
  // Pairs that are whole, and the one that is not, if it is among them.
  const int64_t whole = std::min(k_first + k_count, k / 2) - k_first;
  const auto element = [&](int64_t lane, int64_t depth) {
    return depth < k ? uint32_t{data[lane * view.lane_stride + depth * view.k_stride]} : 0;
  };
  for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, float* panel) {
    clear_lanes(lanes, k_count, width, panel);
    int64_t done = 0;
    if (view.lane_stride == 1) {
      table.interleave(data + lane + 2 * k_first * view.k_stride, view.k_stride, lanes, whole, width, panel);
      done = whole;
    } else if (view.k_stride == 1 && lanes <= most_lanes) {
      float rows[most_lanes * widened_depths];
      for (int64_t p = 0; p < whole; p += widened_depths) {
        const int64_t depths = std::min(widened_depths, whole - p);
        for (int64_t i = 0; i < lanes; ++i) {
          std::memcpy(rows + i * widened_depths, data + (lane + i) * view.lane_stride + 2 * (k_first + p),
                      static_cast<size_t>(depths) * sizeof(float));
        }
        table.transpose(rows, widened_depths, lanes, depths, panel + p * width, width);
      }
      done = whole;
    }
    for (int64_t p = done; p < k_count; ++p) {
      for (int64_t i = 0; i < lanes; ++i) {
        const int64_t depth = 2 * (k_first + p);
        const uint32_t pair = element(lane + i, depth) | element(lane + i, depth + 1) << 16;
        std::memcpy(panel + p * width + i, &pair, sizeof(pair));
      }
    }
  });
}

template <typename T>
void pack_complex_left(const LanesView& view, int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                       int64_t width, T* panel) {
  clear_lanes(count, k_count, width, panel);
  for_each_complex<T>(view, k_first / 2, k_count / 2, first, count, [&](int64_t p, int64_t i, T re, T im) {
    panel[2 * p * width + i] = re;
    panel[(2 * p + 1) * width + i] = im;
  });
}

template <typename T>
void pack_complex_right(const LanesView& view, int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                        int64_t width, T* panel) {
  clear_lanes(count, k_count, width, panel);
  for_each_complex<T>(view, k_first / 2, k_count / 2, first / 2, count / 2,
                      [&](int64_t p, int64_t i, T re, T im) {
                        T* rows = panel + 2 * p * width + 2 * i;
                        rows[0] = re;
                        rows[1] = im;
                        rows[width] = -im;
                        rows[width + 1] = re;
                      });
}

template void pack_panels<float>(const LanesView&, int64_t, int64_t, int64_t, int64_t, int64_t, float*);
template void pack_panels<double>(const LanesView&, int64_t, int64_t, int64_t, int64_t, int64_t, double*);
template void pack_complex_left<float>(const LanesView&, int64_t, int64_t, int64_t, int64_t, int64_t, float*);
template void pack_complex_left<double>(const LanesView&, int64_t, int64_t, int64_t, int64_t, int64_t,
                                        double*);
template void pack_complex_right<float>(const LanesView&, int64_t, int64_t, int64_t, int64_t, int64_t,
                                        float*);
template void pack_complex_right<double>(const LanesView&, int64_t, int64_t, int64_t, int64_t, int64_t,
                                         double*);

}  // namespace lazuli::templates
