#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include <lazuli/compiler/templates/attention_block.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

/// Floats that `attention_key_tile` keys take when they are packed, and their values.
struct AttentionPanelSizes {
  int64_t keys = 0;
  int64_t values = 0;  ///< zero where they are read where they lie

  int64_t both() const { return keys + values; }
};

/// The keys of a row's tile that are computed, counted from the tile's first: [begin, end).
struct AttentionKeys {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t count() const { return end - begin; }
};

/// Keys and values of one key/value head as the kernels' tiles read them. A tile of `attention_key_tile` keys
/// is packed when it is first asked for, and kept for the blocks of queries to come. Belongs to one thread.
class AttentionPanels {
 public:
  AttentionPanels(int64_t key_length, const AttentionPanelSizes& sizes)
      : key_length_(key_length),
        tiles_(ceil_div(key_length, attention_key_tile)),
        sizes_(sizes),
        keys_{0, std::vector<bool>(static_cast<size_t>(tiles_))},
        values_{tiles_ * sizes.keys, keys_.are_there} {}

  /// Says whose keys and values are asked for from now on. What is packed of others is forgotten.
  void turn_to(int64_t batch, int64_t kv_head) {
    if (batch == batch_ && kv_head == kv_head_) return;
    batch_ = batch;
    kv_head_ = kv_head;
    keys_.are_there.assign(static_cast<size_t>(tiles_), false);
    values_.are_there.assign(static_cast<size_t>(tiles_), false);
  }

  /// Keys from tile * attention_key_tile, and their values. `pack(first, count, panels)` packs them.
  template <typename Pack>
  const float* keys(int64_t tile, Pack&& pack) {
    return part(keys_, tile, sizes_.keys, pack);
  }
  template <typename Pack>
  const float* values(int64_t tile, Pack&& pack) {
    return part(values_, tile, sizes_.values, pack);
  }

  /// How many keys a tile has.
  int64_t keys_in(int64_t tile) const {
    return std::min(attention_key_tile, key_length_ - tile * attention_key_tile);
  }

 private:
  struct Part {
    int64_t offset;
    std::vector<bool> are_there;
  };

  template <typename Pack>
  const float* part(Part& of, int64_t tile, int64_t size, Pack&& pack) {
    if (!memory_) memory_.emplace(static_cast<size_t>(tiles_ * sizes_.both()) * sizeof(float));
    float* const panels = memory_->as<float>() + of.offset + tile * size;
    if (!of.are_there[static_cast<size_t>(tile)]) {
      pack(tile * attention_key_tile, keys_in(tile), panels);
      of.are_there[static_cast<size_t>(tile)] = true;
    }
    return panels;
  }

  int64_t key_length_;
  int64_t tiles_;
  AttentionPanelSizes sizes_;
  int64_t batch_ = -1;
  int64_t kv_head_ = -1;
  std::optional<Scratch> memory_;
  Part keys_;
  Part values_;
};

}  // namespace lazuli::templates
