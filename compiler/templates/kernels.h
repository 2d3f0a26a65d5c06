#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

/// The micro-kernels: the innermost loops of the templates, which know the vector unit. Drivers (blocking,
/// packing, threads) are written once, in C++, over this table; the table is filled with portable kernels
/// compiled ahead of time, or with kernels that LLVM generates for the machine at hand.
namespace lazuli::templates {

/// c[i][j] (+)= Σ_p a[i][p] * b[p][j], for i < rows and j < columns. Strides count elements.
template <typename T>
struct GemmTile {
  int64_t k = 0;
  const T* a = nullptr;
  int64_t a_row_stride = 0;
  int64_t a_k_stride = 0;
  /// Where a is not packed, depths may come in several runs of k, so far apart in a and in b.
  int64_t runs = 1;
  int64_t a_run_stride = 0;
  int64_t b_run_stride = 0;
  const T* b = nullptr;
  int64_t b_k_stride = 0;
  int64_t b_columns = 0;  ///< elements of b that can be read at each p; 0: those of a whole tile
  T* c = nullptr;
  int64_t c_row_stride = 0;
  int64_t rows = 0;     ///< 1 to `gemm_rows`
  int64_t columns = 0;  ///< 1 to `gemm_columns`
  int64_t accumulate = 0;
  /// Where rows of a lie as they are: the first of those that are needed next, or null. Fetched while the
  /// tile is computed, a line for each depth. A hint, which portable kernels pass over.
  const T* ahead = nullptr;
};

/// The most rows of x that `DotRows` and `AxpyRows` take.
inline constexpr int64_t max_vector_rows = 8;

/// out[r * out_x_stride + j * out_w_stride] = Σ_p x[r][p] * w[j][p], for r < x_rows and j < w_rows.
template <typename T>
struct DotRows {
  int64_t k = 0;
  const T* x = nullptr;
  int64_t x_row_stride = 0;
  int64_t x_rows = 0;
  const void* w = nullptr;  ///< of the dtype that the kernel is for
  int64_t w_row_stride = 0;
  int64_t w_rows = 0;
  T* out = nullptr;
  int64_t out_x_stride = 0;
  int64_t out_w_stride = 0;
  /// What is needed after this call, or null: as the rows of w are read, as many bytes from here on are asked
  /// for, one after another, for the second-level cache. A hint, which portable kernels pass over.
  const void* ahead = nullptr;
};

/// Up to so many columns, `AxpyRows` may pass over w several times, a part of the columns at a time; the
/// caller sees to it that k rows of w are then few enough to stay in cache.
inline constexpr int64_t narrow_columns = 256;

/// y[r][j] += Σ_p x[r * x_row_stride + p * x_k_stride] * w[p][j], for r < x_rows and j < columns.
template <typename T>
struct AxpyRows {
  int64_t k = 0;
  const T* x = nullptr;
  int64_t x_row_stride = 0;
  int64_t x_k_stride = 0;
  int64_t x_rows = 0;
  const void* w = nullptr;
  int64_t w_row_stride = 0;
  int64_t columns = 0;
  T* y = nullptr;
  int64_t y_row_stride = 0;
  const void* ahead = nullptr;  ///< as that of DotRows; heeded up to `narrow_columns`
};

/// What the codes and scales of a panel look like.
struct PanelFormat {
  int bits = 4;
  int group_size = 64;
  Dtype scale_dtype = float32;
};

/// One panel of 16 packed quantized rows (see quantized_layout.h) against `rows` rows of activations:
///   out[r][lane] = Σ_g (scale[g][lane] * step[r][g]) * Σ_p q[p][lane] * x[r][p] + bias[g][lane] * sum[r][g]
/// with g the group of p.
struct PanelDot {
  PanelFormat format;
  const std::byte* panel = nullptr;
  int64_t groups = 0;
  int64_t rows = 0;
  const void* x = nullptr;  ///< float or int8, as the kernel is
  int64_t x_row_stride = 0;
  const float* steps = nullptr;  ///< [rows, groups]; null: all one (float kernels only)
  const float* sums = nullptr;   ///< [rows, groups]
  int64_t groups_stride = 0;     ///< of steps and sums, between rows
  float* out = nullptr;
  int64_t out_row_stride = 0;
  /// Of what is needed later, asks for a line a group only, so that the processor's own fetching begins
  /// early, instead of for all lines. Heeded by kernels of int8 for one row. A hint, as what they ask for is.
  bool few_lines = false;
};

/// Rows of codes as they lie in MLX's layout, of 4 or 8 bits, against rows of activations:
///   out[r * out_x_stride + j * out_w_stride] = Σ_g scale[j][g] * Σ_p value(code[j][p]) * x[r][p]
/// with g the group of p, for r < x_rows and j < w_rows.
struct CodeDot {
  int bits = 4;
  bool is_float = false;  ///< whether codes are E2M1 and E4M3; else they are whole numbers
  int group_size = 32;    ///< 16, 32, 64 or 128
  int64_t k = 0;          ///< a multiple of `group_size`
  /// For 4 bits in tiles of 128 (the last one filled up with zeros), where element 8 i + t of a tile stands
  /// at 16 t + i; as they are for 8 bits.
  const float* x = nullptr;
  int64_t x_row_stride = 0;
  int64_t x_rows = 0;  ///< 1 to `max_code_rows`
  const uint8_t* codes = nullptr;
  int64_t codes_row_stride = 0;   ///< in bytes
  const float* scales = nullptr;  ///< 16 elements beyond the end can be read
  int64_t scales_row_stride = 0;
  int64_t w_rows = 0;
  float* out = nullptr;
  int64_t out_x_stride = 0;
  int64_t out_w_stride = 0;
  int64_t ahead = 0;  ///< so many bytes behind it, codes are asked for when a row is read
};
/// The most rows of x that `CodeDot` takes.
inline constexpr int64_t max_code_rows = 4;
inline constexpr int64_t code_tile = 128;

/// The same by byte dot products, for codes that are whole numbers (or E2M1, in 4 bits) and activations that
/// are, of 16 bits, 256 times one signed byte plus another.
struct CodeBytesDot {
  int bits = 4;
  bool is_float = false;
  int group_size = 32;  ///< 16, 32, 64 or 128
  int64_t k = 0;        ///< a multiple of `group_size`
  /// See `CodeBytes`; strides count elements.
  const int8_t* x = nullptr;
  int64_t x_row_stride = 0;
  const float* steps = nullptr;
  const int32_t* starts = nullptr;
  int64_t lanes_row_stride = 0;  ///< of steps and starts
  const float* sums = nullptr;   ///< of each group's activations, where there are biases
  int64_t sums_row_stride = 0;
  int64_t x_rows = 0;  ///< 1 to `max_code_rows`
  const uint8_t* codes = nullptr;
  int64_t codes_row_stride = 0;
  const float* scales = nullptr;  ///< 16 elements beyond the end can be read
  const float* biases = nullptr;  ///< or null; rows lie as those of scales
  int64_t scales_row_stride = 0;
  int64_t w_rows = 0;
  float* out = nullptr;
  int64_t out_x_stride = 0;
  int64_t out_w_stride = 0;
  int64_t ahead = 0;  ///< as that of CodeDot
};

/// A row of activations for `CodeBytesDot`, in tiles that meet 64 bytes of codes. False where an activation
/// is not finite, or all of a group's are too small.
struct CodeBytes {
  int bits = 4;
  bool is_float = false;
  int group_size = 32;
  int64_t k = 0;
  const float* x = nullptr;
  /// For each tile and place of codes in a byte (the last tile filled up with zeros): 64 upper bytes, then 64
  /// lower ones.
  int8_t* bytes = nullptr;
  float* steps = nullptr;     ///< what the unit is, for each of a tile's 16 words of codes
  int32_t* starts = nullptr;  ///< what makes up for E2M1 as numbers from zero on, for each of them
};

/// Attention's products with quantized keys and values, as codes of 4 or 8 bits in MLX's layout. Of `keys`
/// rows of codes, each of `groups` groups, row j has scales[g * scales_stride + j] and biases likewise, of
/// which 16 can be read from every multiple of 16 on.
inline constexpr int64_t max_code_queries = 4;
inline constexpr int64_t max_code_keys = 128;

/// out[r * out_row_stride + j] = factors[r] * Σ_g (scale[g][j] * Σ_p code[j][p] * x[r][p] + bias[g][j] *
/// sums[g][r]) with p in group g, for r < rows and j < keys; 16 elements are written from every multiple
/// of 16.
struct CodeScores {
  int bits = 4;
  int64_t group_size = 64;
  int64_t groups = 0;
  int64_t rows = 0;  ///< 1 to `max_code_queries`
  /// Whole numbers of 16 bits, 256 times one signed byte plus another. For each word of codes (and for 4
  /// bits, first the lower halves of its bytes, then the upper ones) and each row there are four of the upper
  /// bytes, then four of the lower ones.
  const int32_t* x = nullptr;
  const float* sums = nullptr;     ///< of a group's x: [groups, rows]
  const float* factors = nullptr;  ///< [rows]
  const uint8_t* codes = nullptr;
  int64_t codes_row_stride = 0;  ///< in bytes
  const float* scales = nullptr;
  const float* biases = nullptr;
  int64_t scales_stride = 0;
  int64_t keys = 0;
  float* out = nullptr;
  int64_t out_row_stride = 0;
  const uint8_t* ahead = nullptr;  ///< as that of DotRows, for as many bytes as the codes are
};

/// Weights x of at most `max_code_keys` keys, times scales, as whole numbers of 16 bits in two bytes,
/// out[((g * rows + r) * 2 + part) * out_stride + j], upper bytes first, steps[g * rows + r] apart, and
/// bias_sums[g * rows + r] = Σ_j x[r][j] * bias[g][j]. Bytes up to a multiple of 64 are zero. Returns false
/// where weights or scales are not finite.
struct CodeWeights {
  int64_t groups = 0;
  int64_t rows = 0;
  const float* x = nullptr;
  int64_t x_row_stride = 0;
  const float* scales = nullptr;
  const float* biases = nullptr;
  int64_t scales_stride = 0;
  int64_t keys = 0;
  int8_t* out = nullptr;
  int64_t out_stride = 0;
  float* steps = nullptr;
  float* bias_sums = nullptr;
};
/// The largest whole number that weights become: its upper byte is 127.
inline constexpr float code_weight_levels = 127 * 256;

/// out[r * out_row_stride + c] += steps[g][r] * Σ_j code[j][c] * weight[g][r][j] + biases[g][r] with c in
/// group g, for r < rows: see `CodeWeights`.
struct CodeSums {
  int bits = 4;
  int64_t group_size = 64;
  int64_t groups = 0;
  int64_t rows = 0;  ///< 1 to `max_code_queries`
  const int8_t* weights = nullptr;
  int64_t weights_stride = 0;
  const float* steps = nullptr;
  const float* biases = nullptr;
  const uint8_t* codes = nullptr;
  int64_t codes_row_stride = 0;  ///< in bytes
  int64_t keys = 0;
  float* out = nullptr;
  int64_t out_row_stride = 0;
  const uint8_t* ahead = nullptr;
};

enum class Storage : uint8_t { float32, float16, bfloat16 };
inline constexpr int storage_count = 3;

/// The storage of a dtype that float32 arithmetic reads.
constexpr Storage storage_of(Dtype dtype) {
  return dtype == float16 ? Storage::float16 : dtype == bfloat16 ? Storage::bfloat16 : Storage::float32;
}

using PanelDotFunction = void (*)(const PanelDot&);

template <typename T>
struct GemmKernel {
  int64_t rows = 0;     ///< of a full tile
  int64_t columns = 0;  ///< of a full tile; a multiple of 16 for float, of 8 for double
  void (*run)(const GemmTile<T>&) = nullptr;
};

/// A stage of Fourier transforms of rows side by side (fft_plan.h): transforms of `length`, `stride` of them
/// one after another, are cut in `radix` parts.
struct FftStage {
  int radix = 2;  ///< 2 to 8, 10 to 13, 15 or 16
  int64_t length = 2;
  int64_t stride = 1;
  const float* twiddles = nullptr;  ///< for each p below length / radix, j from 1 to radix - 1: re, im
  const float* from = nullptr;
  float* to = nullptr;
  /// In the last stage, whose length is the radix, how many of the `stride` elements beside each other are
  /// taken, and where they go: so far apart. In others all are.
  int64_t columns = 1;
};

struct Kernels {
  const char* name = "";
  GemmKernel<float> gemm_float;
  GemmKernel<double> gemm_double;
  /// The same with more columns and fewer rows, for left operands of which one stride, of rows or of depths,
  /// is 1: packed ones and those that are read where they lie.
  GemmKernel<float> wide_gemm_float;
  GemmKernel<double> wide_gemm_double;
  std::array<void (*)(const DotRows<float>&), storage_count> dot_rows{};
  void (*dot_rows_double)(const DotRows<double>&) = nullptr;
  std::array<void (*)(const AxpyRows<float>&), storage_count> axpy_rows{};
  void (*axpy_rows_double)(const AxpyRows<double>&) = nullptr;
  /// The same of bfloat16 in pairs: an element of x, of the size of a float, holds the values at depths 2 p
  /// and 2 p + 1, and so does one of w in `dot_pairs`; k and strides count them. In `axpy_pairs` w is
  /// bfloat16 as it lies: k counts pairs of its rows, its stride single values. At most `narrow_columns`
  /// columns. Products are summed in float32. Null where `bfloat16_gemm_kernel` is.
  void (*dot_pairs)(const DotRows<float>&) = nullptr;
  void (*axpy_pairs)(const AxpyRows<float>&) = nullptr;

