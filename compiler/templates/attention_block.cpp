#include <lazuli/compiler/templates/attention_block.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <lazuli/array/half.h>
#include <lazuli/compiler/templates/attention_codes.h>
#include <lazuli/compiler/templates/attention_pairs.h>
#include <lazuli/compiler/templates/attention_tiles.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

constexpr int64_t key_tile = attention_key_tile;
/// What few rows read of keys, and then of values, before they go over to the other, in bytes: as much as is
/// on its way from memory at a time.
constexpr int64_t ahead_bytes = 16 << 10;
/// A row's sums are of exp(score - x), where no score is above x by more than this.
constexpr float outgrown = 4;

float read_real(const std::byte* data, Dtype dtype) {
  if (dtype == float16) return *reinterpret_cast<const float16_t*>(data);
  if (dtype == bfloat16) return *reinterpret_cast<const bfloat16_t*>(data);
  return *reinterpret_cast<const float*>(data);
}

/// Rows of a tile of keys or values.
struct TileRows {
  const std::byte* data;
  Dtype dtype;
  int64_t stride;
};

class BlockWorker {
 public:
  BlockWorker(const AttentionProblem& problem, const AttentionBlock& block, const AttentionState& state,
              AttentionPanels* panels)
      : problem_(problem),
        block_(block),
        state_(state),
        table_(kernels()),
        rows_(block.rows()),
        rows_at_once_(rows_ <= attention_vector_rows ? rows_ : table_.gemm_float.rows),
        keys_(problem.keys, block.batch, block.kv_head),
        values_(problem.values, block.batch, block.kv_head),
        few_rows_(rows_ <= attention_vector_rows),
        pairs_(attention_takes_pairs(problem, few_rows_)),
        scales_late_(problem.scale > 0 && problem.soft_cap <= 0 &&
                     (problem.mask.data == nullptr || problem.mask.dtype == bool_)),
        keeps_(panels != nullptr && !few_rows_),
        memory_(static_cast<size_t>(queries_size() + scores_size() + widened_size()) * sizeof(float)),
        queries_(memory_.as<float>()),
        scores_(queries_ + queries_size()),
        widened_(scores_ + scores_size()) {
    if (problem.bits > 0) codes_.emplace(problem, block);
    if (pairs_) {
      pair_products_.emplace(problem, block, state, few_rows_, panels);
      rows_at_once_ = pair_products_->rows_at_once();
    } else if (!few_rows_) {
      tiles_.emplace(problem, block, state, queries_, codes_ ? &*codes_ : nullptr, panels);
    }
  }

  void run(bool with_sinks) {
    start(with_sinks);
    if (!pairs_) load_queries();
    multiplies_codes_ = codes_ && few_rows_ && codes_->take_queries(queries_);
    const int64_t tile = few_rows_ ? few_rows_tile() : key_tile;
    // Tiles that are kept begin at multiples of their keys; what nobody sees of the first is not computed.
    const int64_t begin = keeps_ ? block_.key_begin / tile * tile : block_.key_begin;
    for (int64_t key = begin; key < block_.key_end; key += tile) {
      const int64_t count = std::min(tile, block_.key_end - key);
      few_rows_ ? attend_few_rows(key, count) : attend_tiles(key, count);
    }
  }

 private:
  int64_t queries_size() const { return pairs_ ? 0 : round_up(rows_ * problem_.head_dim, 16); }
  int64_t scores_size() const { return std::max(rows_, rows_at_once_) * key_tile; }
  /// Of a tile's keys or values, one after the other.
  int64_t widened_size() const {
    if (!few_rows_ || problem_.bits == 0) return 0;
    return key_tile * std::max(problem_.head_dim, state_.values_stride);
  }

  int64_t few_rows_tile() const {
    const int64_t bytes =
        problem_.bits > 0 ? problem_.head_dim * problem_.bits / 8 : problem_.head_dim * keys_.dtype.size();
    const int64_t row_bytes = std::max<int64_t>(bytes, 1);
    return std::clamp<int64_t>(ahead_bytes / row_bytes, 32, key_tile);
  }

