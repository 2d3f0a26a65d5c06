#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <lazuli/compiler/operations.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

namespace lazuli {
namespace {

/// Streams of other tests do not matter here, nor do ours to them.
class StreamTest : public testing::Test {
 protected:
  void SetUp() override { clear_streams(); }
  void TearDown() override { clear_streams(); }
};

TEST_F(StreamTest, AreNumbered) {
  EXPECT_EQ(get_streams().size(), 1u);
  const Stream first = new_stream(Device::cpu), second = new_stream(Device::cpu);
  EXPECT_EQ(first.index, 1);
  EXPECT_EQ(second.index, 2);
  EXPECT_FALSE(first == second);
  EXPECT_TRUE(first < second);
  EXPECT_EQ(get_streams().size(), 3u);
  clear_streams();
  EXPECT_EQ(get_streams().size(), 1u);
}

TEST_F(StreamTest, OperationsTakeThoseThatThereAre) {
  const Stream stream = new_stream(Device::cpu);
  EXPECT_EQ(add(array(1.0f), array(2.0f), stream).item<float>(), 3.0f);
  EXPECT_THROW(add(array(1.0f), array(2.0f), Stream{7, Device::cpu}), std::invalid_argument);
  EXPECT_THROW(set_default_stream(Stream{7, Device::cpu}), std::invalid_argument);
  EXPECT_THROW(new_stream(Device::gpu), std::invalid_argument);
  EXPECT_THROW(synchronize(Stream{-1, Device::cpu}), std::invalid_argument);
}

TEST_F(StreamTest, TheDefaultIsSetForAScope) {
  const Stream stream = new_stream(Device::cpu);
  {
    const StreamContext context(stream);
    EXPECT_EQ(default_stream(Device::cpu), stream);
    EXPECT_EQ(to_stream({}), stream);
  }
  EXPECT_EQ(default_stream(Device::cpu).index, 0);
  set_default_stream(stream);
  EXPECT_EQ(to_stream(Device(Device::cpu)), stream);
}

TEST_F(StreamTest, SynchronizeWaitsForWhatWasStarted) {
  synchronize();  // nothing to wait for
  std::vector<array> results;
  for (int i = 0; i < 20; ++i) {
    results.push_back(matmul(full({64, 64}, static_cast<float>(i)), ones({64, 64})));
    async_eval(results.back());
  }
  synchronize();
  for (const array& result : results) EXPECT_TRUE(result.is_available());
  EXPECT_EQ(sum(results[3]).item<float>(), 3.0f * 64 * 64 * 64);
}

/// Holds up whoever computes it until it is told to go on; its result is its operand.
class Gate final : public HostOperation {
 public:
  std::string_view name() const override { return "gate"; }
  void attributes(AttributeWriter& writer) const override {
    writer.write("id", static_cast<int64_t>(reinterpret_cast<intptr_t>(this)));
  }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    began.test_and_set();
    began.notify_all();
    open_.wait(false);
    if (fails) throw std::runtime_error("[gate] it fell shut");
    *reinterpret_cast<float*>(outputs[0].data) = *reinterpret_cast<const float*>(inputs[0].data);
  }
  void open() const {
    open_.test_and_set();
    open_.notify_all();
  }
  mutable std::atomic_flag began;
  bool fails = false;

