#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <lazuli/compiler/templates/attention_block.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

/// Floats that `attention_key_tile` keys take in panels of the kernel of bfloat16 pairs, and their values.
int64_t attention_key_panels_size(const AttentionProblem& problem);
int64_t attention_value_panels_size(const AttentionProblem& problem);

/// Packs keys [key, key + count) of a head: panels of the kernel's columns, one after the other.
void pack_attention_keys(const AttentionProblem& problem, const HeadRows& keys, int64_t key, int64_t count,
                         float* panels);
/// Packs their values: panels of ceil(count / 2) rows.
void pack_attention_values(const AttentionProblem& problem, const HeadRows& values, int64_t key,
                           int64_t count, float* panels);

/// Keys and values of one key/value head in panels for dot products of bfloat16 pairs. A tile of
/// `attention_key_tile` keys is packed when it is first asked for, and kept for the blocks of queries to
/// come. Belongs to one thread.
class AttentionPanels {
 public:
  explicit AttentionPanels(const AttentionProblem& problem);

  /// Says whose keys and values are asked for from now on. What is packed of others is forgotten.
  void turn_to(int64_t batch, int64_t kv_head);

  /// Keys from tile * attention_key_tile, and their values.
  const float* keys(int64_t tile);
  const float* values(int64_t tile);
  /// How many keys a tile has.
  int64_t keys_in(int64_t tile) const;

 private:
  void make_room();

  const AttentionProblem& problem_;
  int64_t batch_ = -1;
  int64_t kv_head_ = -1;
  int64_t tiles_;
  int64_t keys_size_;    ///< floats of a tile
  int64_t values_size_;  ///< floats of a tile
  std::optional<Scratch> memory_;
  std::vector<bool> has_keys_;
  std::vector<bool> has_values_;
};

}  // namespace lazuli::templates
