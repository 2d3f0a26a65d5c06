#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include <lazuli/array/evaluator.h>
#include <lazuli/compiler/background.h>
#include <lazuli/compiler/lru_cache.h>
#include <lazuli/compiler/program/program.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/graph/hash.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>
#include <lazuli/graph/transforms/tracing.h>

namespace lazuli {

namespace {

constexpr size_t programs_kept = 1024;

/// Two independent hashes of a graph's structure: enough to tell graphs apart by.
struct StructureKey {
  uint64_t low = 0, high = 0;
  bool operator==(const StructureKey&) const = default;
};

struct StructureKeyHash {
  size_t operator()(const StructureKey& key) const { return key.low; }
};

struct CachedProgram {
  std::shared_ptr<Program> program;
  std::vector<uint32_t> output_entries;  // where results go: which entry of the traversal...
  std::vector<uint32_t> output_indices;  // ...and which of its outputs
};

const Operation& operation_of(const Node& node) {
  return static_cast<const Operation&>(*node.producer);
}

StructureKey key_of(const PendingNodes& pending) {
  Hasher low, high(0x6a09e667f3bcc909u);
  const auto add = [&](uint64_t word) {
    low.add(word);
    high.add(word);
  };
  const uint32_t* inputs = pending.inputs.data();
  for (uint32_t entry = 0; entry < pending.entries.size(); ++entry) {
    const Node& node = *pending.entries[entry].node;
    if (pending.is_leaf(entry)) {
      for (const NodeOutput& output : node.outputs) {
        add((static_cast<uint64_t>(output.dtype.val()) << 32) | output.shape.size());
        for (size_t d = 0; d < output.shape.size(); ++d) {
          add(static_cast<uint64_t>(output.shape[d].hint()));
          add(static_cast<uint64_t>(output.strides[d]));
        }
      }
      continue;
    }
    add(operation_of(node).hash());
    add((static_cast<uint64_t>(node.inputs.size()) << 1) | static_cast<uint64_t>(pending.is_held(entry)));
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      add((static_cast<uint64_t>(inputs[i]) << 8) | node.inputs[i].output_index());
    }
    inputs += node.inputs.size();
  }
  for (uint32_t output : pending.outputs) add(output);
  return {low.result(), high.result()};
}

class GraphEvaluator final : public Evaluator {
 public:
  void eval(std::span<const array> arrays) override {
    const std::lock_guard lock(mutex_);
    const PendingNodes pending = collect_pending(arrays);
    bool any = false;
    for (uint32_t entry = 0; entry < pending.entries.size(); ++entry) {
      const Node::State state = pending.entries[entry].node->state.load(std::memory_order_acquire);
      if (state == Node::State::placeholder) {
        throw std::runtime_error(
            "[eval] an argument of a function that is being traced has no value yet: eval, item and printing "
            "cannot be used inside a compiled function");
      }
      any = any || state == Node::State::lazy;
    }
    if (any) evaluate(pending);
  }

  void async_eval(std::span<const array> arrays) override {
    if (transforms::is_tracing()) return eval(arrays);  // which keeps the graph behind them
    {
      const std::lock_guard lock(started_mutex_);
      ++started_;
    }
    run_in_background([this, kept = std::vector<array>(arrays.begin(), arrays.end())] {
      try {
        eval(kept);
      } catch (const std::exception&) {
        // Whoever asks for the value evaluates again, and gets the error.
      }
      const std::lock_guard lock(started_mutex_);
      if (--started_ == 0) none_left_.notify_all();
    });
  }

  void synchronize() override {
    std::unique_lock lock(started_mutex_);
    none_left_.wait(lock, [this] { return started_ == 0; });
  }

 private:
  void evaluate(const PendingNodes& pending) {
    const StructureKey key = key_of(pending);
    CachedProgram* cached = programs_.find(key);
    if (cached == nullptr) cached = &programs_.insert(key, build(pending));

    // A function that is being transformed needs the graph behind what it evaluates, with its values.
    const bool keeps_graph = transforms::is_tracing();
    std::vector<ProgramInput> inputs;
    for (uint32_t entry = 0; entry < pending.entries.size(); ++entry) {
      if (!pending.is_leaf(entry)) continue;
      const Node& node = *pending.entries[entry].node;
      // A leaf that only this graph uses dies with it.
      const bool dies = !keeps_graph && node.outputs.size() == 1 && !pending.is_held(entry) &&
                        node.outputs[0].buffer->ref_count() == 1;
      for (const NodeOutput& output : node.outputs) {
        inputs.push_back({output.buffer, output.offset, output.shape, output.strides, dies});
      }
    }
    // The cache may forget the program while it runs.
    const CachedProgram running = *cached;
    std::vector<ProgramOutput> results = running.program->run(std::move(inputs));

    std::vector<std::vector<array>> dropped;
    for (size_t i = 0; i < results.size(); ++i) {
      Node& node = *pending.entries[running.output_entries[i]].node;
      NodeOutput& output = node.outputs[running.output_indices[i]];
      output.buffer = std::move(results[i].buffer);
      output.offset = results[i].offset;
      output.strides = std::move(results[i].strides);
    }
    for (size_t i = 0; i < results.size(); ++i) {
      Node& node = *pending.entries[running.output_entries[i]].node;
      if (node.state.load(std::memory_order_relaxed) == Node::State::computed) continue;
      if (!keeps_graph) {
        // Nodes further back may go with the inputs: none of them must go before all results are in place.
        dropped.push_back(std::move(node.inputs));
        node.inputs.clear();
        node.producer = nullptr;
      }
      node.state.store(Node::State::computed, std::memory_order_release);
    }
  }

  static CachedProgram build(const PendingNodes& pending) {
    TracedGraph traced = build_evaluation_graph(pending);
    if (prints(Stage::graph)) print_stage(Stage::graph, "eval, as built", traced.graph.to_text());
    const Graph simplified = simplify(traced.graph);
    if (prints(Stage::graph)) print_stage(Stage::graph, "eval, simplified", simplified.to_text());
    return {Program::create(simplified, "eval"), std::move(traced.output_entries),
            std::move(traced.output_indices)};
  }

  // One evaluation at a time: graphs may share nodes.
  std::recursive_mutex mutex_;
  std::mutex started_mutex_;
  std::condition_variable none_left_;
  int started_ = 0;  // by async_eval, and not done
  LruCache<StructureKey, CachedProgram, StructureKeyHash> programs_{programs_kept};
};

}  // namespace

Evaluator& evaluator() {
  static GraphEvaluator* const instance = new GraphEvaluator;  // never destroyed: background work may use it
  return *instance;
}

}  // namespace lazuli
