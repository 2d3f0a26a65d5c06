#include <lazuli/compiler/templates/attention_codes.h>

#include <algorithm>
#include <cmath>

#include <lazuli/compiler/templates/quantized_codes.h>

namespace lazuli::templates {

namespace {

constexpr int64_t key_tile = attention_key_tile;
static_assert(key_tile <= max_code_keys);

/// What a head's rows are as a matrix.
QuantizedMatrix matrix_of(const AttentionProblem& problem, const AttentionBlock& block,
                          const HeadsView& codes, const HeadsView& scales, const HeadsView& biases,
                          int64_t columns) {
  const auto of_head = [&](const HeadsView& view) { return HeadRows(view, block.batch, block.kv_head).data; };
  QuantizedMatrix matrix;
  matrix.codes = reinterpret_cast<const uint32_t*>(of_head(codes));
  matrix.scales = of_head(scales);
  matrix.biases = of_head(biases);
  matrix.scale_dtype = scales.dtype;
  matrix.rows = problem.key_length;
  matrix.columns = columns;
  matrix.codes_row_stride = codes.row_stride;
  matrix.scales_row_stride = scales.row_stride;
  matrix.biases_row_stride = biases.row_stride;
  matrix.bits = problem.bits;
  matrix.group_size = problem.group_size;
  return matrix;
}

int64_t groups_of(const QuantizedMatrix& matrix) {
  return matrix.columns / matrix.group_size;
}

const uint8_t* codes_of(const QuantizedMatrix& matrix, int64_t row) {
  return reinterpret_cast<const uint8_t*>(matrix.codes + row * matrix.codes_row_stride);
}

int64_t row_bytes(const QuantizedMatrix& matrix) {
  return matrix.codes_row_stride * static_cast<int64_t>(sizeof(uint32_t));
}

/// Whether codes lie one row after another, so that they can be asked for as one stream.
bool is_stream(const QuantizedMatrix& matrix) {
  return row_bytes(matrix) == matrix.columns * matrix.bits / 8;
}

void widen_rows(const QuantizedMatrix& matrix, int64_t first, int64_t count, float* rows, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) {
    dequantize_row(matrix, first + i, 0, matrix.columns, rows + i * stride);
  }
}

}  // namespace

AttentionCodes::AttentionCodes(const AttentionProblem& problem, const AttentionBlock& block)
    : keys_(
          matrix_of(problem, block, problem.keys, problem.key_scales, problem.key_biases, problem.head_dim)),
      values_(matrix_of(problem, block, problem.values, problem.value_scales, problem.value_biases,
                        problem.value_dim)),
      key_end_(block.key_end),
      rows_(block.rows()) {}

void AttentionCodes::widen_keys(int64_t key, int64_t count, float* rows) const {
  widen_rows(keys_, key, count, rows, keys_.columns);
}

void AttentionCodes::widen_values(int64_t key, int64_t count, float* rows, int64_t stride) const {
  widen_rows(values_, key, count, rows, stride);
}

bool AttentionCodes::take_queries(const float* queries) {
  if (kernels().score_codes == nullptr || (keys_.bits != 4 && keys_.bits != 8)) return false;
  const int64_t count = rows_ * keys_.columns;
  if (!std::all_of(queries, queries + count, [](float x) { return std::isfinite(x); })) return false;

  const int64_t key_groups = groups_of(keys_);
  const int64_t value_groups = groups_of(values_);
  const int64_t floats = 2 * std::max(key_groups, value_groups) * key_tile + rows_ * (key_groups + 1) +
                         2 * max_code_queries * value_groups;
  const int64_t weight_bytes = value_groups * max_code_queries * 2 * key_tile;
  memory_.emplace(static_cast<size_t>(weight_bytes + 2 * count) +
                  static_cast<size_t>(floats) * sizeof(float));
  weights_ = memory_->as<int8_t>();
  x_ = weights_ + weight_bytes;
  scales_ = reinterpret_cast<float*>(x_ + 2 * count);
  query_sums_ = scales_ + 2 * std::max(key_groups, value_groups) * key_tile;
  factors_ = query_sums_ + rows_ * key_groups;
  steps_ = factors_ + rows_;
  bias_sums_ = steps_ + max_code_queries * value_groups;
  for (int64_t row = 0; row < rows_; row += max_code_queries) {
    take_row_group(queries, row, std::min(max_code_queries, rows_ - row));
  }
  return true;
}