  /// dst[i] = src[i], converted from or to the storage.
  std::array<void (*)(const void* src, float* dst, int64_t count), storage_count> widen{};
  std::array<void (*)(const float* src, void* dst, int64_t count), storage_count> narrow{};
  /// Lanes side by side into panels of `width` lanes, k_count * width elements each:
  /// panels[i / width * k_count * width + p * width + i % width] = src[p * k_stride + i] for i < count.
  void (*copy_lanes)(const float* src, int64_t k_stride, int64_t count, int64_t k_count, int64_t width,
                     float* panels) = nullptr;
  /// panel[p * width + i] = (src[2 * p * k_stride + i], src[(2 * p + 1) * k_stride + i]), two halves of a
  /// word, for p < pairs and i < count.
  void (*interleave)(const uint16_t* src, int64_t k_stride, int64_t count, int64_t pairs, int64_t width,
                     float* panel) = nullptr;
  /// dst[c * dst_row_stride + r] = src[r * src_row_stride + c].
  void (*transpose)(const float* src, int64_t src_row_stride, int64_t rows, int64_t columns, float* dst,
                    int64_t dst_row_stride) = nullptr;

  /// y[i * y_step + c] = Σ_t x[t][i * x_step + c] * w[t][c], for i < count and c < columns.
  void (*sum_tap_products)(const float* const* x, int64_t x_step, const float* const* w, int64_t taps,
                           int64_t count, int64_t columns, float* y, int64_t y_step) = nullptr;
  /// w[t][c] += Σ_i x[t][i * x_step + c] * y[i * y_step + c], for t < taps and c < columns.
  void (*add_tap_products)(const float* const* x, int64_t x_step, const float* y, int64_t y_step,
                           int64_t taps, int64_t count, int64_t columns, float* const* w) = nullptr;

