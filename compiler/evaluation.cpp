#include <lazuli/compiler/evaluation.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <lazuli/compiler/lru_cache.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/graph/hash.h>
#include <lazuli/graph/passes/simplify.h>

namespace lazuli {

struct Evaluation::Cached {
  std::shared_ptr<Program> program;
  std::vector<uint32_t> output_entries;  // where results go: which entry of the traversal...
  std::vector<uint32_t> output_indices;  // ...and which of its outputs
};

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
  for (const PendingNodes::Entry& entry : pending.entries) {
    const Node& node = *entry.node;
    if (entry.is_leaf) {
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
    add((static_cast<uint64_t>(node.inputs.size()) << 1) | static_cast<uint64_t>(entry.is_kept));
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      add((static_cast<uint64_t>(inputs[i]) << 8) | node.inputs[i].output_index());
    }
    inputs += node.inputs.size();
  }
  return {low.result(), high.result()};
}

/// The programs of graphs met before. Thread-safe.
template <typename Value>
class ProgramCache {
 public:
  std::shared_ptr<const Value> find(const StructureKey& key) {
    const std::lock_guard lock(mutex_);
    const auto* found = programs_.find(key);
    return found == nullptr ? nullptr : *found;
  }
  void insert(const StructureKey& key, std::shared_ptr<const Value> value) {
    const std::lock_guard lock(mutex_);
    programs_.insert(key, std::move(value));
  }

 private:
  std::mutex mutex_;
  LruCache<StructureKey, std::shared_ptr<const Value>, StructureKeyHash> programs_{programs_kept};
};

}  // namespace

Evaluation::Evaluation(PendingNodes pending, std::vector<array> owned, bool keeps_graph)
    : pending_(std::move(pending)), owned_(std::move(owned)), keeps_graph_(keeps_graph) {
  for (const PendingNodes::Entry& entry : pending_.entries) {
    if (entry.is_leaf) {
      if (entry.node->is_computed()) continue;
      if (!entry.node->pending) entry.node->pending = make_ref<Pending>();
      awaited_.push_back(entry.node->pending);
    } else if (entry.is_kept) {
      entry.node->pending = nullptr;  // of an evaluation that failed
      entry.node->set_state(Node::State::scheduled);
    }
  }
}

Evaluation::~Evaluation() {
  if (is_done_) return;
  fail(std::make_exception_ptr(std::runtime_error("[eval] the work was given up: the process exits")), false);
}

void Evaluation::wait_for_inputs() {
  try {
    for (const Ref<Pending>& pending : awaited_) pending->wait();
    awaited_.clear();
  } catch (...) {
    fail(std::current_exception(), false);
    throw;
  }
}

std::shared_ptr<const Evaluation::Cached> Evaluation::program_of(const PendingNodes& pending) {
  static ProgramCache<Cached>* const cache = new ProgramCache<Cached>;  // never destroyed: threads end late
  const StructureKey key = key_of(pending);
  if (std::shared_ptr<const Cached> known = cache->find(key)) return known;
  TracedGraph traced = build_evaluation_graph(pending);
  if (prints(Stage::graph)) print_stage(Stage::graph, "eval, as built", traced.graph.to_text());
  const Graph simplified = simplify(traced.graph);
  if (prints(Stage::graph)) print_stage(Stage::graph, "eval, simplified", simplified.to_text());
  auto made = std::make_shared<const Cached>(Cached{Program::create(simplified, "eval"),
                                                    std::move(traced.output_entries),
                                                    std::move(traced.output_indices)});
  cache->insert(key, made);
  return made;
}

void Evaluation::run() {
  wait_for_inputs();
  std::vector<ProgramInput> given;
  try {
    const std::shared_ptr<const Cached> cached = program_of(pending_);
    given = program_inputs();
    std::vector<ProgramOutput> results = cached->program->run(given);
    given.clear();
    complete(*cached, std::move(results));
  } catch (...) {
    const bool is_lost =
        std::any_of(given.begin(), given.end(), [](const ProgramInput& input) { return input.written_over; });
    fail(std::current_exception(), is_lost);
    throw;
  }
}

std::vector<ProgramInput> Evaluation::program_inputs() const {
  std::vector<ProgramInput> inputs;
  for (uint32_t entry = 0; entry < pending_.entries.size(); ++entry) {
    if (!pending_.entries[entry].is_leaf) continue;
    const Node& leaf = node(entry);
    // A leaf that only this graph uses dies with it.
    const bool dies = !keeps_graph_ && leaf.outputs.size() == 1 && !pending_.is_held(entry) &&
                      leaf.outputs[0].buffer->ref_count() == 1;
    for (const NodeOutput& output : leaf.outputs) {
      inputs.push_back({output.buffer, output.offset, output.shape, output.strides, dies});
    }
  }
  return inputs;
}

void Evaluation::complete(const Cached& program, std::vector<ProgramOutput> results) {
  std::vector<std::vector<array>> dropped;
  std::vector<Ref<Pending>> waiting;
  for (size_t i = 0; i < results.size(); ++i) {
    NodeOutput& output = node(program.output_entries[i]).outputs[program.output_indices[i]];
    output.buffer = std::move(results[i].buffer);
    output.offset = results[i].offset;
    output.strides = std::move(results[i].strides);
  }
  {
    const std::lock_guard lock(graph_mutex());
    for (const uint32_t entry : program.output_entries) {
      Node& result = node(entry);
      if (result.state.load(std::memory_order_relaxed) == Node::State::computed) continue;
      if (!keeps_graph_) {
        // Nodes further back may go with the inputs: none of them must go before all results are in place.
        dropped.push_back(std::move(result.inputs));
        result.inputs.clear();
        result.producer = nullptr;
      }
      if (result.pending) waiting.push_back(std::move(result.pending));
      result.set_state(Node::State::computed);
    }
  }
  is_done_ = true;
  // Those who wait may go on with memory that nobody else holds.
  dropped.clear();
  owned_.clear();
  for (const Ref<Pending>& pending : waiting) pending->finish();
}

void Evaluation::fail(const std::exception_ptr& error, bool is_lost) {
  std::vector<Ref<Pending>> told;
  {
    const std::lock_guard lock(graph_mutex());
    is_done_ = true;
    for (const PendingNodes::Entry& entry : pending_.entries) {
      if (entry.is_leaf || !entry.is_kept) continue;
      Node& node = *entry.node;
      has_told_ = has_told_ || node.pending;
      if (!node.pending && (is_lost || !owned_.empty())) node.pending = make_ref<Pending>();
      if (node.pending) told.push_back(node.pending);
      node.set_state(is_lost ? Node::State::failed : Node::State::lazy);
    }
  }
  for (const Ref<Pending>& pending : told) pending->finish(error);
}

}  // namespace lazuli
