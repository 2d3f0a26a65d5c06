#include <lazuli/compiler/templates/attention_tiles.h>

#include <algorithm>

#include <lazuli/compiler/templates/packing.h>

namespace lazuli::templates {

namespace {

constexpr int64_t key_tile = attention_key_tile;

}  // namespace

AttentionPanelSizes attention_tile_panels(const AttentionProblem& problem) {
  const int64_t columns = kernels().gemm_float.columns;
  const bool reads_values =
      problem.bits == 0 && problem.values.dtype == float32 && problem.value_dim % columns == 0;
  return {round_up(key_tile, columns) * problem.head_dim,
          reads_values ? 0 : key_tile * attention_values_stride(problem)};
}

AttentionTiles::AttentionTiles(const AttentionProblem& problem, const AttentionBlock& block,
                               const AttentionState& state, const float* queries, const AttentionCodes* codes,
                               AttentionPanels* kept)
    : problem_(problem),
      state_(state),
      table_(kernels()),
      queries_(queries),
      codes_(codes),
      kept_(kept),
      keys_(problem.keys, block.batch, block.kv_head),
      values_(problem.values, block.batch, block.kv_head),
      sizes_(attention_tile_panels(problem)),
      memory_(static_cast<size_t>((kept == nullptr ? sizes_.both() : 0) +
                                  (codes == nullptr ? 0 : key_tile * problem.head_dim)) *
              sizeof(float)),
      panels_(memory_.as<float>()),
      widened_keys_(panels_ + (kept == nullptr ? sizes_.both() : 0)),
      value_stride_(sizes_.values == 0 ? values_.stride : state.values_stride) {
  if (kept_ != nullptr) kept_->turn_to(block.batch, block.kv_head);
}

void AttentionTiles::take(int64_t key, int64_t count) {
  if (sizes_.values == 0) value_rows_ = reinterpret_cast<const float*>(values_.at(key));
  if (kept_ != nullptr) {
    const int64_t tile = key / key_tile;
    key_panels_ = kept_->keys(tile, [&](int64_t k, int64_t n, float* panels) { pack_keys(k, n, panels); });
    if (sizes_.values == 0) return;
    value_rows_ = kept_->values(tile, [&](int64_t k, int64_t n, float* rows) { widen_values(k, n, rows); });
    return;
  }
  pack_keys(key, count, panels_);
  key_panels_ = panels_;
  if (sizes_.values == 0) return;
  widen_values(key, count, panels_ + sizes_.keys);
  value_rows_ = panels_ + sizes_.keys;
}

void AttentionTiles::pack_keys(int64_t key, int64_t count, float* panels) const {
  const int64_t columns = table_.gemm_float.columns;
  LanesView lanes{keys_.at(key), keys_.dtype, keys_.stride, 1};
  if (codes_ != nullptr) {
    codes_->widen_keys(key, count, widened_keys_);
    lanes = {reinterpret_cast<const std::byte*>(widened_keys_), float32, problem_.head_dim, 1};
  }
  for (int64_t j = 0; j < count; j += columns) {
    pack_panels(lanes, j, std::min(columns, count - j), 0, problem_.head_dim, columns,
                panels + j * problem_.head_dim);
  }
}

void AttentionTiles::widen_values(int64_t key, int64_t count, float* rows) const {
  if (codes_ != nullptr) codes_->widen_values(key, count, rows, value_stride_);
  const auto widen = table_.widen[static_cast<size_t>(storage_of(values_.dtype))];
  for (int64_t p = 0; p < count; ++p) {
    float* row = rows + p * value_stride_;
    if (codes_ == nullptr) widen(values_.at(key + p), row, problem_.value_dim);
    std::fill(row + problem_.value_dim, row + value_stride_, 0.0f);
  }
}

void AttentionTiles::score(int64_t row, int64_t rows, AttentionKeys keys, float* scores) const {
  const GemmKernel<float>& kernel = table_.gemm_float;
  GemmTile<float> tile;
  tile.k = problem_.head_dim;
  tile.rows = rows;
  tile.a = queries_ + row * problem_.head_dim;
  tile.a_row_stride = problem_.head_dim;
  tile.a_k_stride = 1;
  tile.b_k_stride = kernel.columns;
  tile.c_row_stride = key_tile;
  // The first keys may be those of half a panel: a tile with so few columns takes half as long.
  const int64_t half = kernel.columns / 2;
  for (int64_t j = keys.begin / half * half; j < keys.end; j += tile.columns) {
    const int64_t column = j % kernel.columns;
    tile.columns = std::min(kernel.columns - column, keys.end - j);
    tile.b = key_panels_ + (j - column) * problem_.head_dim + column;
    tile.c = scores + j;
    kernel.run(tile);
  }
}

void AttentionTiles::sum(int64_t row, int64_t rows, AttentionKeys keys, const float* weights) const {
  const GemmKernel<float>& kernel = table_.gemm_float;
  GemmTile<float> tile;
  tile.k = keys.count();
  tile.rows = rows;
  tile.a = weights + keys.begin;
  tile.a_row_stride = key_tile;
  tile.a_k_stride = 1;
  tile.b_k_stride = value_stride_;
  tile.c_row_stride = state_.values_stride;
  tile.columns = kernel.columns;
  tile.accumulate = 1;
  for (int64_t j = 0; j < problem_.value_dim; j += kernel.columns) {
    tile.b = value_rows_ + keys.begin * value_stride_ + j;
    tile.c = state_.values + row * state_.values_stride + j;
    kernel.run(tile);
  }
}

}  // namespace lazuli::templates