  /// For Fourier transforms (fft_plan.h); strides count floats. `exchanged` takes or leaves real and
  /// imaginary parts in each other's place.
  void (*fft_stage)(const FftStage&) = nullptr;
  /// The largest product of radices that is a stage of its own.
  int fft_largest_product = 4;
  /// Elements of `count` rows, `stride` apart, into lanes. As many bytes as these take are asked for from
  /// `ahead` on, if that is not null (a hint).
  void (*fft_from_rows)(const float* from, int64_t stride, int64_t count, int64_t length, bool exchanged,
                        float* to, const float* ahead) = nullptr;
  /// And back, past the caches if so told (all rows begin at lines then). What lies at `from` is lost.
  void (*fft_to_rows)(float* from, int64_t length, bool exchanged, int64_t count, float* to, int64_t stride,
                      bool past_caches) = nullptr;
  /// The same where the lanes of an element lie beside each other, elements `stride` apart.
  void (*fft_from_columns)(const float* from, int64_t stride, int64_t count, int64_t length, bool exchanged,
                           float* to) = nullptr;
  void (*fft_to_columns)(const float* from, int64_t length, bool exchanged, int64_t count, float* to,
                         int64_t stride) = nullptr;
  /// Multiplies elements k of the lanes by of_block[k] * of_lanes[k][lane], and makes each 16 elements lanes,
  /// the first `count` lanes elements, at `to` and `to_stride` further on. There is room for 16 elements
  /// behind the last one at `x`, whose contents are lost.
  void (*fft_turn)(float* x, int64_t length, const float* of_block, const float* of_lanes, int64_t count,
                   float* to, int64_t to_stride) = nullptr;
  /// The passes between real rows and complex ones of half the length (fft_real.cpp), for k in [begin, end],
  /// at most half / 2.
  void (*fft_put_together)(const float* z, int64_t half, const float* cosines, const float* sines,
                           int64_t begin, int64_t end, float* out) = nullptr;
  void (*fft_take_apart)(const float* in, int64_t half, const float* cosines, const float* sines,
                         float factor, int64_t begin, int64_t end, float* z) = nullptr;

