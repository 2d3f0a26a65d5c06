#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

namespace lazuli::templates {

/// A [batch, heads, length, dim] tensor; strides count elements and the last dimension has unit stride.
/// (A caller whose last dimension has another stride copies first.) Any stride may be zero or negative.
struct HeadsView {
  const std::byte* data = nullptr;
  Dtype dtype = float32;
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
};

/// A mask over [batch, heads, query_length, key_length]; a stride of zero broadcasts.
/// bool: keys where it is false are not seen. float16/bfloat16/float32: added to the scores.
struct MaskView {
  const std::byte* data = nullptr;  ///< null: no mask
  Dtype dtype = bool_;
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
};

/// out = softmax(scores) · values, with scores = mask(soft_cap(scale * queries · keysᵀ)).
///
/// `queries` is [batch, heads, query_length, head_dim], `keys` [batch, kv_heads, key_length, head_dim],
/// `values` [batch, kv_heads, key_length, value_dim], `out` [batch, heads, query_length, value_dim]; each is
/// float16, bfloat16 or float32 on its own. `heads` is a multiple of `kv_heads`: query head h reads
/// key/value head h / (heads / kv_heads). A cache with more capacity than `key_length` says so by strides.
///
/// Query i stands at position i + key_length - query_length. It sees key j if all of these hold:
///   causal:      j <= position
///   window > 0:  j > position - window   (the window counts the query's own position)
///   bool mask:   mask(i, j)
/// A row that sees no key gives zeros (also with additive masks that are -inf everywhere). `sinks` adds one
/// logit a head to the softmax's denominator, with no value. Everything is accumulated in float32 and
/// rounded once; scores exist only a tile at a time. Where queries, keys and values are all bfloat16 and the
/// machine multiplies such pairs faster than floats, the weights of the values (not their sum) are rounded to
/// bfloat16, too.
struct AttentionProblem {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t query_length = 0;
  int64_t key_length = 0;
  int64_t head_dim = 0;
  int64_t value_dim = 0;

  HeadsView queries;
  HeadsView keys;
  HeadsView values;

  /// Above 0: keys and values are codes of so many bits, in groups of `group_size` along head_dim and
  /// value_dim (see `QuantizedMatrix`, the affine mode). Their views count uint32 words then, and each has
  /// scales and biases, float16, bfloat16 or float32.
  int bits = 0;
  int group_size = 0;
  HeadsView key_scales;
  HeadsView key_biases;
  HeadsView value_scales;
  HeadsView value_biases;

  std::byte* out = nullptr;
  Dtype out_dtype = float32;
  int64_t out_batch_stride = 0;
  int64_t out_head_stride = 0;
  int64_t out_row_stride = 0;

  float scale = 1;
  float soft_cap = 0;  ///< c > 0: scores become c * tanh(score / c)
  bool causal = false;
  int64_t window = 0;
  MaskView mask;
  const std::byte* sinks = nullptr;  ///< [heads], contiguous
  Dtype sinks_dtype = float32;       ///< float16, bfloat16 or float32
};

/// Solves `problem`; throws std::invalid_argument for dtypes or head counts other than those above.
void attention(const AttentionProblem& problem);

}  // namespace lazuli::templates
