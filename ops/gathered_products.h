#pragma once

#include <optional>
#include <string>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Products of matrices that are chosen from a stack, cut out of others, or masked: what mixtures of experts
/// and sparse layers are made of. Each throws std::invalid_argument for shapes and dtypes that do not fit.
namespace lazuli {

/// a[lhs_indices] times b[rhs_indices]: `a` is [..., m, k] and `b` [..., k, n], the indices choose among the
/// matrices in row-major order of the axes before them. The index arrays broadcast; the result has their
/// shape, followed by m and n. Indices that are not given are all matrices in order. Floating point.
/// Consecutive rows for one matrix of `b` are one product: with indices in order there are fewer of them, but
/// `sorted_indices` need not say so.
array gather_mm(array a, array b, std::optional<array> lhs_indices = std::nullopt,
                std::optional<array> rhs_indices = std::nullopt, bool sorted_indices = false,
                StreamOrDevice s = {});

/// The same for a stack of quantized matrices; see `quantized_matmul`. Gradients go to `x` only.
array gather_qmm(const array& x, const array& w, const array& scales,
                 const std::optional<array>& biases = std::nullopt,
                 std::optional<array> lhs_indices = std::nullopt,
                 std::optional<array> rhs_indices = std::nullopt, bool transpose = true,
                 std::optional<int> group_size = std::nullopt, std::optional<int> bits = std::nullopt,
                 const std::string& mode = "affine", bool sorted_indices = false, StreamOrDevice s = {});

/// The same for stacks of which both are rounded to floating point numbers of few bits first; see `qqmm`:
/// x[lhs_indices] times the transpose of w[rhs_indices].
array gather_qqmm(array x, array w, const std::optional<array>& scales_w = std::nullopt,
                  std::optional<array> lhs_indices = std::nullopt,
                  std::optional<array> rhs_indices = std::nullopt,
                  std::optional<int> group_size = std::nullopt, std::optional<int> bits = std::nullopt,
                  const std::string& mode = "nvfp4",
                  const std::optional<array>& global_scale_x = std::nullopt,
                  const std::optional<array>& global_scale_w = std::nullopt, bool sorted_indices = false,
                  StreamOrDevice s = {});

/// For each segment (i, j) of `segments` [..., 2]: columns [i, j) of `a` [m, k] times rows [i, j) of `b`
/// [k, n]; the result is [..., m, n]. Bounds are cut to [0, k]. Floating point.
array segmented_mm(array a, array b, array segments, StreamOrDevice s = {});

/// The product of matrices in which blocks are masked: `mask_lhs` has an element for every `block_size` rows
/// and columns of `a`, `mask_rhs` for those of `b`, `mask_out` for those of the result. Where a mask is bool,
/// blocks are as they are or zero; others multiply. Masks broadcast along the axes before. `block_size` is 32
/// or 64.
array block_masked_mm(array a, array b, int block_size, std::optional<array> mask_out = std::nullopt,
                      std::optional<array> mask_lhs = std::nullopt,
                      std::optional<array> mask_rhs = std::nullopt, StreamOrDevice s = {});

}  // namespace lazuli
