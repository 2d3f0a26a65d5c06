#include <lazuli/array/array.h>

#include <lazuli/array/stream.h>

namespace lazuli {

Ref<Node> Node::of_data(Ref<Buffer> buffer, int64_t offset, Shape shape, Strides strides, Dtype dtype) {
  Ref<Node> node = make_ref<Node>();
  NodeOutput& output = node->outputs.front();
  output.shape = std::move(shape);
  output.dtype = dtype;
  output.strides = std::move(strides);
  output.offset = offset;
  output.buffer = std::move(buffer);
  node->set_state(State::computed);
  return node;
}

Ref<Node> Node::placeholder_of(ArraySpec spec) {
  Ref<Node> node = make_ref<Node>();
  node->outputs.front().shape = std::move(spec.shape);
  node->outputs.front().dtype = spec.dtype;
  node->set_state(State::placeholder);
  return node;
}

Ref<Node> Node::lazy_of_one(Ref<const Producer> producer, std::vector<array> inputs, ArraySpec output) {
  Ref<Node> node = make_ref<Node>();
  node->stream = named_stream();
  node->producer = std::move(producer);
  node->inputs = std::move(inputs);
  node->outputs.front().shape = std::move(output.shape);
  node->outputs.front().dtype = output.dtype;
  return node;
}

Ref<Node> Node::lazy_of(Ref<const Producer> producer, std::vector<array> inputs,
                        std::vector<ArraySpec> outputs) {
  if (outputs.size() == 1) return lazy_of_one(std::move(producer), std::move(inputs), std::move(outputs[0]));
  Ref<Node> node = make_ref<Node>();
  node->stream = named_stream();
  node->producer = std::move(producer);
  node->inputs = std::move(inputs);
  node->outputs.reset(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    node->outputs[i].shape = std::move(outputs[i].shape);
    node->outputs[i].dtype = outputs[i].dtype;
  }
  return node;
}

namespace {

/// Nodes of this thread that lost their last owner while another one was being freed.
struct DeadNodes {
  const Node* first = nullptr;
  bool is_freeing = false;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local DeadNodes dead_nodes;

}  // namespace

void Node::destroy() const {
  DeadNodes& dead = dead_nodes;
  if (dead.is_freeing) {
    next_dead_ = dead.first;
    dead.first = this;
    return;
  }
  // Freeing a node frees its inputs, which come back here and are put on the list.
  dead.is_freeing = true;
  const Node* node = this;
  while (true) {
    delete node;
    node = dead.first;
    if (node == nullptr) break;
    dead.first = node->next_dead_;
  }
  dead.is_freeing = false;
}

std::mutex& graph_mutex() {
  static std::mutex* const mutex = new std::mutex;  // never destroyed: threads may evaluate until the end
  return *mutex;
}

void Node::wait() {
  Ref<Pending> on;
  {
    const std::lock_guard lock(graph_mutex());
    if (!pending && state.load(std::memory_order_relaxed) == State::scheduled) pending = make_ref<Pending>();
    if (!pending) return;
    on = pending;
  }
  on->wait();
}

void Pending::wait() {
  done_.wait(false, std::memory_order_acquire);
  if (error_) std::rethrow_exception(error_);
}

void Pending::finish(std::exception_ptr error) {
  error_ = std::move(error);
  done_.store(true, std::memory_order_release);
  done_.notify_all();
}

}  // namespace lazuli
