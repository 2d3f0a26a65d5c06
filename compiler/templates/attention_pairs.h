#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/attention_block.h>
#include <lazuli/compiler/templates/attention_panels.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

/// Whether a block's products are done by dot products of bfloat16 pairs: everything is bfloat16, and the
/// machine is faster at these than at float32.
bool attention_takes_pairs(const AttentionProblem& problem, bool few_rows);

/// What is packed of a tile of keys for these products: panels of the kernel's columns, one after the other.
AttentionPanelSizes attention_pair_panels(const AttentionProblem& problem);

/// The products of one block of attention in bfloat16: scores as sums in float32 of products of queries and
/// keys as they are, then sums of values, whose weights (the exponentials of the scores) are rounded to
/// bfloat16 first. The sums that these are divided by are those of the weights before rounding.
class AttentionPairs {
 public:
  AttentionPairs(const AttentionProblem& problem, const AttentionBlock& block, const AttentionState& state,
                 bool few_rows, AttentionPanels* kept);

  /// Rows whose scores, weights and sums are made in turn, so that these stay in the first-level cache. All
  /// rows if there are few.
  int64_t rows_at_once() const { return few_rows_ ? rows_ : kernel_.rows; }

  /// Goes on to keys [key, key + count), the next tile.
  void take(int64_t key, int64_t count);
  /// scores[r][j] = query (row + r) · key (key + j), not scaled, for `rows_at_once` rows from `row`, a
  /// multiple of these, and at least for some keys, which begin with an even one; rows are
  /// `attention_key_tile` apart.
  void score(int64_t row, AttentionKeys keys, float* scores);
  /// Sets a row's weights of some keys to exp(scale * s - largest), and returns their sum. `s` is the score
  /// of the first of them.
  float set_weights(int64_t row, AttentionKeys keys, const float* s, float scale, float largest);
  void clear_weights(int64_t row, AttentionKeys keys);
  /// Adds the values of these keys by the weights to the state of `rows_at_once` rows from `row`.
  void sum(int64_t row, AttentionKeys keys);

 private:
  void score_few_rows(float* scores) const;
  void score_tiles(int64_t row, AttentionKeys keys, float* scores) const;
  void sum_few_rows() const;
  void sum_tiles(int64_t row, AttentionKeys keys) const;
  void pack_keys(int64_t key, int64_t count, float* panels) const;
  /// Panels of ceil(count / 2) rows.
  void pack_values(int64_t key, int64_t count, float* panels) const;

  /// Whether the tile that begins with a key is one of those that are kept.
  bool keeps(int64_t key) const { return kept_ != nullptr && key % attention_key_tile == 0; }
  uint16_t* weights(int64_t row) const { return weights_ + row % rows_at_once() * attention_key_tile; }
  float* sums(int64_t row) const { return state_.values + row * state_.values_stride; }

  const AttentionProblem& problem_;
  const AttentionBlock& block_;
  const AttentionState& state_;
  const Kernels& table_;
  const GemmKernel<float>& kernel_;
  int64_t rows_;
  int64_t query_pairs_;
  bool few_rows_;
  HeadRows keys_;
  HeadRows values_;
  Scratch memory_;
  float* queries_;  ///< pairs, row after row or in panels of the kernel's rows
  uint16_t* weights_;
  float* weight_panel_;
  float* panels_;          ///< of keys, then of values, where they are not kept
  AttentionPanels* kept_;  ///< those of the head, or null
  int64_t key_ = 0;        ///< the tile
  int64_t count_ = 0;
  const float* key_panels_ = nullptr;
  const float* value_panels_ = nullptr;
  int64_t value_pairs_ = 0;  ///< rows of a panel of values
};

}  // namespace lazuli::templates
