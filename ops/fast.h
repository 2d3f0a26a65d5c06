#pragma once

#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// What transformers are made of. Norms and rotary embeddings are compositions that the compiler fuses;
/// attention is a kernel of its own.
namespace lazuli::fast {

/// x / sqrt(mean(x²) + eps) along the last axis, times `weight`. Computed in float32; the result has the
/// promoted dtype of `x` and `weight`. Throws std::invalid_argument for scalars and for a weight whose shape
/// is not that of the last axis.
array rms_norm(const array& x, const std::optional<array>& weight, float eps, StreamOrDevice s = {});
/// (x - mean(x)) / sqrt(var(x) + eps) along the last axis, times `weight`, plus `bias`; see `rms_norm`.
array layer_norm(const array& x, const std::optional<array>& weight, const std::optional<array>& bias,
                 float eps, StreamOrDevice s = {});

/// Rotary position embedding of x [..., T, D]: the first `dims` (even, at most D) elements of each row are
/// pairs, (i, i + dims/2) or, `traditional`, (2i, 2i + 1), rotated by the angle position * scale * f. The
/// position is offset + row, f is base^(-2i/dims), or 1 / freqs[i] where `freqs` [dims/2] are given; exactly
/// one of `base` and `freqs` must be. `offset` as an array is a scalar or, for x [B, ..., T, D], one number
/// for each of the B. Angles are float32; the result has x's dtype. Throws std::invalid_argument for fewer
/// than three dimensions.
array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale, int offset,
           const std::optional<array>& freqs = std::nullopt, StreamOrDevice s = {});
array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale,
           const array& offset, const std::optional<array>& freqs = std::nullopt, StreamOrDevice s = {});

/// softmax(scale * queries · keysᵀ + mask) · values for queries [B, H, T, D], keys [B, K, S, D] and values
/// [B, K, S, V]; H is a multiple of K, and each key head serves H / K query heads. `mask_mode` "causal" lets
/// query i see keys up to i + S - T; "array" (or "" with an array) takes a mask that broadcasts to
/// [B, H, T, S]: bool (true is seen) or added to the scores. `sinks` [H] are further logits without values. A
/// query that sees no key gives zeros. Throws std::invalid_argument where shapes, dtypes or modes do not fit.
array scaled_dot_product_attention(const array& queries, const array& keys, const array& values,
                                   const float scale, const std::string& mask_mode = "",
                                   std::optional<array> mask_arr = {}, const std::optional<array>& sinks = {},
                                   bool force_fused = false, StreamOrDevice s = {});

/// Choices of `attention_over_cache`.
struct CacheAttentionOptions {
  bool causal = true;          ///< query i sees keys up to key_length - T + i
  int window = 0;              ///< above 0: only the last `window` of them
  float soft_cap = 0;          ///< c above 0: scores become c * tanh(score / c)
  std::optional<array> mask;   ///< broadcasts to [B, H, T, capacity]; see scaled_dot_product_attention
  std::optional<array> sinks;  ///< [H]
};

/// Attention over caches, keys [B, K, capacity, D] and values [B, K, capacity, V], of which the first
/// `key_length` (an int32 scalar, known only when it runs) rows count. Queries are the last T of those.
array attention_over_cache(const array& queries, const array& keys, const array& values,
                           const array& key_length, float scale, const CacheAttentionOptions& options = {},
                           StreamOrDevice s = {});

/// `scaled_dot_product_attention` whose keys and values are what `quantize` gives in the affine mode, {codes,
/// scales, biases}: codes [B, K, S, D * bits / 32], scales and biases [B, K, S, D / group_size], likewise for
/// V; groups of 64 and 4 bits if not given. Codes are read where they lie. Up to 16 queries a key head meet
/// 4 and 8 bits as whole numbers of 16 bits, and so do the weights of values, to 2^-15 of the largest among
/// some keys; everything else is as with the elements themselves. The dtype of the result is that of queries
/// and scales, promoted. Gradients go to queries, scales and biases. Throws std::invalid_argument as the
/// plain one does, and where the parts do not belong together.
array quantized_scaled_dot_product_attention(const array& queries, const std::vector<array>& keys,
                                             const std::vector<array>& values, float scale,
                                             const std::string& mask_mode = "",
                                             std::optional<array> mask_arr = {},
                                             const std::optional<array>& sinks = {},
                                             std::optional<int> group_size = std::nullopt,
                                             std::optional<int> bits = std::nullopt, StreamOrDevice s = {});

/// The same over caches: see `attention_over_cache`.
array attention_over_quantized_cache(const array& queries, const std::vector<array>& keys,
                                     const std::vector<array>& values, const array& key_length, float scale,
                                     const CacheAttentionOptions& options = {},
                                     std::optional<int> group_size = std::nullopt,
                                     std::optional<int> bits = std::nullopt, StreamOrDevice s = {});

}  // namespace lazuli::fast