/// Rows that a call of the kernel takes, in its order.
void AttentionCodes::take_row_group(const float* queries, int64_t first, int64_t rows) {
  const int64_t columns = keys_.columns;
  // Powers of two: of the codes in a byte, and of those in a word.
  const int place_bits = keys_.bits == 4 ? 1 : 0;
  const int word_bits = 2 + place_bits;
  const int64_t places = int64_t{1} << place_bits;
  const int64_t codes_a_word = int64_t{1} << word_bits;
  int8_t* const x = x_ + first * columns * 2;
  float* const sums = query_sums_ + first * groups_of(keys_);
  for (int64_t r = 0; r < rows; ++r) {
    const float* query = queries + (first + r) * columns;
    float largest = 0;
    for (int64_t p = 0; p < columns; ++p) largest = std::max(largest, std::abs(query[p]));
    const float step = largest / code_weight_levels;
    const float inverse = step < 0x1p-126f ? 0.0f : 1.0f / step;
    constexpr float magic = 0x1.8p23f;  // rounds what is added to it
    factors_[first + r] = step;
    for (int64_t g = 0; g < groups_of(keys_); ++g) {
      int32_t sum = 0;
      for (int64_t p = g * keys_.group_size; p < (g + 1) * keys_.group_size; ++p) {
        const auto whole = static_cast<int32_t>((query[p] * inverse + magic) - magic);
        const int32_t upper = (whole + 128) >> 8;
        sum += whole;
        const int64_t word = (p >> word_bits << place_bits) + (p & (places - 1));
        int8_t* const at = x + (word * rows + r) * 8 + ((p & (codes_a_word - 1)) >> place_bits);
        at[0] = static_cast<int8_t>(upper);
        at[4] = static_cast<int8_t>(whole - upper * 256);
      }
      sums[g * rows + r] = static_cast<float>(sum);
    }
  }
}

void AttentionCodes::set_scales(const QuantizedMatrix& matrix, int64_t key, int64_t count,
                                float* scales) const {
  const Kernels& table = kernels();
  const int64_t groups = groups_of(matrix);
  const Storage storage = storage_of(matrix.scale_dtype);
  const auto set = [&](const std::byte* data, int64_t stride, float* out) {
    const int64_t size = matrix.scale_dtype.size();
    if (stride == groups || count == 1) {
      // Those of the next tile, which are too few for the processor to see a stream in time.
      const std::byte* next = data + (key + count) * groups * size;
      for (int64_t at = 0; key + count < key_end_ && at < count * groups * size; at += 64) {
        __builtin_prefetch(next + at, 0, 2);
      }
      return table.scales_by_group(data + key * stride * size, storage, count, groups, out, key_tile);
    }
    float row[key_tile];
    for (int64_t j = 0; j < count; ++j) {
      for (int64_t g = 0; g < groups; g += key_tile) {
        const int64_t some = std::min(key_tile, groups - g);
        table.widen[static_cast<size_t>(storage)](data + ((key + j) * stride + g) * size, row, some);
        for (int64_t i = 0; i < some; ++i) out[(g + i) * key_tile + j] = row[i];
      }
    }
  };
  set(matrix.scales, matrix.scales_row_stride, scales);
  set(matrix.biases, matrix.biases_row_stride, scales + groups * key_tile);
}

void AttentionCodes::score(int64_t key, int64_t count, float* scores) {
  set_scales(keys_, key, count, scales_);
  CodeScores call;
  call.bits = keys_.bits;
  call.group_size = keys_.group_size;
  call.groups = groups_of(keys_);
  call.codes = codes_of(keys_, key);
  call.codes_row_stride = row_bytes(keys_);
  call.scales = scales_;
  call.biases = scales_ + call.groups * key_tile;
  call.scales_stride = key_tile;
  call.keys = count;
  call.out_row_stride = key_tile;
  for (int64_t row = 0; row < rows_; row += max_code_queries) {
    call.rows = std::min(max_code_queries, rows_ - row);
    call.x = reinterpret_cast<const int32_t*>(x_ + row * keys_.columns * 2);
    call.sums = query_sums_ + row * call.groups;
    call.factors = factors_ + row;
    call.out = scores + row * key_tile;
    call.ahead = row == 0 && is_stream(values_) ? codes_of(values_, key) : nullptr;
    kernels().score_codes(call);
  }
}

bool AttentionCodes::sum(int64_t key, int64_t count, const float* weights, float* sums, int64_t stride) {
  set_scales(values_, key, count, scales_);
  CodeWeights prepare;
  prepare.groups = groups_of(values_);
  prepare.x_row_stride = key_tile;
  prepare.scales = scales_;
  prepare.biases = scales_ + prepare.groups * key_tile;
  prepare.scales_stride = key_tile;
  prepare.keys = count;
  prepare.out = weights_;
  prepare.out_stride = key_tile;
  prepare.steps = steps_;
  prepare.bias_sums = bias_sums_;
  CodeSums call;
  call.bits = values_.bits;
  call.group_size = values_.group_size;
  call.groups = prepare.groups;
  call.weights = weights_;
  call.weights_stride = key_tile;
  call.steps = steps_;
  call.biases = bias_sums_;
  call.codes = codes_of(values_, key);
  call.codes_row_stride = row_bytes(values_);
  call.keys = count;
  call.out_row_stride = stride;
  for (int64_t row = 0; row < rows_; row += max_code_queries) {
    prepare.rows = call.rows = std::min(max_code_queries, rows_ - row);
    prepare.x = weights + row * key_tile;
    // All rows have the same scales.
    if (!kernels().code_weights(prepare)) return false;
    call.out = sums + row * stride;
    call.ahead =
        row == 0 && is_stream(keys_) && key + count < key_end_ ? codes_of(keys_, key + count) : nullptr;
    kernels().sum_codes(call);
  }
  return true;
}

}  // namespace lazuli::templates
