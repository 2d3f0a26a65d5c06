#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/block_pool.h>
#include <lazuli/array/buffer.h>
#include <lazuli/array/dtype.h>
#include <lazuli/array/producer.h>
#include <lazuli/array/ref.h>
#include <lazuli/array/shape.h>

namespace lazuli {

class array;
struct Node;

/// Shape and dtype of an array: all that is known before it is evaluated.
struct ArraySpec {
  Shape shape;
  Dtype dtype = float32;
};

/// A lazy N-dimensional array: a handle, cheap to copy, to a node of the graph that computes it. Nothing is
/// computed until `eval`, `item`, `data` or printing asks for it.
class array {
 public:
  /// A scalar. The dtype is that of `T` unless given.
  template <typename T>
  requires std::is_arithmetic_v<T> || std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t> ||
      std::is_same_v<T, complex64_t>
  explicit(false) array(T value, Dtype dtype = dtype_of<T>());

  /// Copies as many elements as the shape holds, row-major, into a new array.
  template <typename It>
  requires std::input_iterator<It> array(
      It data, Shape shape, Dtype dtype = dtype_of<typename std::iterator_traits<It>::value_type>());
  template <typename T>
  array(std::initializer_list<T> data, Dtype dtype = dtype_of<T>());
  array(std::initializer_list<float> data);
  array(std::initializer_list<int> data, Dtype dtype);
  /// Throws std::invalid_argument where the shape does not hold as many elements as there are.
  template <typename T>
  array(std::initializer_list<T> data, Shape shape, Dtype dtype = dtype_of<T>());

  /// The caller's memory, used as it is; `deleter(data)` is called when the last array over it goes.
  array(void* data, Shape shape, Dtype dtype, const std::function<void(void*)>& deleter);

  /// An output of a node.
  array(Ref<Node> node, uint32_t index = 0);
  array(const array&) = default;
  array(array&&) noexcept = default;
  array& operator=(const array&) = default;
  array& operator=(array&&) noexcept = default;
  ~array();

  const Shape& shape() const;
  /// Extent along `dim` (negative from the end); throws std::out_of_range where there is none.
  Dim shape(int dim) const;
  Dtype dtype() const;
  size_t ndim() const { return shape().size(); }
  /// How many elements it has. In a function that is being traced for `compile`, the trace holds for these
  /// extents only; `shape(i)` stands for any.
  size_t size() const;
  size_t nbytes() const { return size() * itemsize(); }
  size_t itemsize() const { return dtype().size(); }
  /// Strides of an evaluated array, in elements; throws std::runtime_error for others.
  const Strides& strides() const;
  int64_t strides(int dim) const;

  /// Computes the array, unless it is computed already. This, and whatever needs the values, throws
  /// std::runtime_error for an argument of a function that is being traced: it has none.
  void eval();
  /// Whether the result is in memory.
  bool is_available() const;
  /// Blocks until work under way on it (async_eval) is done; throws what kept it from being done.
  void wait() const;
  /// The value of an array of one element, evaluated first; throws std::invalid_argument for other sizes.
  template <typename T>
  T item() const;
  /// The first element, evaluated first where need be; neighbours lie `strides()` apart.
  template <typename T>
  T* data();
  template <typename T>
  const T* data() const;

  /// A number that tells arrays apart.
  uintptr_t id() const { return reinterpret_cast<uintptr_t>(node_.get()) + index_; }
  const Ref<Node>& node() const { return node_; }
  uint32_t output_index() const { return index_; }

  struct ArrayIterator;
  ArrayIterator begin() const;
  ArrayIterator end() const;

 private:
  void* raw_data() const;
  void check_item() const;
  void make_available() const;
  static array allocate_host(Shape shape, Dtype dtype, void** data);

