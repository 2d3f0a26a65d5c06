#include <lazuli/compiler/templates/attention_panels.h>

#include <algorithm>

#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/packing.h>

namespace lazuli::templates {

int64_t attention_key_panels_size(const AttentionProblem& problem) {
  return round_up(attention_key_tile, bfloat16_gemm_kernel()->columns) * ceil_div(problem.head_dim, 2);
}

int64_t attention_value_panels_size(const AttentionProblem& problem) {
  return round_up(problem.value_dim, bfloat16_gemm_kernel()->columns) * attention_key_tile / 2;
}

void pack_attention_keys(const AttentionProblem& problem, const HeadRows& keys, int64_t key, int64_t count,
                         float* panels) {
  pack_bfloat16_pairs({keys.data, bfloat16, keys.stride, 1}, problem.head_dim, key, count, 0,
                      ceil_div(problem.head_dim, 2), bfloat16_gemm_kernel()->columns, panels);
}

void pack_attention_values(const AttentionProblem& problem, const HeadRows& values, int64_t key,
                           int64_t count, float* panels) {
  pack_bfloat16_pairs({values.at(key), bfloat16, 1, values.stride}, count, 0, problem.value_dim, 0,
                      ceil_div(count, 2), bfloat16_gemm_kernel()->columns, panels);
}

AttentionPanels::AttentionPanels(const AttentionProblem& problem)
    : problem_(problem),
      tiles_(ceil_div(problem.key_length, attention_key_tile)),
      keys_size_(attention_key_panels_size(problem)),
      values_size_(attention_value_panels_size(problem)) {}

void AttentionPanels::turn_to(int64_t batch, int64_t kv_head) {
  if (batch == batch_ && kv_head == kv_head_) return;
  batch_ = batch;
  kv_head_ = kv_head;
  has_keys_.assign(static_cast<size_t>(tiles_), false);
  has_values_.assign(static_cast<size_t>(tiles_), false);
}

const float* AttentionPanels::keys(int64_t tile) {
  make_room();
  float* const packed = memory_->as<float>() + tile * keys_size_;
  if (!has_keys_[static_cast<size_t>(tile)]) {
    pack_attention_keys(problem_, HeadRows(problem_.keys, batch_, kv_head_), tile * attention_key_tile,
                        keys_in(tile), packed);
    has_keys_[static_cast<size_t>(tile)] = true;
  }
  return packed;
}

const float* AttentionPanels::values(int64_t tile) {
  make_room();
  float* const packed = memory_->as<float>() + tiles_ * keys_size_ + tile * values_size_;
  if (!has_values_[static_cast<size_t>(tile)]) {
    pack_attention_values(problem_, HeadRows(problem_.values, batch_, kv_head_), tile * attention_key_tile,
                          keys_in(tile), packed);
    has_values_[static_cast<size_t>(tile)] = true;
  }
  return packed;
}

int64_t AttentionPanels::keys_in(int64_t tile) const {
  return std::min(attention_key_tile, problem_.key_length - tile * attention_key_tile);
}

void AttentionPanels::make_room() {
  if (!memory_) memory_.emplace(static_cast<size_t>(tiles_ * (keys_size_ + values_size_)) * sizeof(float));
}

}  // namespace lazuli::templates
