#include <lazuli/compiler/templates/attention_pairs.h>

#include <algorithm>
#include <cstring>

#include <lazuli/array/half.h>
#include <lazuli/compiler/templates/packing.h>

namespace lazuli::templates {

namespace {

constexpr int64_t key_tile = attention_key_tile;

}  // namespace

bool attention_takes_pairs(const AttentionProblem& problem, bool few_rows) {
  if (problem.queries.dtype != bfloat16 || problem.keys.dtype != bfloat16 ||
      problem.values.dtype != bfloat16) {
    return false;
  }
  if (few_rows &&
      (problem.head_dim % 2 != 0 || problem.keys.row_stride % 2 != 0 || problem.value_dim > narrow_columns)) {
    return false;
  }
  return kernels().dot_pairs != nullptr && bfloat16_gemm_kernel() != nullptr;
}

AttentionPanelSizes attention_pair_panels(const AttentionProblem& problem) {
  const int64_t columns = bfloat16_gemm_kernel()->columns;
  return {round_up(key_tile, columns) * ceil_div(problem.head_dim, 2),
          round_up(problem.value_dim, columns) * key_tile / 2};
}

AttentionPairs::AttentionPairs(const AttentionProblem& problem, const AttentionBlock& block,
                               const AttentionState& state, bool few_rows, AttentionPanels* kept)
    : problem_(problem),
      block_(block),
      state_(state),
      table_(kernels()),
      kernel_(*bfloat16_gemm_kernel()),
      rows_(block.rows()),
      query_pairs_(ceil_div(problem.head_dim, 2)),
      few_rows_(few_rows),
      keys_(problem.keys, block.batch, block.kv_head),
      values_(problem.values, block.batch, block.kv_head),
      memory_(static_cast<size_t>(round_up(rows_, kernel_.rows) * round_up(query_pairs_, 16) +
                                  rows_at_once() * key_tile / 2 + kernel_.rows * key_tile / 2 +
                                  (few_rows ? 0 : attention_pair_panels(problem).both())) *
              sizeof(float)),
      queries_(memory_.as<float>()),
      weights_(
          reinterpret_cast<uint16_t*>(queries_ + round_up(rows_, kernel_.rows) * round_up(query_pairs_, 16))),
      weight_panel_(reinterpret_cast<float*>(weights_ + rows_at_once() * key_tile)),
      panels_(weight_panel_ + kernel_.rows * key_tile / 2),
      kept_(few_rows ? nullptr : kept) {
  if (kept_ != nullptr) kept_->turn_to(block.batch, block.kv_head);
  const Scratch copied(few_rows ? 0 : static_cast<size_t>(rows_ * problem.head_dim) * sizeof(uint16_t));
  uint16_t* const rows = few_rows ? reinterpret_cast<uint16_t*>(queries_) : copied.as<uint16_t>();
  for (int64_t row = 0; row < rows_; ++row) {
    std::memcpy(rows + row * problem.head_dim,
                HeadRows(problem.queries, block.batch, block.head(row)).at(block.query(row)),
                static_cast<size_t>(problem.head_dim) * sizeof(uint16_t));
  }
  if (few_rows) return;
  pack_bfloat16_pairs({reinterpret_cast<const std::byte*>(rows), bfloat16, problem.head_dim, 1},
                      problem.head_dim, 0, rows_, 0, query_pairs_, kernel_.rows, queries_);
}

void AttentionPairs::take(int64_t key, int64_t count) {
  key_ = key;
  count_ = count;
  if (few_rows_) return;
  if (keeps(key)) {
    const int64_t tile = key / key_tile;
    key_panels_ = kept_->keys(tile, [&](int64_t k, int64_t n, float* panels) { pack_keys(k, n, panels); });
    value_panels_ =
        kept_->values(tile, [&](int64_t k, int64_t n, float* panels) { pack_values(k, n, panels); });
    value_pairs_ = ceil_div(kept_->keys_in(tile), 2);
    return;
  }
  float* const values = panels_ + attention_pair_panels(problem_).keys;
  pack_keys(key, count, panels_);
  pack_values(key, count, values);
  value_pairs_ = ceil_div(count, 2);
  key_panels_ = panels_;
  value_panels_ = values;
}

void AttentionPairs::pack_keys(int64_t key, int64_t count, float* panels) const {
  pack_bfloat16_pairs({keys_.data, bfloat16, keys_.stride, 1}, problem_.head_dim, key, count, 0, query_pairs_,
                      kernel_.columns, panels);
}

void AttentionPairs::pack_values(int64_t key, int64_t count, float* panels) const {
  pack_bfloat16_pairs({values_.at(key), bfloat16, 1, values_.stride}, count, 0, problem_.value_dim, 0,
                      ceil_div(count, 2), kernel_.columns, panels);
}

void AttentionPairs::score(int64_t row, AttentionKeys keys, float* scores) {
  few_rows_ ? score_few_rows(scores) : score_tiles(row, keys, scores);
}

void AttentionPairs::sum(int64_t row, AttentionKeys keys) {
  few_rows_ ? sum_few_rows() : sum_tiles(row, keys);
}

float AttentionPairs::set_weights(int64_t row, AttentionKeys keys, const float* s, float scale,
                                  float largest) {
  if (keys.count() % 2 != 0) weights(row)[keys.end] = 0;
  return table_.exp_sum_bfloat16(s, keys.count(), scale, largest, weights(row) + keys.begin);
}

void AttentionPairs::clear_weights(int64_t row, AttentionKeys keys) {
  std::fill_n(weights(row) + keys.begin, round_up(keys.count(), 2), uint16_t{0});
}

// As with other dtypes, keys and values of few rows are fetched in turns.

void AttentionPairs::score_few_rows(float* scores) const {
  for (int64_t row = 0; row < rows_; row += max_vector_rows) {
    DotRows<float> dot;
    dot.k = query_pairs_;
    dot.x = queries_ + row * query_pairs_;
    dot.x_row_stride = query_pairs_;
    dot.x_rows = std::min(max_vector_rows, rows_ - row);
    dot.w = keys_.at(key_);
    dot.w_row_stride = keys_.stride / 2;
    dot.w_rows = count_;
    dot.out = scores + row * key_tile;
    dot.out_x_stride = key_tile;
    dot.out_w_stride = 1;
    if (row == 0 && values_.stride == problem_.value_dim) dot.ahead = values_.at(key_);
    table_.dot_pairs(dot);
  }
}

void AttentionPairs::sum_few_rows() const {
  for (int64_t row = 0; row < rows_; row += max_vector_rows) {
    AxpyRows<float> axpy;
    axpy.k = count_ / 2;
    axpy.x = reinterpret_cast<const float*>(weights(row));
    axpy.x_row_stride = key_tile / 2;
    axpy.x_k_stride = 1;
    axpy.x_rows = std::min(max_vector_rows, rows_ - row);
    axpy.w = values_.at(key_);
    axpy.w_row_stride = values_.stride;
    axpy.columns = problem_.value_dim;
    axpy.y = sums(row);
    axpy.y_row_stride = state_.values_stride;
    if (row == 0 && keys_.stride == problem_.head_dim && key_ + count_ < block_.key_end) {
      axpy.ahead = keys_.at(key_ + count_);
    }
    if (axpy.k > 0) table_.axpy_pairs(axpy);
    if (count_ % 2 == 0) continue;
    float last[max_vector_rows];
    for (int64_t r = 0; r < axpy.x_rows; ++r) {
      last[r] = half_detail::bfloat16_bits_to_float(weights(row + r)[count_ - 1]);
    }
    axpy.k = 1;
    axpy.x = last;
    axpy.x_row_stride = 1;
    axpy.w = values_.at(key_ + count_ - 1);
    axpy.ahead = nullptr;
    table_.axpy_rows[static_cast<size_t>(Storage::bfloat16)](axpy);
  }
}

void AttentionPairs::score_tiles(int64_t row, AttentionKeys keys, float* scores) const {
  GemmTile<float> tile;
  tile.k = query_pairs_;
  tile.rows = std::min(kernel_.rows, rows_ - row);
  tile.a = queries_ + row * query_pairs_;
  tile.a_row_stride = 1;
  tile.a_k_stride = kernel_.rows;
  tile.b_k_stride = kernel_.columns;
  tile.c_row_stride = key_tile;
  for (int64_t j = keys.begin / kernel_.columns * kernel_.columns; j < keys.end; j += kernel_.columns) {
    tile.columns = std::min(kernel_.columns, keys.end - j);
    tile.b = key_panels_ + j * query_pairs_;
    tile.c = scores + j;
    kernel_.run(tile);
  }
}

void AttentionPairs::sum_tiles(int64_t row, AttentionKeys keys) const {
  GemmTile<float> tile;
  tile.k = ceil_div(keys.count(), 2);
  tile.rows = std::min(kernel_.rows, rows_ - row);
  tile.a = weight_panel_;
  tile.a_row_stride = 1;
  tile.a_k_stride = kernel_.rows;
  tile.b_k_stride = kernel_.columns;
  tile.c_row_stride = state_.values_stride;
  tile.accumulate = 1;
  tile.columns = kernel_.columns;
  table_.transpose(reinterpret_cast<const float*>(weights(row) + keys.begin), key_tile / 2, tile.rows, tile.k,
                   weight_panel_, kernel_.rows);
  for (int64_t j = 0; j < problem_.value_dim; j += kernel_.columns) {
    tile.b = value_panels_ + j * value_pairs_ + keys.begin / 2 * kernel_.columns;
    tile.c = sums(row) + j;
    kernel_.run(tile);
  }
}

}  // namespace lazuli::templates
