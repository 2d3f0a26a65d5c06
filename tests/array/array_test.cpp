#include <gtest/gtest.h>

#include <list>
#include <numeric>
#include <sstream>
#include <thread>

#include <lazuli/array/array.h>
#include <lazuli/array/evaluator.h>
#include <lazuli/array/memory.h>
#include <lazuli/array/stream.h>

using namespace lazuli;

namespace {

struct NamedProducer : Producer {
  std::string_view name() const override { return "test"; }
};

template <typename T>
std::vector<T> values(array a) {
  const T* data = a.data<T>();
  return std::vector<T>(data, data + a.size());
}

TEST(Array, Scalars) {
  EXPECT_EQ(array(1.5f).dtype(), float32);
  EXPECT_EQ(array(true).dtype(), bool_);
  EXPECT_EQ(array(3).dtype(), int32);
  EXPECT_EQ(array(int64_t{3}).dtype(), int64);
  EXPECT_EQ(array(complex64_t(1, 2)).dtype(), complex64);
  EXPECT_EQ(array(float16_t(0.5f)).item<float>(), 0.5f);
  EXPECT_EQ(array(7, float16).item<int>(), 7);
  EXPECT_EQ(array(2.75f, int8).item<int>(), 2);
  EXPECT_EQ(array(2.75f, bfloat16).item<double>(), 2.75);
  EXPECT_EQ(array(3, complex64).item<complex64_t>(), complex64_t(3, 0));
  EXPECT_EQ(array(complex64_t(0, 1), bool_).item<bool>(), true);
  EXPECT_EQ(array(float16_t(1.5f), bfloat16).item<float>(), 1.5f);
  EXPECT_EQ(array(1.0f).ndim(), 0u);
  EXPECT_EQ(array(1.0f).size(), 1u);
}

TEST(Array, FromLists) {
  EXPECT_EQ(array({1.0f, 2.0f}).dtype(), float32);
  EXPECT_EQ(array({1, 2, 3}).dtype(), int32);
  EXPECT_EQ(array({true, false}).dtype(), bool_);
  EXPECT_EQ(array({1, 2}, float32).dtype(), float32);
  EXPECT_EQ(values<float>(array({1, 2}, float32)), (std::vector<float>{1, 2}));
  const array a({1, 2, 3, 4, 5, 6}, Shape{2, 3});
  EXPECT_EQ(a.shape(), (Shape{2, 3}));
  EXPECT_EQ(a.shape(-1), 3);
  EXPECT_EQ(a.strides(), (Strides{3, 1}));
  EXPECT_EQ(a.strides(-2), 3);
  EXPECT_EQ(a.nbytes(), 24u);
  EXPECT_THROW(a.shape(2), std::out_of_range);
  EXPECT_THROW(a.strides(-3), std::out_of_range);
  EXPECT_THROW(array({1, 2, 3}, Shape{2, 2}), std::invalid_argument);
  EXPECT_EQ(array({}).size(), 0u);
}

TEST(Array, FromIterators) {
  std::vector<float> numbers(12);
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  EXPECT_EQ(values<float>(array(numbers.begin(), Shape{3, 4})), numbers);
  EXPECT_EQ(values<int32_t>(array(numbers.data(), Shape{4}, int32)), (std::vector<int32_t>{0, 1, 2, 3}));
  const std::vector<bool> flags{true, false, true};
  EXPECT_EQ(values<uint8_t>(array(flags.begin(), Shape{3}, uint8)), (std::vector<uint8_t>{1, 0, 1}));
  const std::list<double> list{1.5, 2.5};
  EXPECT_EQ(values<double>(array(list.begin(), Shape{2})), (std::vector<double>{1.5, 2.5}));
  EXPECT_THROW(array(numbers.begin(), Shape{-1}), std::invalid_argument);
  EXPECT_THROW(array(numbers.begin(), Shape{1 << 30, 1 << 30, 1 << 30}), std::invalid_argument);
  EXPECT_EQ(array(numbers.begin(), Shape{0, 5}).size(), 0u);
}

TEST(Array, EveryDtypeRoundTrips) {
  for (int i = 0; i < dtype_count; ++i) {
    const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(i));
    const array a({1, 0, 1}, dtype);
    EXPECT_EQ(a.dtype(), dtype);
    EXPECT_EQ(a.nbytes(), 3u * dtype.size());
    EXPECT_EQ(array(1, dtype).item<int>(), 1);
    EXPECT_EQ(array(1, dtype).item<bool>(), true);
  }
}

