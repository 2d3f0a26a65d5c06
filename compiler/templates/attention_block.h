#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/attention.h>
#include <lazuli/compiler/templates/kernels.h>

/// Attention of one block of queries: the part that a thread does.
namespace lazuli::templates {

/// Row after row of a [.., length, dim] tensor, for one batch entry and head.
struct HeadRows {
  const std::byte* data = nullptr;
  Dtype dtype = float32;
  int64_t stride = 0;

  HeadRows(const HeadsView& view, int64_t batch, int64_t head)
      : data(view.data + (batch * view.batch_stride + head * view.head_stride) * view.dtype.size()),
        dtype(view.dtype),
        stride(view.row_stride) {}

  const std::byte* at(int64_t row) const { return data + row * stride * dtype.size(); }
};

/// Keys that are scored before their values are summed, at most.
inline constexpr int64_t attention_key_tile = 128;

/// What a task works on: `positions` consecutive queries of all heads that share a key/value head, against
/// keys [key_begin, key_end). Row r of the block is query first_query + r % positions of head
/// kv_head * group + r / positions.
struct AttentionBlock {
  int64_t batch = 0;
  int64_t kv_head = 0;
  int64_t group = 1;
  int64_t first_query = 0;
  int64_t positions = 1;
  int64_t key_begin = 0;
  int64_t key_end = 0;
  /// The keys that the thread meets after these, of another head: `next_batch` is below 0 where there are
  /// none.
  int64_t next_batch = -1;
  int64_t next_kv_head = 0;

  int64_t rows() const { return group * positions; }
  int64_t head(int64_t row) const { return kv_head * group + row / positions; }
  int64_t query(int64_t row) const { return first_query + row % positions; }
};

/// The running softmax of a block's rows: about the largest score so far, the sum of exp(score - largest),
/// and the sum of exp(score - largest) * value.
struct AttentionState {
  float* largest = nullptr;  ///< [rows]
  float* sum = nullptr;      ///< [rows]
  float* values = nullptr;   ///< [rows, values_stride]
  int64_t values_stride = 0;
};

/// Floats between rows of `AttentionState::values`: value_dim, padded to whole tiles.
int64_t attention_values_stride(const AttentionProblem& problem);

class AttentionPanels;

/// Starts the state (with the sinks if `with_sinks`) and takes in the block's keys. With `panels`, which are
/// null otherwise, keys and values that are packed stay there for other blocks.
void attend(const AttentionProblem& problem, const AttentionBlock& block, bool with_sinks,
            const AttentionState& state, AttentionPanels* panels);

/// Divides by the sums and writes the block's rows to the output.
void store_attention(const AttentionProblem& problem, const AttentionBlock& block,
                     const AttentionState& state);

/// Adds the second of two states of `rows` rows to the first.
void merge_attention(int64_t rows, int64_t value_dim, const AttentionState& into, const AttentionState& from);

/// Up to this many rows, scores and sums are made with the kernels that read keys and values once
/// and keep nothing packed.
inline constexpr int64_t attention_vector_rows = 2 * max_vector_rows;

}  // namespace lazuli::templates
