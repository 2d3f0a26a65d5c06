#include <lazuli/lm/model/kv_cache.h>

#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace lazuli::lm {

KvCache::KvCache(int layers, int heads, int head_dim, Dtype dtype,
                 const std::optional<Quantization>& quantization)
    : layers_(layers), heads_(heads) {
  if (!quantization) {
    parts_ = {{head_dim, dtype}};
    return;
  }
  check(*quantization, head_dim);
  const Part scales{head_dim / quantization->group_size, dtype};
  parts_ = {{head_dim * quantization->bits / 32, uint32}, scales, scales};
}

void KvCache::check(const Quantization& quantization, int head_dim) {
  const int bits = quantization.bits;
  const int group = quantization.group_size;
  if (bits < 2 || bits > 8 || bits == 7) {
    throw std::invalid_argument(
        fmt::format("[cache] keys and values have 2, 3, 4, 5, 6 or 8 bits, not {}", bits));
  }
  if (group != 32 && group != 64 && group != 128) {
    throw std::invalid_argument(fmt::format("[cache] groups have 32, 64 or 128 elements, not {}", group));
  }
  if (head_dim % group != 0) {
    throw std::invalid_argument(
        fmt::format("[cache] heads of {} elements are no whole groups of {}", head_dim, group));
  }
}

std::size_t KvCache::bytes_a_token() const {
  std::size_t row = 0;
  for (const Part& part : parts_) row += part.row_bytes();
  return row * 2 * static_cast<std::size_t>(layers_) * static_cast<std::size_t>(heads_);
}

void KvCache::reserve(int count) {
  if (count > std::numeric_limits<int>::max() - step - length_) {
    throw std::length_error("[cache] the text is too long");
  }
  const int needed = length_ + count;
  if (needed <= capacity_) return;
  const bool fresh = arrays_.empty();
  if (fresh && length_ > 0) throw std::logic_error("[cache] lost when the model failed; clear it first");
  capacity_ = (needed + step - 1) / step * step;
  const std::size_t count_of_arrays = static_cast<std::size_t>(layers_) * 2 * parts_.size();
  for (std::size_t i = 0; i < count_of_arrays; ++i) {
    const Part& part = parts_[i % parts_.size()];
    if (fresh) {
      arrays_.push_back(grown(part, nullptr));
    } else {
      arrays_[i] = grown(part, &arrays_[i]);
    }
  }
}

/// Memory of the current capacity that begins with what `old` holds, the rest zero.
array KvCache::grown(const Part& part, const array* old) const {
  const Shape shape{1, heads_, capacity_, part.width};
  const std::size_t row_bytes = part.row_bytes();
  const std::size_t head_bytes = row_bytes * static_cast<std::size_t>(capacity_);
  Ref<Buffer> buffer = Buffer::allocate(head_bytes * static_cast<std::size_t>(heads_));
  const std::size_t used = old == nullptr ? 0 : row_bytes * static_cast<std::size_t>(length_);
  for (int head = 0; head < heads_; ++head) {
    std::byte* to = buffer->data() + head_bytes * static_cast<std::size_t>(head);
    if (used > 0) {
      // Rows lie one after another: updates in place keep the layout that is made here.
      std::memcpy(
          to, old->data<std::byte>() + old->strides(1) * head * static_cast<std::int64_t>(part.dtype.size()),
          used);
    }
    std::memset(to + used, 0, head_bytes - used);
  }
  return array(Node::of_data(std::move(buffer), 0, shape, row_major_strides(shape), part.dtype));
}

void KvCache::give_up(std::vector<array>& arguments) {
  for (array& each : arrays_) arguments.push_back(std::move(each));
  arrays_.clear();
  capacity_ = 0;
}

void KvCache::take_back(std::vector<array>& results, std::size_t first, int count) {
  for (std::size_t i = first; i < results.size(); ++i) arrays_.push_back(std::move(results[i]));
  results.erase(results.begin() + static_cast<std::ptrdiff_t>(first), results.end());
  capacity_ = arrays_.front().shape(2);
  length_ += count;
}

}  // namespace lazuli::lm
