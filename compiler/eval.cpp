#include <algorithm>
#include <map>
#include <mutex>
#include <stdexcept>
#include <tuple>
#include <utility>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/stream.h>
#include <lazuli/compiler/evaluation.h>
#include <lazuli/compiler/thread_pool.h>
#include <lazuli/compiler/worker.h>
#include <lazuli/graph/trace.h>
#include <lazuli/graph/transforms/tracing.h>

namespace lazuli {

namespace {

/// Whether this thread runs an evaluation: one within it is a part of that.
thread_local bool is_evaluating = false;

struct EvaluatingScope {
  EvaluatingScope() : before(std::exchange(is_evaluating, true)) {}
  ~EvaluatingScope() { is_evaluating = before; }
  EvaluatingScope(const EvaluatingScope&) = delete;
  EvaluatingScope& operator=(const EvaluatingScope&) = delete;
  bool before;
};

/// What the lazy nodes of a graph say of streams.
struct Streams {
  size_t lazy = 0;  // how many nodes are
  bool are_mixed = false;
  int only = Node::no_stream;  // where they are not mixed
};

/// Throws for placeholders.
Streams streams_of(const PendingNodes& pending) {
  Streams result;
  for (const PendingNodes::Entry& entry : pending.entries) {
    if (entry.is_leaf) {
      if (entry.node->state.load(std::memory_order_relaxed) != Node::State::placeholder) continue;
      throw std::runtime_error(
          "[eval] an argument of a function that is being traced has no value yet: eval, item and printing "
          "cannot be used inside a function that is being compiled or vectorized");
    }
    const int stream = entry.node->stream;
    result.are_mixed = result.are_mixed || (result.lazy > 0 && stream != result.only);
    result.only = stream;
    ++result.lazy;
  }
  return result;
}

int default_index() {
  return default_stream(default_device()).index;
}

/// Larger graphs are cut: programs of bounded size, which long loops find again and again.
constexpr size_t most_nodes = 8192;

/// The parts of a graph that programs of their own compute, in an order in which each finds what it needs
/// under way: by pieces of the graph, by how often the stream changes on the way to it, then by stream.
struct Part {
  int stream = 0;
  std::vector<array> outputs;  // what is kept, or used by other parts
};

std::vector<Part> parts_of(const PendingNodes& pending, int default_stream) {
  struct Place {
    size_t piece = 0;
    int changes = 0;
    int stream = 0;
    bool operator==(const Place&) const = default;
    bool operator<(const Place& other) const {
      return std::tie(piece, changes, stream) < std::tie(other.piece, other.changes, other.stream);
    }
  };
  const size_t count = pending.entries.size();
  std::vector<Place> place(count);
  std::vector<bool> is_output(count);
  size_t lazy = 0;
  const uint32_t* inputs = pending.inputs.data();
  for (size_t e = 0; e < count; ++e) {
    const PendingNodes::Entry& entry = pending.entries[e];
    if (entry.is_leaf) continue;
    const int stream = entry.node->stream == Node::no_stream ? default_stream : entry.node->stream;
    int changes = 0;
    const size_t operands = entry.node->inputs.size();
    for (const uint32_t input : std::span(inputs, operands)) {
      if (pending.entries[input].is_leaf) continue;
      changes = std::max(changes, place[input].changes + (place[input].stream == stream ? 0 : 1));
    }
    place[e] = {lazy++ / most_nodes, changes, stream};
    is_output[e] = entry.is_kept;
    for (const uint32_t input : std::span(inputs, operands)) {
      if (!pending.entries[input].is_leaf && place[input] != place[e]) is_output[input] = true;
    }
    inputs += operands;
  }
  std::map<Place, Part> parts;
  for (size_t e = 0; e < count; ++e) {
    if (!is_output[e]) continue;
    Part& part = parts[place[e]];
    part.stream = place[e].stream;
    part.outputs.emplace_back(Ref<Node>(pending.entries[e].node));
  }
  std::vector<Part> result;
  result.reserve(parts.size());
  for (auto& [at, part] : parts) result.push_back(std::move(part));
  return result;
}

/// Waits for arrays that are under way, from before the lock is given up.
class Waiting {
 public:
  /// The caller holds `graph_mutex`.
  explicit Waiting(std::span<const array> arrays) {
    for (const array& a : arrays) {
      Node& node = *a.node();
      if (node.is_computed()) continue;
      if (!node.pending) node.pending = make_ref<Pending>();
      pending_.push_back(node.pending);
    }
  }
  void wait() const {
    for (const Ref<Pending>& pending : pending_) pending->wait();
  }

 private:
  std::vector<Ref<Pending>> pending_;
};

/// Evaluations are handed to streams in one order, under `graph_mutex`, and each waits for earlier ones only:
/// the earliest that is not done can always go on.
class GraphEvaluator final : public Evaluator {
 public:
  void eval(std::span<const array> arrays) override {
    Handed handed;  // goes after the lock does
    std::unique_lock lock(graph_mutex());
    PendingNodes pending = collect_pending(arrays);
    const Streams streams = streams_of(pending);
    if (streams.lazy > most_nodes && !streams.are_mixed) {
      std::vector<Part> parts = parts_of(pending, default_index());
      lock.unlock();
      for (Part& part : parts) eval(std::exchange(part.outputs, {}));
      return eval(arrays);
    }
    if (streams.lazy > 0) {
      if ((!streams.are_mixed || is_evaluating) && run_here(pending, streams.only, lock)) return;
      submit(arrays, std::move(pending), streams, handed);
    }
    const Waiting waiting(arrays);
    lock.unlock();
    waiting.wait();
  }

