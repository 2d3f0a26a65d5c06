#include <lazuli/compiler/templates/quantized_bytes.h>

#include <algorithm>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/quantized_codes.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Rows of weights whose scales are widened at a time.
constexpr int64_t block_rows = 16;
/// How far ahead of where it reads a thread asks for codes, at least: as far as its next rows are.
constexpr int64_t bytes_ahead = 8192;
/// Elements that may be read behind the last scale.
constexpr int64_t beyond = 16;

bool has_code_bytes(const QuantizedMatmulProblem& problem) {
  const QuantizedMatrix& w = problem.w;
  if (kernels().code_bytes_dot == nullptr || problem.dtype == float32) return false;
  return w.bits == 4 || (w.bits == 8 && w.mode == QuantizedMode::affine);
}

/// Scales, or biases, of some rows as floats, one row of groups after another.
template <typename Widen>
void widen_rows(int64_t first, int64_t rows, int64_t groups, int64_t row_stride, float* out,
                const Widen& widen) {
  if (row_stride == groups) return widen(first, rows * groups, out);
  for (int64_t j = 0; j < rows; ++j) widen(first + j, groups, out + j * groups);
}

}  // namespace

bool multiply_code_bytes(const QuantizedMatmulProblem& problem, const float* x, int64_t x_row_stride,
                         const MatmulResult& result) {
  if (!has_code_bytes(problem)) return false;
  const Kernels& table = kernels();
  const QuantizedMatrix& w = problem.w;
  const bool is_affine = w.mode == QuantizedMode::affine;
  const int64_t groups = w.columns / w.group_size;
  const int64_t tiles = ceil_div(w.columns * w.bits, int64_t{64} * 8);
  const int64_t bytes = tiles * 128 * (8 / w.bits);
  const int64_t lanes = tiles * 16;
  const int64_t padded_groups = round_up(groups, 16);
  const Scratch memory(
      static_cast<size_t>(problem.m) *
      (static_cast<size_t>(bytes) + static_cast<size_t>(2 * lanes + padded_groups) * sizeof(float)));
  auto* const x_bytes = memory.as<int8_t>();
  auto* const steps = reinterpret_cast<float*>(x_bytes + problem.m * bytes);
  auto* const starts = reinterpret_cast<int32_t*>(steps + problem.m * lanes);
  auto* const sums = reinterpret_cast<float*>(starts + problem.m * lanes);
  for (int64_t r = 0; r < problem.m; ++r) {
    CodeBytes to;
    to.bits = w.bits;
    to.is_float = !is_affine;
    to.group_size = w.group_size;
    to.k = w.columns;
    to.x = x + r * x_row_stride;
    to.bytes = x_bytes + r * bytes;
    to.steps = steps + r * lanes;
    to.starts = starts + r * lanes;
    if (!table.code_bytes(to)) return false;
    for (int64_t g = 0; is_affine && g < groups; ++g) {
      sums[r * padded_groups + g] = table.sum_of(to.x + g * w.group_size, w.group_size);
    }
  }
  const int64_t blocks = ceil_div(w.rows, block_rows);
  const int64_t parts = std::min<int64_t>(blocks, int64_t{num_threads()} * 16);
  share_out(parts, [&](int64_t part) {
    const Scratch scratch(static_cast<size_t>(2 * (block_rows * groups + beyond)) * sizeof(float));
    float* const scales = scratch.as<float>();
    float* const biases = scales + block_rows * groups + beyond;
    std::fill(scales, biases, 0.0f);
    for (int64_t block = blocks * part / parts; block < blocks * (part + 1) / parts; ++block) {
      const int64_t first = block * block_rows;
      const int64_t rows = std::min(block_rows, w.rows - first);
      widen_rows(first, rows, groups, w.scales_row_stride, scales,
                 [&](int64_t row, int64_t count, float* out) { widen_scales(w, row, 0, count, out); });
      if (is_affine) {
        const auto widen = table.widen[static_cast<size_t>(storage_of(w.scale_dtype))];
        widen_rows(first, rows, groups, w.biases_row_stride, biases,
                   [&](int64_t row, int64_t count, float* out) {
                     widen(w.biases + row * w.biases_row_stride * w.scale_dtype.size(), out, count);
                   });
      }
      float products[max_vector_rows * block_rows];
      CodeBytesDot dot;
      dot.bits = w.bits;
      dot.is_float = !is_affine;
      dot.group_size = w.group_size;
      dot.k = w.columns;
      dot.x_row_stride = bytes;
      dot.lanes_row_stride = lanes;
      dot.sums_row_stride = padded_groups;
      dot.codes = reinterpret_cast<const uint8_t*>(w.codes + first * w.codes_row_stride);
      dot.codes_row_stride = w.codes_row_stride * 4;
      dot.scales = scales;
      dot.biases = is_affine ? biases : nullptr;
      dot.scales_row_stride = groups;
      dot.w_rows = rows;
      dot.out_x_stride = block_rows;
      dot.out_w_stride = 1;
      dot.ahead = std::max(bytes_ahead, 4 * dot.codes_row_stride);
      for (int64_t r = 0; r < problem.m; r += max_code_rows) {
        dot.x = x_bytes + r * bytes;
        dot.steps = steps + r * lanes;
        dot.starts = starts + r * lanes;
        dot.sums = sums + r * padded_groups;
        dot.x_rows = std::min(max_code_rows, problem.m - r);
        dot.out = products + r * block_rows;
        table.code_bytes_dot(dot);
      }
      result.store(products, block_rows, 0, problem.m, first, rows);
    }
  });
  return true;
}

}  // namespace lazuli::templates
