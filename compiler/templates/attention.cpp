#include <lazuli/compiler/templates/attention.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/attention_block.h>
#include <lazuli/compiler/templates/attention_pairs.h>
#include <lazuli/compiler/templates/attention_panels.h>
#include <lazuli/compiler/templates/attention_tiles.h>
#include <lazuli/compiler/templates/quantized_codes.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/templates/stretches.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Rows of a block that make packing keys worth while and whose scores stay in cache.
constexpr int64_t wanted_rows = 128;
/// The same where keys and values are dequantized for each block.
constexpr int64_t wanted_rows_of_codes = 256;
constexpr int64_t fewest_rows = 32;
/// Keys that a task has at least, where the keys are split among threads.
constexpr int64_t fewest_keys = 512;

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("[attention] " + what);
}

void check_real(Dtype dtype, const char* operand) {
  if (dtype == float32 || dtype == float16 || dtype == bfloat16) return;
  refuse(std::string(operand) + " have dtype " + std::string(dtype_name(dtype)) +
         "; expected float16, bfloat16 or float32.");
}

void check(const AttentionProblem& problem) {
  check_real(problem.queries.dtype, "queries");
  if (problem.bits > 0) {
    check_quantized("attention", problem.bits, problem.group_size, problem.key_scales.dtype,
                    problem.head_dim);
    check_quantized("attention", problem.bits, problem.group_size, problem.value_scales.dtype,
                    problem.value_dim);
  } else {
    check_real(problem.keys.dtype, "keys");
    check_real(problem.values.dtype, "values");
  }
  check_real(problem.out_dtype, "results");
  if (problem.sinks != nullptr) check_real(problem.sinks_dtype, "sinks");
  if (problem.mask.data != nullptr && problem.mask.dtype != bool_) check_real(problem.mask.dtype, "masks");
  if (problem.kv_heads <= 0 || problem.heads % problem.kv_heads != 0) {
    refuse(std::to_string(problem.heads) + " query heads cannot share " + std::to_string(problem.kv_heads) +
           " key/value heads.");
  }
}

/// How the work is cut into tasks.
struct Tasks {
  int64_t positions = 1;     ///< queries of each head in a block
  int64_t query_blocks = 1;  ///< along query_length
  int64_t splits = 1;        ///< of the keys
  int64_t blocks = 1;        ///< over batch, key/value heads and queries
};

Tasks cut(const AttentionProblem& problem) {
  const int64_t threads = num_threads();
  const int64_t group = problem.heads / problem.kv_heads;
  const int64_t sequences = problem.batch * problem.kv_heads;
  Tasks tasks;
  int64_t rows = problem.bits > 0 ? wanted_rows_of_codes : wanted_rows;
  while (rows > fewest_rows && sequences * ceil_div(problem.query_length * group, rows) < 2 * threads)
    rows /= 2;
  if (problem.query_length * group <= attention_vector_rows) rows = problem.query_length * group;
  tasks.positions = std::clamp<int64_t>(rows / group, 1, std::max<int64_t>(problem.query_length, 1));
  // Blocks of whole tiles of the kernels', where there are some: a tile with few rows takes as long as a full
  // one.
  const int64_t tile = kernels().gemm_float.rows;
  if (tasks.positions * group > attention_vector_rows) {
    for (int64_t fewer = tasks.positions; fewer > tasks.positions / 2; --fewer) {
      if (fewer * group % tile != 0) continue;
      tasks.positions = fewer;
      break;
    }
  }
  tasks.query_blocks = ceil_div(problem.query_length, tasks.positions);
  tasks.blocks = sequences * tasks.query_blocks;
  if (threads > 1 && tasks.blocks % threads != 0 && tasks.blocks < 4 * threads) {
    tasks.splits =
        std::clamp<int64_t>(problem.key_length / fewest_keys, 1, ceil_div(4 * threads, tasks.blocks));
  }
  return tasks;
}

/// The block of task `index`. Blocks of queries are taken from both ends in turn, since with a causal mask
/// the later ones have more keys, and neighbours in this order go to the same thread.
AttentionBlock block_of(const AttentionProblem& problem, const Tasks& tasks, int64_t index) {
  AttentionBlock block;
  const int64_t step = index % tasks.query_blocks;
  const int64_t query_block = step % 2 == 0 ? step / 2 : tasks.query_blocks - 1 - step / 2;
  const int64_t sequence = index / tasks.query_blocks;
  block.batch = sequence / problem.kv_heads;
  block.kv_head = sequence % problem.kv_heads;
  block.group = problem.heads / problem.kv_heads;
  block.first_query = query_block * tasks.positions;
  block.positions = std::min(tasks.positions, problem.query_length - block.first_query);
  // Keys that no query of the block sees are left out.
  const int64_t first_position = block.first_query + problem.key_length - problem.query_length;
  const int64_t last_position = first_position + block.positions - 1;
  block.key_end =
      problem.causal ? std::clamp<int64_t>(last_position + 1, 0, problem.key_length) : problem.key_length;
  if (problem.window > 0) {
    block.key_begin = std::clamp<int64_t>(first_position - problem.window + 1, 0, block.key_end);
  }
  return block;
}

