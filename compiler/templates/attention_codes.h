#pragma once

#include <cstdint>
#include <optional>

#include <lazuli/compiler/templates/attention_block.h>
#include <lazuli/compiler/templates/quantized_matmul.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

/// The quantized keys and values of one key/value head, as a block meets them. Where there are few rows of
/// queries and the machine has byte dot products, codes of 4 and 8 bits are multiplied as they are; otherwise
/// rows are widened first, a tile at a time.
class AttentionCodes {
 public:
  AttentionCodes(const AttentionProblem& problem, const AttentionBlock& block);

  /// Keys [key, key + count) as floats, head_dim apart.
  void widen_keys(int64_t key, int64_t count, float* rows) const;
  /// Their values, `stride` apart.
  void widen_values(int64_t key, int64_t count, float* rows, int64_t stride) const;

  /// Takes the block's queries (few rows of head_dim floats, one after another) for `score`, as whole numbers
  /// of 16 bits. Returns false where codes cannot be multiplied as they are.
  bool take_queries(const float* queries);
  /// scores[r][j] = query r · key (key + j); rows are `attention_key_tile` apart.
  void score(int64_t key, int64_t count, float* scores);
  /// Adds values by weights, which are finite and lie as scores do, to sums, `stride` apart. Returns false,
  /// with sums as they were, where a scale is not finite.
  bool sum(int64_t key, int64_t count, const float* weights, float* sums, int64_t stride);

 private:
  /// Scales and biases of a tile as floats, group by group.
  void set_scales(const QuantizedMatrix& matrix, int64_t key, int64_t count, float* scales) const;
  void take_row_group(const float* queries, int64_t first, int64_t rows);

  QuantizedMatrix keys_;
  QuantizedMatrix values_;
  int64_t key_end_;  ///< of the block
  int64_t rows_;
  std::optional<Scratch> memory_;
  int8_t* x_ = nullptr;  ///< see CodeScores
  float* query_sums_ = nullptr;
  float* factors_ = nullptr;
  float* scales_ = nullptr;    ///< of all groups, then biases
  int8_t* weights_ = nullptr;  ///< see CodeWeights
  float* steps_ = nullptr;
  float* bias_sums_ = nullptr;
};

}  // namespace lazuli::templates