  void attend_few_rows(int64_t key, int64_t count) {
    const AttentionKeys all{0, count};
    if (pairs_) {
      pair_products_->take(key, count);
      pair_products_->score(0, all, scores_);
    } else {
      score_few_rows(key, count);
    }
    for (int64_t row = 0; row < rows_; ++row) soften(row, key, all);
    pairs_ ? pair_products_->sum(0, all) : sum_few_rows(key, count);
  }

  /// A few rows go from scores to sums at a time, so that what lies between stays in the first-level cache.
  void attend_tiles(int64_t key, int64_t count) {
    pairs_ ? pair_products_->take(key, count) : tiles_->take(key, count);
    for (int64_t first = 0; first < rows_; first += rows_at_once_) {
      const int64_t end = std::min(first + rows_at_once_, rows_);
      const AttentionKeys keys = seen_keys(first, end, key, count);
      if (keys.count() <= 0) continue;
      float* const scores = this->scores(first);
      pairs_ ? pair_products_->score(first, keys, scores) : tiles_->score(first, end - first, keys, scores);
      for (int64_t row = first; row < end; ++row) soften(row, key, keys);
      pairs_ ? pair_products_->sum(first, keys) : tiles_->sum(first, end - first, keys, scores);
    }
  }

  /// Of a tile's keys those that one of the rows may see, from an even one, as pairs need it.
  AttentionKeys seen_keys(int64_t first, int64_t end, int64_t key, int64_t count) const {
    AttentionKeys keys{0, count};
    if (!problem_.causal && problem_.window <= 0) return keys;
    const int64_t before = problem_.key_length - problem_.query_length;
    int64_t lowest = block_.query(first);
    int64_t highest = lowest;
    for (int64_t row = first + 1; row < end; ++row) {
      lowest = std::min(lowest, block_.query(row));
      highest = std::max(highest, block_.query(row));
    }
    if (problem_.causal) keys.end = std::clamp<int64_t>(highest + before + 1 - key, 0, count);
    if (problem_.window > 0) {
      const int64_t hidden = std::clamp<int64_t>(lowest + before - problem_.window + 1 - key, 0, count);
      keys.begin = hidden / 2 * 2;
    }
    return keys;
  }

  float* scores(int64_t row) const { return scores_ + row % rows_at_once_ * key_tile; }
  float* sums(int64_t row) const { return state_.values + row * state_.values_stride; }

  void start(bool with_sinks) {
    for (int64_t row = 0; row < rows_; ++row) {
      float sink = minus_infinity;
      if (with_sinks) {
        sink =
            read_real(problem_.sinks + block_.head(row) * problem_.sinks_dtype.size(), problem_.sinks_dtype);
      }
      state_.largest[row] = sink;
      state_.sum[row] = sink == minus_infinity ? 0.0f : 1.0f;
      std::fill_n(sums(row), state_.values_stride, 0.0f);
    }
  }

  /// Queries as floats, with the scale.
  void load_queries() {
    const auto widen = table_.widen[static_cast<size_t>(storage_of(problem_.queries.dtype))];
    for (int64_t row = 0; row < rows_; ++row) {
      float* query = queries_ + row * problem_.head_dim;
      widen(HeadRows(problem_.queries, block_.batch, block_.head(row)).at(block_.query(row)), query,
            problem_.head_dim);
      table_.scale(query, problem_.head_dim, problem_.scale);
    }
  }

  // Memory has something to do at all times: while keys are scored their values are fetched, and while these
  // are summed the next keys.

  void score_few_rows(int64_t key, int64_t count) {
    if (multiplies_codes_) return codes_->score(key, count, scores_);
    const TileRows keys = ready_keys(key, count);
    for (int64_t row = 0; row < rows_; row += max_vector_rows) {
      DotRows<float> dot;
      dot.k = problem_.head_dim;
      dot.x = queries_ + row * problem_.head_dim;
      dot.x_row_stride = problem_.head_dim;
      dot.x_rows = std::min(max_vector_rows, rows_ - row);
      dot.w = keys.data;
      dot.w_row_stride = keys.stride;
      dot.w_rows = count;
      dot.out = scores(row);
      dot.out_x_stride = key_tile;
      dot.out_w_stride = 1;
      if (row == 0 && !codes_ && values_.stride == problem_.value_dim) dot.ahead = values_.at(key);
      table_.dot_rows[static_cast<size_t>(storage_of(keys.dtype))](dot);
    }
  }