  Ref<Node> node_;
  uint32_t index_ = 0;
};

/// One result of a node: what it is, and where it lies once it is computed.
struct NodeOutput {
  Shape shape;
  Dtype dtype = float32;
  Strides strides;     // valid once computed
  int64_t offset = 0;  // of the first element, in bytes, within the buffer
  Ref<Buffer> buffer;  // null until computed
};

/// What threads wait on that need the results of work under way.
class Pending : public RefCounted {
 public:
  /// Blocks until `finish` is called; rethrows the error it was given.
  void wait();
  /// Says that the work is done, or what kept it from being done. Nodes get their new state before.
  void finish(std::exception_ptr error = nullptr);
  bool is_done() const { return done_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> done_{false};
  std::exception_ptr error_;
};

/// The outputs of a node: nearly always one, which then stands in the node itself.
class NodeOutputs {
 public:
  NodeOutputs() = default;
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  NodeOutput* data() { return count_ == 1 ? &one_ : many_.get(); }
  const NodeOutput* data() const { return count_ == 1 ? &one_ : many_.get(); }
  NodeOutput* begin() { return data(); }
  NodeOutput* end() { return data() + count_; }
  const NodeOutput* begin() const { return data(); }
  const NodeOutput* end() const { return data() + count_; }
  NodeOutput& operator[](size_t i) { return data()[i]; }
  const NodeOutput& operator[](size_t i) const { return data()[i]; }
  NodeOutput& front() { return *data(); }
  const NodeOutput& front() const { return *data(); }
  NodeOutput& back() { return data()[count_ - 1]; }
  const NodeOutput& back() const { return data()[count_ - 1]; }
  /// Makes it `count` outputs, all anew.
  void reset(size_t count) {
    many_ = count == 1 ? nullptr : std::make_unique<NodeOutput[]>(count);
    one_ = NodeOutput();
    count_ = count;
  }

 private:
  size_t count_ = 1;
  std::unique_ptr<NodeOutput[]> many_;
  NodeOutput one_;
};

/// Guards how nodes hang together while they are evaluated; see Node.
std::mutex& graph_mutex();

/// A node of the graph that arrays build: an operation applied to arrays, or data. Once its outputs are
/// computed it lets go of its inputs.
///
/// Threads read `state` with acquire; the outputs that `computed` promises are written before it is stored
/// with release, and not again. Under `graph_mutex` nodes are scheduled, waited for, and let go of their
/// inputs; whoever looks at the inputs of nodes that other threads may evaluate holds it too.
struct Node final : RefCounted, Pooled<Node> {
  enum class State : uint8_t {
    lazy,         ///< has a producer and inputs
    scheduled,    ///< being computed, or waiting for its turn
    computed,     ///< outputs have buffers
    failed,       ///< could not be computed, and what it needs is gone; `pending` has the error
    placeholder,  ///< an argument of a function that is being traced: it never has data
  };
  static constexpr int16_t no_stream = -1;

  // Written out, so that making one does not fill it with zeros first.
  Node() {}

  std::atomic<State> state{State::lazy};
  int16_t stream = no_stream;  // the one it was made for, where that was said
  Ref<const Producer> producer;
  std::vector<array> inputs;
  Ref<Pending> pending;  // once somebody waits; of what failed, the error
  NodeOutputs outputs;

  bool is_computed() const { return state.load(std::memory_order_acquire) == State::computed; }
  /// Blocks while it is scheduled; rethrows what kept it from being computed the last time.
  void wait();
  /// Makes outputs that were written before visible to other threads.
  void set_state(State to) { state.store(to, std::memory_order_release); }

  /// A node whose single output is in memory.
  static Ref<Node> of_data(Ref<Buffer> buffer, int64_t offset, Shape shape, Strides strides, Dtype dtype);
  static Ref<Node> placeholder_of(ArraySpec spec);
  static Ref<Node> lazy_of(Ref<const Producer> producer, std::vector<array> inputs,
                           std::vector<ArraySpec> outputs);
  /// The same for a single output, cheaper.
  static Ref<Node> lazy_of_one(Ref<const Producer> producer, std::vector<array> inputs, ArraySpec output);

 private:
  void destroy() const override;  // frees chains of any length without recursion
  mutable const Node* next_dead_ = nullptr;
};

/// Steps through the first dimension.
struct array::ArrayIterator {
  using iterator_category = std::random_access_iterator_tag;
  using difference_type = int64_t;
  using value_type = array;
  using reference = array;

  /// Throws std::invalid_argument for an array without dimensions.
  explicit ArrayIterator(const array& arr, int idx = 0);
  /// The row: a view of an array that is computed; else what the indexer makes, where one is set; else the
  /// array is computed first.
  reference operator*() const;
  /// Sets what takes a row of an array that is not computed: the layer that has such an operation does.
  static void set_indexer(array (*indexer)(const array& from, int row));
  ArrayIterator& operator+(difference_type diff) {
    idx += static_cast<int>(diff);
    return *this;
  }
  ArrayIterator& operator++() {
    ++idx;
    return *this;
  }
  friend bool operator==(const ArrayIterator& a, const ArrayIterator& b) {
    return a.arr.id() == b.arr.id() && a.idx == b.idx;
  }
  friend bool operator!=(const ArrayIterator& a, const ArrayIterator& b) { return !(a == b); }

 private:
  array arr;
  int idx;
};

/// Prints like NumPy, evaluating first.
std::ostream& operator<<(std::ostream& os, array a);

}  // namespace lazuli

#include <lazuli/array/array_inl.h>
