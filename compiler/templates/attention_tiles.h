#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/attention_block.h>
#include <lazuli/compiler/templates/attention_codes.h>
#include <lazuli/compiler/templates/attention_panels.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

/// What is packed of a tile of keys for the products of `AttentionTiles`: panels of the kernel's columns, and
/// rows of values as floats, unless they can be multiplied where they lie.
AttentionPanelSizes attention_tile_panels(const AttentionProblem& problem);

/// The products of one block of attention, with more rows than a few, by tiles of float32.
class AttentionTiles {
 public:
  /// `queries` are floats, with the scale, row after row; `codes` what stores keys and values, or null.
  AttentionTiles(const AttentionProblem& problem, const AttentionBlock& block, const AttentionState& state,
                 const float* queries, const AttentionCodes* codes, AttentionPanels* kept);

  /// Goes on to keys [key, key + count), the next tile.
  void take(int64_t key, int64_t count);
  /// scores[r][j] = query (row + r) · key (key + j), for at most a kernel's tile of rows and at least for
  /// these keys; rows are `attention_key_tile` apart.
  void score(int64_t row, int64_t rows, AttentionKeys keys, float* scores) const;
  /// Adds the values of these keys, by weights that lie as scores do, to the state of the rows.
  void sum(int64_t row, int64_t rows, AttentionKeys keys, const float* weights) const;

 private:
  void pack_keys(int64_t key, int64_t count, float* panels) const;
  void widen_values(int64_t key, int64_t count, float* rows) const;

  const AttentionProblem& problem_;
  const AttentionState& state_;
  const Kernels& table_;
  const float* queries_;
  const AttentionCodes* codes_;
  AttentionPanels* kept_;  ///< those of the head, or null
  HeadRows keys_;
  HeadRows values_;
  AttentionPanelSizes sizes_;
  Scratch memory_;
  float* panels_;        ///< of keys, then of values, where they are not kept
  float* widened_keys_;  ///< what codes stand for
  const float* key_panels_ = nullptr;
  const float* value_rows_ = nullptr;
  int64_t value_stride_;
};

}  // namespace lazuli::templates
