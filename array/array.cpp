#include <lazuli/array/array.h>

#include <atomic>
#include <span>

#include <lazuli/array/evaluator.h>

namespace lazuli {

namespace {

[[noreturn]] void throw_traced() {
  throw std::runtime_error(
      "[eval] cannot evaluate an array inside a traced function: while a function is being compiled or "
      "transformed its arguments stand for arrays to come and have no values");
}

size_t byte_count(const Shape& shape, Dtype dtype) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<size_t>(element_count(shape)), size_t{dtype.size()}, &bytes)) {
    throw std::invalid_argument("[array] too many elements in " + shape_to_string(shape));
  }
  return bytes;
}

std::atomic<array (*)(const array&, int)> row_indexer{nullptr};

}  // namespace

array array::allocate_host(Shape shape, Dtype dtype, void** data) {
  shape = concrete_shape(shape);
  Ref<Buffer> buffer = Buffer::allocate(byte_count(shape, dtype));
  *data = buffer->data();
  Strides strides = row_major_strides(shape);
  return array(Node::of_data(std::move(buffer), 0, std::move(shape), std::move(strides), dtype));
}

array::array(std::initializer_list<float> data) : array(data.begin(), Shape(1, Dim(data.size())), float32) {}

array::array(std::initializer_list<int> data, Dtype dtype)
    : array(data.begin(), Shape(1, Dim(data.size())), dtype) {}

array::array(void* data, Shape shape, Dtype dtype, const std::function<void(void*)>& deleter) {
  shape = concrete_shape(shape);
  const size_t bytes = byte_count(shape, dtype);
  std::function<void()> release;
  if (deleter) release = [deleter, data] { deleter(data); };
  Strides strides = row_major_strides(shape);
  node_ = Node::of_data(Buffer::external(data, bytes, std::move(release)), 0, std::move(shape),
                        std::move(strides), dtype);
}

Dim array::shape(int dim) const {
  const Shape& extents = shape();
  const int count = static_cast<int>(extents.size());
  if (dim < -count || dim >= count) {
    throw std::out_of_range("[shape] dimension " + std::to_string(dim) + " of an array with " +
                            std::to_string(count));
  }
  return extents[static_cast<size_t>(dim < 0 ? dim + count : dim)];
}

const Strides& array::strides() const {
  if (!is_available()) throw std::runtime_error("[strides] the array is not evaluated");
  return node_->outputs[index_].strides;
}

int64_t array::strides(int dim) const {
  const Strides& all = strides();
  const int count = static_cast<int>(all.size());
  if (dim < -count || dim >= count) {
    throw std::out_of_range("[strides] dimension " + std::to_string(dim) + " of an array with " +
                            std::to_string(count));
  }
  return all[static_cast<size_t>(dim < 0 ? dim + count : dim)];
}

void array::make_available() const {
  switch (node_->state.load(std::memory_order_acquire)) {
    case Node::State::computed:
      return;
    case Node::State::placeholder:
      throw_traced();
    case Node::State::scheduled:
    case Node::State::failed:
      node_->wait();
      break;
    case Node::State::lazy:
      break;
  }
  if (!is_available()) evaluator().eval(std::span<const array>(this, 1));
}

void array::eval() {
  make_available();
}

void array::wait() const {
  if (!is_available()) node_->wait();
}

void* array::raw_data() const {
  make_available();
  const NodeOutput& output = node_->outputs[index_];
  return output.buffer->data() + output.offset;
}

void array::check_item() const {
  if (size() != 1) {
    throw std::invalid_argument("[item] the array has shape " + shape_to_string(shape()) +
                                "; item() wants one element");
  }
}

array::ArrayIterator array::begin() const {
  return ArrayIterator(*this, 0);
}

array::ArrayIterator array::end() const {
  return ArrayIterator(*this, ndim() == 0 ? 0 : static_cast<int>(shape(0)));
}

array::ArrayIterator::ArrayIterator(const array& from, int at) : arr(from), idx(at) {
  if (arr.ndim() == 0) throw std::invalid_argument("[array] cannot iterate over an array without dimensions");
}

void array::ArrayIterator::set_indexer(array (*indexer)(const array&, int)) {
  row_indexer.store(indexer, std::memory_order_relaxed);
}

array array::ArrayIterator::operator*() const {
  if (idx < 0 || idx >= arr.shape()[0].hint()) {
    throw std::out_of_range("[array] row " + std::to_string(idx) + " of shape " +
                            shape_to_string(arr.shape()));
  }
  const auto indexer = row_indexer.load(std::memory_order_relaxed);
  // What is computed may still be part of a graph that is being transformed.
  if (indexer != nullptr && (!arr.is_available() || arr.node_->producer)) return indexer(arr, idx);
  arr.make_available();
  const NodeOutput& whole = arr.node_->outputs[arr.index_];
  const int64_t offset = whole.offset + idx * whole.strides[0] * static_cast<int64_t>(whole.dtype.size());
  return array(Node::of_data(whole.buffer, offset, Shape(whole.shape.begin() + 1, whole.shape.end()),
                             Strides(whole.strides.begin() + 1, whole.strides.end()), whole.dtype));
}

void eval(std::vector<array> outputs) {
  for (const array& output : outputs) {
    if (output.node()->state.load(std::memory_order_acquire) == Node::State::placeholder) throw_traced();
  }
  evaluator().eval(outputs);
}

void async_eval(std::vector<array> outputs) {
  for (const array& output : outputs) {
    if (output.node()->state.load(std::memory_order_acquire) == Node::State::placeholder) throw_traced();
  }
  evaluator().async_eval(outputs);
}

}  // namespace lazuli