  PanelDotFunction (*panel_dot_float)(const PanelFormat&) = nullptr;
  PanelDotFunction (*panel_dot_int8)(const PanelFormat&) = nullptr;
  /// The most rows of a call of the above.
  int64_t panel_rows = 0;
  /// out[p * out_stride + lane] = scale * q + bias for columns [first, first + count) of a packed panel, both
  /// multiples of 32.
  void (*panel_dequantize)(const PanelFormat& format, const std::byte* panel, int64_t first, int64_t count,
                           float* out, int64_t out_stride) = nullptr;
  /// out[i] = scale * q[i] + bias for codes that lie one after another in a bit stream, as in MLX's layout;
  /// `count` is a multiple of 8 and `src` the byte in which the first code begins.
  void (*dequantize)(int bits, const uint8_t* src, int64_t count, float scale, float bias,
                     float* out) = nullptr;
  /// out[i] = scale * value of code i, for floating point codes: of 4 bits (E2M1), two in a byte, or of 8
  /// (E4M3).
  void (*widen_e2m1)(const uint8_t* codes, float scale, int64_t count, float* out) = nullptr;
  void (*widen_e4m3)(const uint8_t* codes, float scale, int64_t count, float* out) = nullptr;
  /// out[i] = 2^(code - 127), or infinity for the last code (E8M0).
  void (*widen_e8m0)(const uint8_t* codes, int64_t count, float* out) = nullptr;
  /// Null where there is no way that is faster than widening codes first.
  void (*code_dot)(const CodeDot&) = nullptr;
  /// Null, all of them, where there are no byte dot products.
  void (*code_bytes_dot)(const CodeBytesDot&) = nullptr;
  bool (*code_bytes)(const CodeBytes&) = nullptr;
  void (*score_codes)(const CodeScores&) = nullptr;
  bool (*code_weights)(const CodeWeights&) = nullptr;
  void (*sum_codes)(const CodeSums&) = nullptr;
  /// out[g * out_stride + j] = rows[j * groups + g] as floats, for j < keys and g < groups; j may go on to a
  /// multiple of 16.
  void (*scales_by_group)(const std::byte* rows, Storage storage, int64_t keys, int64_t groups, float* out,
                          int64_t out_stride) = nullptr;
  /// One group of activations as int8, by the formula at `Activations::int8`. Returns the step (NaN if a
  /// value is not finite; the codes are zero then) and sets the sum of the codes.
  float (*quantize_group)(const float* x, int64_t count, int8_t* codes, int32_t* sum) = nullptr;
  /// The sum of x[0..count), in several chains.
  float (*sum_of)(const float* x, int64_t count) = nullptr;