/// Panels for what a thread packs of a head, which blocks after one another need, where it stays in the
/// caches until then. Pairs take no more memory than what they are packed from.
std::optional<AttentionPanelSizes> kept_panels(const AttentionProblem& problem) {
  if (attention_takes_pairs(problem, false)) return attention_pair_panels(problem);
  const AttentionPanelSizes sizes = attention_tile_panels(problem);
  const int64_t bytes = ceil_div(problem.key_length, attention_key_tile) * sizes.both() * 4;
  if (bytes > 2 * cache_sizes().l2) return std::nullopt;
  return sizes;
}

/// The state of a block in memory: two columns of numbers, then the values.
int64_t state_size(int64_t rows, int64_t values_stride) {
  return round_up(2 * rows, 16) + rows * values_stride;
}

AttentionState state_in(float* memory, int64_t rows, int64_t values_stride) {
  return {memory, memory + rows, memory + round_up(2 * rows, 16), values_stride};
}

}  // namespace

void attention(const AttentionProblem& problem) {
  check(problem);
  if (problem.batch <= 0 || problem.heads <= 0 || problem.query_length <= 0 || problem.value_dim <= 0) return;
  const Tasks tasks = cut(problem);
  const int64_t values_stride = attention_values_stride(problem);
  const int64_t most_rows = tasks.positions * (problem.heads / problem.kv_heads);
  const int64_t size = round_up(state_size(most_rows, values_stride), 16);
  const bool sinks = problem.sinks != nullptr;

  if (tasks.splits == 1 && tasks.query_blocks == 1) {
    // Heads lie one after another: each thread goes over a stretch of them.
    constexpr int64_t most_heads = 4;
    return share_out_stretches(tasks.blocks, most_heads, [&](int64_t begin, int64_t end) {
      const Scratch memory(static_cast<size_t>(size) * sizeof(float));
      for (int64_t index = begin; index < end; ++index) {
        AttentionBlock block = block_of(problem, tasks, index);
        if (index + 1 < tasks.blocks) {
          block.next_batch = (index + 1) / problem.kv_heads;
          block.next_kv_head = (index + 1) % problem.kv_heads;
        }
        const AttentionState state = state_in(memory.as<float>(), block.rows(), values_stride);
        attend(problem, block, sinks, state, nullptr);
        store_attention(problem, block, state);
      }
    });
  }
  if (tasks.splits == 1) {
    const std::optional<AttentionPanelSizes> kept = kept_panels(problem);
    return share_out_with<std::optional<AttentionPanels>>(
        tasks.blocks,
        [&] {
          if (!kept) return std::optional<AttentionPanels>();
          return std::make_optional<AttentionPanels>(problem.key_length, *kept);
        },
        [&](int64_t index, std::optional<AttentionPanels>& panels) {
          const AttentionBlock block = block_of(problem, tasks, index);
          const Scratch memory(static_cast<size_t>(size) * sizeof(float));
          const AttentionState state = state_in(memory.as<float>(), block.rows(), values_stride);
          attend(problem, block, sinks, state, panels ? &*panels : nullptr);
          store_attention(problem, block, state);
        });
  }

  const Scratch memory(static_cast<size_t>(size * tasks.blocks * tasks.splits) * sizeof(float));
  const auto state_of = [&](int64_t index, int64_t split, int64_t rows) {
    return state_in(memory.as<float>() + (index * tasks.splits + split) * size, rows, values_stride);
  };
  share_out(tasks.blocks * tasks.splits, [&](int64_t part) {
    const int64_t index = part / tasks.splits;
    const int64_t split = part % tasks.splits;
    AttentionBlock block = block_of(problem, tasks, index);
    const int64_t keys = block.key_end - block.key_begin;
    const int64_t begin = block.key_begin;
    block.key_begin = begin + keys * split / tasks.splits;
    block.key_end = begin + keys * (split + 1) / tasks.splits;
    attend(problem, block, sinks && split == 0, state_of(index, split, block.rows()), nullptr);
  });
  parallel_for(tasks.blocks, [&](int64_t index) {
    const AttentionBlock block = block_of(problem, tasks, index);
    const AttentionState state = state_of(index, 0, block.rows());
    for (int64_t split = 1; split < tasks.splits; ++split) {
      merge_attention(block.rows(), problem.value_dim, state, state_of(index, split, block.rows()));
    }
    store_attention(problem, block, state);
  });
}

}  // namespace lazuli::templates
