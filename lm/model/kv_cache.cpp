#include <lazuli/lm/model/kv_cache.h>

#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

namespace lazuli::lm {

KvCache::KvCache(int layers, int heads, int head_dim, Dtype dtype)
    : layers_(layers), heads_(heads), head_dim_(head_dim), dtype_(dtype) {}

void KvCache::reserve(int count) {
  if (count > std::numeric_limits<int>::max() - step - length_) {
    throw std::length_error("[cache] the text is too long");
  }
  const int needed = length_ + count;
  if (needed <= capacity_) return;
  const bool fresh = arrays_.empty();
  if (fresh && length_ > 0) throw std::logic_error("[cache] lost when the model failed; clear it first");
  capacity_ = (needed + step - 1) / step * step;
  const std::size_t count_of_arrays = static_cast<std::size_t>(layers_) * 2;
  for (std::size_t i = 0; i < count_of_arrays; ++i) {
    if (fresh) {
      arrays_.push_back(grown(nullptr));
    } else {
      arrays_[i] = grown(&arrays_[i]);
    }
  }
}

/// Memory of the current capacity that begins with what `old` holds, the rest zero.
array KvCache::grown(const array* old) const {
  const Shape shape{1, heads_, capacity_, head_dim_};
  const std::size_t row_bytes = static_cast<std::size_t>(head_dim_) * dtype_.size();
  const std::size_t head_bytes = row_bytes * static_cast<std::size_t>(capacity_);
  Ref<Buffer> buffer = Buffer::allocate(head_bytes * static_cast<std::size_t>(heads_));
  const std::size_t used = old == nullptr ? 0 : row_bytes * static_cast<std::size_t>(length_);
  for (int head = 0; head < heads_; ++head) {
    std::byte* to = buffer->data() + head_bytes * static_cast<std::size_t>(head);
    if (used > 0) {
      // Rows lie one after another: updates in place keep the layout that is made here.
      std::memcpy(to,
                  old->data<std::byte>() + old->strides(1) * head * static_cast<std::int64_t>(dtype_.size()),
                  used);
    }
    std::memset(to + used, 0, head_bytes - used);
  }
  return array(Node::of_data(std::move(buffer), 0, shape, row_major_strides(shape), dtype_));
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