  void async_eval(std::span<const array> arrays) override {
    if (transforms::is_tracing()) return eval(arrays);  // which keeps the graph behind them
    Handed handed;                                      // goes after the lock does
    const std::lock_guard lock(graph_mutex());
    PendingNodes pending = collect_pending(arrays);
    const Streams streams = streams_of(pending);
    if (streams.lazy > 0) submit(arrays, std::move(pending), streams, handed);
  }

  void synchronize(int stream) override {
    std::shared_ptr<Worker> worker;
    {
      const std::lock_guard lock(graph_mutex());
      worker = worker_of(stream);
    }
    worker->wait();
    throw_error_of(stream);
  }

  void synchronize() override {
    std::vector<std::shared_ptr<Worker>> all;
    {
      const std::lock_guard lock(graph_mutex());
      all = workers_;
    }
    for (const auto& worker : all) {
      if (worker) worker->wait();
    }
    for (size_t stream = 0; stream < all.size(); ++stream) throw_error_of(static_cast<int>(stream));
  }

  void forget_streams() override {
    std::vector<std::shared_ptr<Worker>> forgotten;
    {
      const std::lock_guard lock(graph_mutex());
      errors_.clear();
      if (workers_.size() <= 1) return;
      forgotten.assign(workers_.begin() + 1, workers_.end());
      workers_.resize(1);
    }
    for (const auto& worker : forgotten) {
      if (worker) worker->end();
    }
  }

 private:
  using Handed = std::vector<std::shared_ptr<Evaluation>>;

  /// Runs a graph of one stream in this thread where the stream has nothing else to do; false where it has.
  bool run_here(PendingNodes& pending, int stream, std::unique_lock<std::mutex>& lock) {
    Worker* worker = nullptr;
    if (!is_evaluating) {
      worker = worker_of(stream == Node::no_stream ? default_index() : stream).get();
      if (!worker->claim()) return false;
    }
    struct Release {
      Worker* worker;
      ~Release() {
        if (worker != nullptr) worker->release();
      }
    } const release{worker};
    Evaluation evaluation(std::move(pending), {}, transforms::is_tracing());
    lock.unlock();
    const EvaluatingScope scope;
    evaluation.run();
    return true;
  }

  /// Hands what is to be computed to the streams. The caller holds `graph_mutex`.
  void submit(std::span<const array> arrays, PendingNodes pending, const Streams& streams, Handed& handed) {
    if (!streams.are_mixed && streams.lazy <= most_nodes) {
      const int stream = streams.only == Node::no_stream ? default_index() : streams.only;
      handed.push_back(hand_over(stream, std::move(pending), {arrays.begin(), arrays.end()}));
      return;
    }
    for (Part& part : parts_of(pending, default_index())) {
      PendingNodes of_part = collect_pending(part.outputs);  // what earlier parts make is a leaf by now
      handed.push_back(hand_over(part.stream, std::move(of_part), std::move(part.outputs)));
    }
  }

  std::shared_ptr<Evaluation> hand_over(int stream, PendingNodes pending, std::vector<array> outputs) {
    auto evaluation =
        std::make_shared<Evaluation>(std::move(pending), std::move(outputs), transforms::is_tracing());
    worker_of(stream)->add([this, stream, evaluation] {
      try {
        evaluation->wait_for_inputs();
        const WorkingThread turn;
        const EvaluatingScope scope;
        evaluation->run();
      } catch (...) {
        if (evaluation->has_told()) return;
        const std::lock_guard lock(graph_mutex());
        errors_.try_emplace(stream, std::current_exception());
      }
    });
    return evaluation;
  }

  /// The caller holds `graph_mutex`.
  const std::shared_ptr<Worker>& worker_of(int stream) {
    const auto index = static_cast<size_t>(stream);
    if (workers_.size() <= index) workers_.resize(index + 1);
    if (!workers_[index]) workers_[index] = Worker::create();
    return workers_[index];
  }

  void throw_error_of(int stream) {
    std::exception_ptr error;
    {
      const std::lock_guard lock(graph_mutex());
      const auto found = errors_.find(stream);
      if (found == errors_.end()) return;
      error = std::move(found->second);
      errors_.erase(found);
    }
    std::rethrow_exception(error);
  }

  // Guarded by graph_mutex.
  std::vector<std::shared_ptr<Worker>> workers_;  // of each stream that has had work
  std::map<int, std::exception_ptr> errors_;      // of streams, that nobody has been told
};

}  // namespace

Evaluator& evaluator() {
  static GraphEvaluator* const instance =
      new GraphEvaluator;  // never destroyed: threads may use it until the end
  return *instance;
}

}  // namespace lazuli