  void sum_few_rows(int64_t key, int64_t count) {
    TileRows values{values_.at(key), values_.dtype, values_.stride};
    if (codes_) {
      const bool are_finite =
          std::all_of(state_.sum, state_.sum + rows_, [](float sum) { return std::isfinite(sum); });
      if (multiplies_codes_ && are_finite &&
          codes_->sum(key, count, scores_, state_.values, state_.values_stride)) {
        return;
      }
      codes_->widen_values(key, count, widened_, state_.values_stride);
      values = {reinterpret_cast<const std::byte*>(widened_), float32, state_.values_stride};
    }
    for (int64_t row = 0; row < rows_; row += max_vector_rows) {
      AxpyRows<float> axpy;
      axpy.k = count;
      axpy.x = scores(row);
      axpy.x_row_stride = key_tile;
      axpy.x_k_stride = 1;
      axpy.x_rows = std::min(max_vector_rows, rows_ - row);
      axpy.w = values.data;
      axpy.w_row_stride = values.stride;
      axpy.columns = problem_.value_dim;
      axpy.y = sums(row);
      axpy.y_row_stride = state_.values_stride;
      if (row == 0 && !codes_ && keys_.stride == problem_.head_dim) axpy.ahead = keys_after(key + count);
      table_.axpy_rows[static_cast<size_t>(storage_of(values.dtype))](axpy);
    }
  }

  /// The keys that are met after those before `key`: null where there are none.
  const std::byte* keys_after(int64_t key) const {
    if (key < block_.key_end) return keys_.at(key);
    if (block_.next_batch < 0) return nullptr;
    return HeadRows(problem_.keys, block_.next_batch, block_.next_kv_head).at(block_.key_begin);
  }

  /// The tile's keys where they lie, or dequantized.
  TileRows ready_keys(int64_t key, int64_t count) {
    if (!codes_) return {keys_.at(key), keys_.dtype, keys_.stride};
    codes_->widen_keys(key, count, widened_);
    return {reinterpret_cast<const std::byte*>(widened_), float32, problem_.head_dim};
  }

  /// Turns a row of raw scores into exp(score - largest), and the row's state with it. `largest` follows the
  /// largest score only where that outgrows it, as all sums so far shrink then.
  void soften(int64_t row, int64_t first_key, AttentionKeys keys) {
    float* s = scores(row) + keys.begin;
    const int64_t key = first_key + keys.begin;
    const int64_t count = keys.count();
    // Scores of pairs come without the scale, which waits for the exponentials if nothing before needs it.
    if (pairs_ && !scales_late_) table_.scale(s, count, problem_.scale);
    const float scale = pairs_ && scales_late_ ? problem_.scale : 1.0f;
    if (problem_.soft_cap > 0) table_.soft_cap(s, count, problem_.soft_cap);
    mask_row(row, key, count, s);
    const float before = state_.largest[row];
    float largest = std::max(before, scale * table_.max_of(s, count));
    if (largest == minus_infinity) {
      // No key is seen yet, unless a score is NaN, which the maximum passes over.
      if (std::isnan(table_.sum_of(s, count))) state_.sum[row] = std::numeric_limits<float>::quiet_NaN();
      std::fill_n(s, count, 0.0f);
      if (pairs_) pair_products_->clear_weights(row, keys);
      return;
    }
    if (largest <= before + outgrown) {
      largest = before;
    } else {
      const float shrink = std::exp(before - largest);
      table_.scale(sums(row), problem_.value_dim, shrink);
      state_.sum[row] *= shrink;
      state_.largest[row] = largest;
    }
    state_.sum[row] += pairs_ ? pair_products_->set_weights(row, keys, s, scale, largest)
                              : table_.exp_sum(s, count, largest);
  }