  /// The largest of s[0..count), ignoring NaN; -inf if there is none.
  float (*max_of)(const float* s, int64_t count) = nullptr;
  /// s[i] = exp(s[i] - max); returns their sum.
  float (*exp_sum)(float* s, int64_t count, float max) = nullptr;
  /// p[i] = exp(scale * s[i] - max), rounded to bfloat16; returns the sum of what was rounded.
  float (*exp_sum_bfloat16)(const float* s, int64_t count, float scale, float max, uint16_t* p) = nullptr;
  /// s[i] = cap * tanh(s[i] / cap)
  void (*soft_cap)(float* s, int64_t count, float cap) = nullptr;
  /// s[i] *= factor
  void (*scale)(float* s, int64_t count, float factor) = nullptr;
};

/// The table to use now: by `jit_mode()` and the machine.
const Kernels& kernels();

/// The table whose entries are generated for this machine (or the one below, where nothing is).
const Kernels& generated_kernels();

/// The kernel for bfloat16 operands in pairs: an element of a or b, of the size of a float, holds the values
/// at depths 2 p and 2 p + 1, and a_row_stride is 1, a_k_stride the kernel's rows. Null where the machine has
/// no such instruction, or float32 arithmetic is as fast, which is measured when this is first asked for.
const GemmKernel<float>* bfloat16_gemm_kernel();

/// The ahead-of-time table for this machine, and the one that any machine can run.
const Kernels& portable_kernels();
const Kernels& baseline_kernels();

}  // namespace lazuli::templates