TEST(Array, ItemWantsOneElement) {
  EXPECT_EQ(array({5}, Shape{1, 1}).item<int>(), 5);
  EXPECT_THROW(array({1, 2}).item<int>(), std::invalid_argument);
  EXPECT_THROW(array({}).item<float>(), std::invalid_argument);
}

TEST(Array, ExternalMemory) {
  std::vector<float> numbers{1, 2, 3, 4};
  void* released = nullptr;
  const size_t active = get_active_memory();
  {
    array a(numbers.data(), Shape{2, 2}, float32, [&](void* data) { released = data; });
    const array copy = a;
    EXPECT_EQ(a.data<float>(), numbers.data());
    EXPECT_EQ(get_active_memory(), active);
    EXPECT_FALSE(a.node()->outputs[0].buffer->is_donatable());
    numbers[0] = 9;
    EXPECT_EQ((*a.begin()).data<float>()[0], 9);
    a = array(1.0f);
    EXPECT_EQ(released, nullptr);
  }
  EXPECT_EQ(released, numbers.data());
  array(numbers.data(), Shape{4}, float32, nullptr).eval();
}

TEST(Array, HandlesShareANode) {
  const array a({1, 2});
  const array b = a;
  EXPECT_EQ(a.id(), b.id());
  EXPECT_NE(a.id(), array({1, 2}).id());
}

TEST(Array, IteratesOverRows) {
  const array a({1, 2, 3, 4, 5, 6}, Shape{3, 2});
  std::vector<int> first;
  for (const array& row : a) {
    EXPECT_EQ(row.shape(), Shape{2});
    first.push_back(row.data<int>()[0]);
  }
  EXPECT_EQ(first, (std::vector<int>{1, 3, 5}));
  EXPECT_EQ((*array({7, 8}).begin()).item<int>(), 7);
  EXPECT_THROW(array(1).begin(), std::invalid_argument);
  EXPECT_THROW(*a.end(), std::out_of_range);
  const array traced(Node::placeholder_of({{4, 2}, float32}));
  array::ArrayIterator::set_indexer(nullptr);
  EXPECT_THROW(*traced.begin(), std::runtime_error);
  array::ArrayIterator::set_indexer(+[](const array&, int row) { return array(row); });
  EXPECT_EQ((*++traced.begin()).item<int>(), 1);
  array::ArrayIterator::set_indexer(nullptr);
}

TEST(Array, PlaceholdersHaveNoData) {
  array a(Node::placeholder_of({{1}, float32}));
  EXPECT_FALSE(a.is_available());
  EXPECT_EQ(a.shape(), Shape{1});
  for (const auto& use : std::vector<std::function<void()>>{[&] { a.eval(); }, [&] { a.item<float>(); },
                                                            [&] { a.data<float>(); }, [&] { eval(a); },
                                                            [&] { async_eval(a); }}) {
    try {
      use();
      ADD_FAILURE();
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(
          std::string(error.what()).rfind("[eval] cannot evaluate an array inside a traced function", 0), 0u);
    }
  }
  EXPECT_THROW(a.strides(), std::runtime_error);
}

TEST(Array, SymbolicShapesOfDataBecomeNumbers) {
  DimScope scope;
  const Dim n = scope.new_symbol(3);
  const std::vector<float> numbers(3);
  const array a(numbers.begin(), Shape{n});
  EXPECT_FALSE(a.shape(0).is_symbolic());
  EXPECT_EQ(scope.table().guards.size(), 2u);
}