  void mask_row(int64_t row, int64_t key, int64_t count, float* s) const {
    const int64_t position = block_.query(row) + problem_.key_length - problem_.query_length;
    if (problem_.mask.data != nullptr) apply_mask(row, key, count, s);
    if (problem_.causal && position + 1 < key + count) {
      std::fill(s + std::clamp<int64_t>(position + 1 - key, 0, count), s + count, minus_infinity);
    }
    if (problem_.window > 0) {
      const int64_t first = position - problem_.window + 1;
      if (first > key) std::fill(s, s + std::min(first - key, count), minus_infinity);
    }
  }

  void apply_mask(int64_t row, int64_t key, int64_t count, float* s) const {
    const MaskView& mask = problem_.mask;
    const int64_t size = mask.dtype.size();
    const std::byte* data =
        mask.data + (block_.batch * mask.batch_stride + block_.head(row) * mask.head_stride +
                     block_.query(row) * mask.row_stride + key * mask.column_stride) *
                        size;
    if (mask.dtype == bool_) {
      for (int64_t j = 0; j < count; ++j) {
        if (data[j * mask.column_stride] == std::byte{0}) s[j] = minus_infinity;
      }
      return;
    }
    float addend[key_tile];
    const auto widen = table_.widen[static_cast<size_t>(storage_of(mask.dtype))];
    if (mask.column_stride == 1) {
      widen(data, addend, count);
    } else {
      for (int64_t j = 0; j < count; ++j)
        addend[j] = read_real(data + j * mask.column_stride * size, mask.dtype);
    }
    for (int64_t j = 0; j < count; ++j) s[j] += addend[j];
  }

  const AttentionProblem& problem_;
  const AttentionBlock& block_;
  const AttentionState& state_;
  const Kernels& table_;
  int64_t rows_;
  int64_t rows_at_once_;  ///< whose scores are in memory
  HeadRows keys_;
  HeadRows values_;
  bool few_rows_;
  bool pairs_;  ///< products are those of `AttentionPairs`
  bool scales_late_;
  bool keeps_;  ///< tiles of keys stay packed for other blocks
  std::optional<AttentionPairs> pair_products_;
  std::optional<AttentionTiles> tiles_;
  std::optional<AttentionCodes> codes_;
  bool multiplies_codes_ = false;  ///< see AttentionCodes
  Scratch memory_;
  float* queries_;
  float* scores_;
  float* widened_;
};

}  // namespace

int64_t attention_values_stride(const AttentionProblem& problem) {
  return round_up(problem.value_dim, kernels().gemm_float.columns);
}

void attend(const AttentionProblem& problem, const AttentionBlock& block, bool with_sinks,
            const AttentionState& state, AttentionPanels* panels) {
  BlockWorker(problem, block, state, panels).run(with_sinks);
}

void store_attention(const AttentionProblem& problem, const AttentionBlock& block,
                     const AttentionState& state) {
  const Kernels& table = kernels();
  const auto narrow = table.narrow[static_cast<size_t>(storage_of(problem.out_dtype))];
  for (int64_t row = 0; row < block.rows(); ++row) {
    float* values = state.values + row * state.values_stride;
    const float sum = state.sum[row];
    if (sum == 0) {
      std::fill_n(values, problem.value_dim, 0.0f);
    } else {
      table.scale(values, problem.value_dim, 1.0f / sum);
    }
    const int64_t offset = block.batch * problem.out_batch_stride +
                           block.head(row) * problem.out_head_stride +
                           block.query(row) * problem.out_row_stride;
    narrow(values, problem.out + offset * problem.out_dtype.size(), problem.value_dim);
  }
}

void merge_attention(int64_t rows, int64_t value_dim, const AttentionState& into,
                     const AttentionState& from) {
  for (int64_t row = 0; row < rows; ++row) {
    const float largest = std::max(into.largest[row], from.largest[row]);
    if (largest == minus_infinity) {
      into.sum[row] += from.sum[row];  // zero, or NaN
      continue;
    }
    const float keep = std::exp(into.largest[row] - largest);
    const float take = std::exp(from.largest[row] - largest);
    float* a = into.values + row * into.values_stride;
    const float* b = from.values + row * from.values_stride;
    for (int64_t i = 0; i < value_dim; ++i) a[i] = a[i] * keep + b[i] * take;
    into.sum[row] = into.sum[row] * keep + from.sum[row] * take;
    into.largest[row] = largest;
  }
}

}  // namespace lazuli::templates
