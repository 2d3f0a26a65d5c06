#include <gtest/gtest.h>

#include <sstream>
#include <thread>

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