TEST(Node, SeveralOutputs) {
  const Ref<Node> node =
      Node::lazy_of(make_ref<NamedProducer>(), {array(1)}, {{{2}, float32}, {{3, 4}, int8}, {{}, bool_}});
  EXPECT_EQ(node->outputs.size(), 3u);
  const array second(node, 1);
  EXPECT_EQ(second.shape(), (Shape{3, 4}));
  EXPECT_EQ(second.dtype(), int8);
  EXPECT_EQ(node->state.load(), Node::State::lazy);
  EXPECT_NE(array(node, 0).id(), second.id());
  EXPECT_EQ(Node::lazy_of(make_ref<NamedProducer>(), {}, {})->outputs.size(), 0u);
}

TEST(Node, LongChainsAreFreedWithoutRecursion) {
  const Ref<const Producer> producer = make_ref<NamedProducer>();
  const size_t active = get_active_memory();
  const auto chain_of = [&](int length) {
    array last({1, 2, 3});
    for (int i = 0; i < length; ++i) {
      last = array(Node::lazy_of(producer, {last, last}, {{{3}, int32}}));
    }
    return last;
  };
  { const array chain = chain_of(1000000); }
  EXPECT_EQ(get_active_memory(), active);
  // By way of inputs that are dropped, as evaluation does.
  const array chain = chain_of(100000);
  chain.node()->inputs.clear();
  EXPECT_EQ(get_active_memory(), active);
  EXPECT_EQ(producer->ref_count(), 2u);
}

TEST(Node, WaitingThreadsSeeTheResult) {
  const Ref<Node> node = Node::lazy_of(make_ref<NamedProducer>(), {array(1)}, {{{}, int32}});
  node->pending = make_ref<Pending>();
  node->set_state(Node::State::scheduled);
  std::vector<std::thread> waiting;
  std::atomic<int> seen{0};
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&node, &seen] {
      const array mine(node);
      EXPECT_EQ(mine.item<int>(), 42);
      ++seen;
    });
  }
  NodeOutput& output = node->outputs.front();
  output.buffer = Buffer::allocate(4);
  const int value = 42;
  std::memcpy(output.buffer->data(), &value, 4);
  node->set_state(Node::State::computed);
  node->pending->finish();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(seen, 3);
}

TEST(Node, ErrorsReachThoseWhoWait) {
  const Ref<Node> node = Node::lazy_of(make_ref<NamedProducer>(), {}, {{{}, int32}});
  node->pending = make_ref<Pending>();
  node->set_state(Node::State::scheduled);
  node->pending->finish(std::make_exception_ptr(std::runtime_error("no")));
  EXPECT_TRUE(node->pending->is_done());
  EXPECT_THROW(array(node).wait(), std::runtime_error);
  EXPECT_THROW(array(node).item<int>(), std::runtime_error);
}

TEST(Device, OnlyTheCpu) {
  EXPECT_EQ(default_device(), Device(Device::cpu));
  EXPECT_TRUE(is_available(Device(Device::cpu)));
  EXPECT_FALSE(is_available(Device(Device::gpu)));
  EXPECT_EQ(device_count(Device::cpu), 1);
  EXPECT_EQ(device_count(Device::gpu), 0);
  EXPECT_THROW(set_default_device(Device(Device::gpu)), std::invalid_argument);
  EXPECT_THROW(to_stream(Device(Device::gpu)), std::invalid_argument);
  EXPECT_THROW(to_stream(Stream{0, Device(Device::gpu)}), std::invalid_argument);
  EXPECT_EQ(to_stream({}), default_stream(Device::cpu));
  EXPECT_EQ(to_stream(Device(Device::cpu)).index, 0);
  std::ostringstream os;
  os << to_stream({});
  EXPECT_EQ(os.str(), "Stream(Device(cpu, 0), 0)");
}

}  // namespace