 private:
  mutable std::atomic_flag open_;
};

array through(const Ref<Gate>& gate, const array& a, const Stream& stream) {
  const StreamContext on(stream);
  return apply(gate, {a});
}

TEST_F(StreamTest, AsyncEvalReturnsBeforeTheWorkIsDone) {
  const Stream stream = new_stream(Device::cpu);
  const Ref<Gate> gate = make_ref<Gate>();
  const array result = through(gate, array(3.0f), stream) + 1.0f;
  async_eval(result);
  EXPECT_FALSE(result.is_available());
  gate->began.wait(false);
  EXPECT_FALSE(result.is_available());
  gate->open();
  EXPECT_EQ(result.item<float>(), 4.0f);
}

TEST_F(StreamTest, RunSideBySide) {
  // Each gate opens only when the other's stream has begun.
  const Stream first = new_stream(Device::cpu), second = new_stream(Device::cpu);
  const Ref<Gate> a = make_ref<Gate>(), b = make_ref<Gate>();
  const array x = through(a, array(1.0f), first), y = through(b, array(2.0f), second);
  if (num_threads() < 2) set_num_threads(2);
  async_eval(x, y);
  a->began.wait(false);
  b->began.wait(false);
  a->open();
  b->open();
  EXPECT_EQ((x + y).item<float>(), 3.0f);
  set_num_threads(0);
}

TEST_F(StreamTest, KeepTheOrderOfWhatTheyAreGiven) {
  const Stream stream = new_stream(Device::cpu);
  const Ref<Gate> gate = make_ref<Gate>();
  const array first = through(gate, array(1.0f), stream);
  async_eval(first);
  const array second = add(array(1.0f), array(1.0f), stream);
  async_eval(second);
  gate->began.wait(false);
  EXPECT_FALSE(second.is_available());
  // Another stream, and the calling thread's own, need not wait.
  EXPECT_EQ((array(2.0f) * 2.0f).item<float>(), 4.0f);
  gate->open();
  synchronize(stream);
  EXPECT_TRUE(first.is_available());
  EXPECT_TRUE(second.is_available());
}

TEST_F(StreamTest, WaitForWhatOthersMake) {
  const Stream first = new_stream(Device::cpu), second = new_stream(Device::cpu);
  const Ref<Gate> gate = make_ref<Gate>();
  const array made = through(gate, array(5.0f), first);
  async_eval(made);
  const array used = add(made, array(1.0f), second);
  async_eval(used);
  EXPECT_FALSE(used.is_available());
  gate->open();
  EXPECT_EQ(used.item<float>(), 6.0f);
}

TEST_F(StreamTest, OneGraphGoesThroughSeveral) {
  const Stream first = new_stream(Device::cpu), second = new_stream(Device::cpu);
  array x = full({1000}, 1.0f);
  const array held = add(x, x, first);
  x = multiply(held, held, second);
  for (int i = 0; i < 20; ++i) {
    x = add(x, held, i % 2 == 0 ? first : second);
    if (i % 3 == 0) x = x - 1.0f;  // wherever it is evaluated
  }
  const array other = sum(x, false, second);
  eval(x, other);
  EXPECT_EQ(sum(x).item<float>(), 1000 * (4.0f + 20 * 2 - 7));
  EXPECT_EQ(other.item<float>(), 1000 * (4.0f + 20 * 2 - 7));
}

TEST_F(StreamTest, OperationsOfAllKindsRunWhereTheyAreTold) {
  const Stream s = new_stream(Device::cpu);
  const array x = full({4, 6}, 0.5f), keys = random::key(1);
  const std::vector<std::pair<const char*, array>> results{
      {"add", add(x, x, s)},
      {"astype", astype(x, float16, s)},
      {"sum", sum(x, 0, false, s)},
      {"argmax", argmax(x, 1, false, s)},
      {"reshape", reshape(x, {6, 4}, s)},
      {"transpose", transpose(x, s)},
      {"slice", slice(x, {0, 0}, {2, 2}, s)},
      {"concatenate", concatenate({x, x}, 0, s)},
      {"take", take(x, array({1, 0}), 0, s)},
      {"matmul", matmul(x, transpose(x), s)},
      {"sort", sort(x, 1, s)},
      {"cumsum", cumsum(x, 1, false, true, s)},
      {"softmax", softmax(x, -1, false, s)},
      {"where", where(x > array(0.0f), x, x, s)},
      {"arange", arange(0, 5, 1, s)},
      {"zeros", zeros({3}, float32, s)},
      {"bits", random::bits({4}, 4, keys, s)},
      {"normal", random::normal({4}, float32, 0.0f, 1.0f, keys, s)},
      {"fft", fft::fft(x, 6, -1, fft::FFTNorm::Backward, s)},
      {"conv1d", conv1d(full({1, 8, 2}, 1.0f), full({3, 2, 2}, 1.0f), 1, 0, 1, 1, s)},
      {"einsum", einsum("ij,kj->ik", {x, x}, s)},
      {"rms_norm", fast::rms_norm(x, std::nullopt, 1e-5f, s)},
      {"layer_norm", fast::layer_norm(x, std::nullopt, std::nullopt, 1e-5f, s)},
      {"scatter_add", scatter_add(x, array({0}), ones({1, 1, 6}), 0, s)},
  };
  for (const auto& [name, result] : results) EXPECT_EQ(result.node()->stream, s.index) << name;
}

TEST_F(StreamTest, DerivativesStayOnTheStream) {
  const Stream stream = new_stream(Device::cpu);
  const auto f = [&](const array& x) { return sum(multiply(x, sin(x, stream), stream), false, stream); };
  const array x = array({0.5f, 1.0f});
  const array gradient = grad(std::function<array(const array&)>(f))(x);
  EXPECT_EQ(gradient.node()->stream, stream.index);
  EXPECT_TRUE(allclose(gradient, sin(x) + x * cos(x)).item<bool>());
}

TEST_F(StreamTest, ErrorsReachWhoeverWaits) {
  const Stream first = new_stream(Device::cpu), second = new_stream(Device::cpu);
  const auto fails = [&](const Stream& stream) {
    const Ref<Gate> gate = make_ref<Gate>();
    gate->fails = true;
    gate->open();
    return through(gate, array(1.0f), stream);
  };
  array bad = fails(first);
  async_eval(bad);
  EXPECT_THROW(synchronize(first), std::runtime_error);
  synchronize(first);  // told once
  EXPECT_THROW(bad.item<float>(), std::runtime_error);
  // By way of another stream.
  bad = fails(first);
  const array after = add(bad, array(1.0f), second);
  async_eval(after);
  EXPECT_THROW(synchronize(), std::runtime_error);
  EXPECT_THROW(after.wait(), std::runtime_error);
  EXPECT_THROW(eval(after), std::runtime_error);
  clear_streams();
  // Nothing is left behind.
  EXPECT_EQ((array(1.0f) + 1.0f).item<float>(), 2.0f);
}

TEST_F(StreamTest, WhatFailedIsTriedAgain) {
  const Stream stream = new_stream(Device::cpu);
  const Ref<Gate> gate = make_ref<Gate>();
  gate->fails = true;
  gate->open();
  const array x = array(7.0f);
  const array result = through(gate, x, stream);
  async_eval(result);
  EXPECT_THROW(synchronize(), std::runtime_error);
  gate->fails = false;
  EXPECT_EQ(result.item<float>(), 7.0f);
}

TEST_F(StreamTest, WorkDoesNotWaitForMoreThreadsThanThereAre) {
  // Many streams whose work waits for each other's, on one thread.
  set_num_threads(1);
  std::vector<Stream> all;
  for (int i = 0; i < 8; ++i) all.push_back(new_stream(Device::cpu));
  std::vector<array> values;
  for (int i = 0; i < 8; ++i) values.push_back(array(static_cast<float>(i)));
  for (int round = 0; round < 50; ++round) {
    for (size_t i = 0; i < 8; ++i) {
      values[i] = add(multiply(values[i], array(0.5f), all[i]), values[(i + 3) % 8], all[(i + 1) % 8]);
      async_eval(values[i]);
    }
  }
  synchronize();
  for (const array& value : values) EXPECT_TRUE(value.is_available());
  set_num_threads(0);
}

TEST_F(StreamTest, ThreadsHaveTheirOwnDefaults) {
  const Stream here = default_stream(Device::cpu);
  EXPECT_EQ(here.index, 0);
  int there = 0, later = 0;
  std::thread([&] {
    there = default_stream(Device::cpu).index;
    const StreamContext on(new_stream(Device::cpu));
    EXPECT_NE(default_stream(Device::cpu).index, there);
  }).join();
  std::thread([&] { later = default_stream(Device::cpu).index; }).join();
  EXPECT_NE(there, 0);
  EXPECT_EQ(later, there);  // the first thread is gone
  EXPECT_EQ(default_stream(Device::cpu), here);
}

TEST_F(StreamTest, EachThreadHasItsOwn) {
  const ThreadLocalStream local = new_thread_local_stream(Device::cpu);
  const Stream here = stream_from_thread_local_stream(local);
  EXPECT_EQ(stream_from_thread_local_stream(local), here);
  Stream there = here;
  std::thread([&] { there = stream_from_thread_local_stream(local); }).join();
  EXPECT_FALSE(there == here);
  synchronize(local);
}

TEST(Device, TellsAboutItself) {
  const auto info = device_info();
  EXPECT_FALSE(std::get<std::string>(info.at("architecture")).empty());
  EXPECT_GT(std::get<size_t>(info.at("memory_size")), size_t{1} << 20);
  EXPECT_GE(std::get<size_t>(info.at("num_cores")), 1u);
  EXPECT_THROW(device_info(Device::gpu), std::invalid_argument);
  EXPECT_TRUE(Device(Device::cpu) == Device::cpu);
  EXPECT_TRUE(Device(Device::cpu) < Device(Device::gpu));
}

}  // namespace
}  // namespace lazuli
