#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include <lazuli/array/buffer.h>
#include <lazuli/array/memory.h>
#include <lazuli/array/system_memory.h>

using namespace lazuli;

namespace {

/// Restores the limits a test changes.
class MemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    clear_cache();
    memory_limit_ = get_memory_limit();
    cache_limit_ = set_cache_limit(~size_t{0});
    active_ = get_active_memory();
  }
  void TearDown() override {
    EXPECT_EQ(get_active_memory(), active_);
    set_memory_limit(memory_limit_);
    set_cache_limit(cache_limit_);
    clear_cache();
  }
  size_t memory_limit_ = 0;
  size_t cache_limit_ = 0;
  size_t active_ = 0;
};

const std::vector<size_t> sizes{0,    1,    63,    64,    65,     500,     1000,    4032,   4033,
                                4096, 5000, 32768, 32769, 100000, 1 << 20, 3 << 20, 9000001};

TEST_F(MemoryTest, CountsWhatIsHeld) {
  size_t total = 0;
  std::vector<Ref<Buffer>> held;
  reset_peak_memory();
  for (const size_t size : sizes) {
    held.push_back(Buffer::allocate(size));
    total += size;
    EXPECT_EQ(held.back()->size(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(held.back()->data()) % 64, 0u);
    EXPECT_TRUE(held.back()->is_donatable());
    std::memset(held.back()->data(), 0x5a, size);
    EXPECT_EQ(get_active_memory(), active_ + total);
  }
  held.clear();
  EXPECT_EQ(get_active_memory(), active_);
  EXPECT_EQ(get_peak_memory(), active_ + total);
  reset_peak_memory();
  EXPECT_EQ(get_peak_memory(), active_);
}

TEST_F(MemoryTest, UsesBlocksAgain) {
  const std::byte* data = nullptr;
  {
    const Ref<Buffer> buffer = Buffer::allocate(1000000);
    data = buffer->data();
    EXPECT_EQ(get_cache_memory(), 0u);
  }
  EXPECT_GE(get_cache_memory(), 1000000u);
  // Of nearly the same size too.
  EXPECT_EQ(Buffer::allocate(900000)->data(), data);
  EXPECT_NE(Buffer::allocate(300000)->data(), data);
  clear_cache();
  EXPECT_EQ(get_cache_memory(), 0u);
}

TEST_F(MemoryTest, CacheLimitEvictsOldestFirst) {
  set_cache_limit(10 << 20);
  const std::byte* last = nullptr;
  {
    std::vector<Ref<Buffer>> held;
    for (int i = 0; i < 8; ++i) held.push_back(Buffer::allocate(3 << 20));
    last = held.back()->data();
    for (Ref<Buffer>& buffer : held) buffer = nullptr;
  }
  EXPECT_LE(get_cache_memory(), size_t{10} << 20);
  EXPECT_GE(get_cache_memory(), size_t{9} << 20);
  EXPECT_EQ(Buffer::allocate(3 << 20)->data(), last);
  EXPECT_EQ(set_cache_limit(0), size_t{10} << 20);
  EXPECT_EQ(get_cache_memory(), 0u);
  Buffer::allocate(100000);
  EXPECT_EQ(get_cache_memory(), 0u);
}

TEST_F(MemoryTest, MemoryLimitThrows) {
  const size_t limit = get_active_memory() + (5 << 20);
  EXPECT_EQ(set_memory_limit(limit), memory_limit_);
  EXPECT_EQ(get_memory_limit(), limit);
  const Ref<Buffer> held = Buffer::allocate(4 << 20);
  try {
    Buffer::allocate(2 << 20);
    FAIL();
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.rfind("[malloc] ", 0), 0u) << text;
    EXPECT_NE(text.find("2097152"), std::string::npos) << text;
    EXPECT_NE(text.find(std::to_string(limit)), std::string::npos) << text;
  }
  EXPECT_THROW(Buffer::allocate(~size_t{0}), std::runtime_error);
  Buffer::allocate(1 << 20);
}

TEST_F(MemoryTest, CacheMakesRoomForTheLimit) {
  { const Ref<Buffer> once = Buffer::allocate(64 << 20); }
  set_memory_limit(get_active_memory() + (70 << 20));
  const Ref<Buffer> small = Buffer::allocate(20 << 20);
  EXPECT_LE(get_active_memory() + get_cache_memory(), get_memory_limit());
}

TEST_F(MemoryTest, SystemRefusal) {
  set_memory_limit(~size_t{0});
  EXPECT_THROW(Buffer::allocate(size_t{1} << 60), std::runtime_error);
  EXPECT_THROW(Buffer::allocate(size_t{1} << 47), std::runtime_error);
}

TEST_F(MemoryTest, WhatTheMachineDoesNotHaveIsRefused) {
  set_memory_limit(~size_t{0});
  const size_t available = available_memory();
  // Each of them alone fits; addresses there are enough of. Nobody writes to them.
  const Ref<Buffer> first = Buffer::allocate(available / 4 * 3);
  try {
    Buffer::allocate(available / 4 * 3);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("available"), std::string::npos) << error.what();
  }
  EXPECT_EQ(get_active_memory(), active_ + available / 4 * 3);
  Buffer::allocate(size_t{40} << 20);
}

TEST_F(MemoryTest, WiredMemoryIsLimited) {
  EXPECT_EQ(set_wired_limit(size_t{4} << 20), 0u);
  {
    const Ref<Buffer> within = Buffer::allocate(3 << 20), beyond = Buffer::allocate(3 << 20);
    std::memset(within->data(), 1, within->size());
    std::memset(beyond->data(), 2, beyond->size());
    EXPECT_EQ(within->data()[12345], std::byte{1});
  }
  // What goes makes room.
  const Ref<Buffer> again = Buffer::allocate(3 << 20);
  EXPECT_EQ(set_wired_limit(0), size_t{4} << 20);
  EXPECT_THROW(set_wired_limit(~size_t{0}), std::invalid_argument);
}

TEST_F(MemoryTest, ThreadsDoNotPassTheLimitTogether) {
  set_memory_limit(get_active_memory() + (10 << 20));
  std::atomic<int> held{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        try {
          const Ref<Buffer> buffer = Buffer::allocate(4 << 20);
          EXPECT_LE(++held, 2);
          std::this_thread::yield();
          --held;
        } catch (const std::runtime_error&) {
          ++refused;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(refused, 2000);
}

TEST_F(MemoryTest, ExternalMemory) {
  int released = 0;
  std::vector<std::byte> bytes(100);
  {
    const Ref<Buffer> buffer = Buffer::external(bytes.data(), bytes.size(), [&] { ++released; });
    const Ref<Buffer> other = buffer;
    EXPECT_EQ(buffer->data(), bytes.data());
    EXPECT_FALSE(buffer->is_donatable());
    EXPECT_EQ(get_active_memory(), active_);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
  Buffer::external(bytes.data(), 1, nullptr);
}

TEST_F(MemoryTest, FreeSlabsAreCounted) {
  std::vector<Ref<Buffer>> held;
  for (int i = 0; i < 10000; ++i) held.push_back(Buffer::allocate(1000));
  held.clear();
  clear_cache();
  EXPECT_EQ(get_cache_memory(), 0u);
}

// Buffers made on one thread and dropped on another; contents must stay what their owner wrote.
TEST_F(MemoryTest, Threads) {
  constexpr int thread_count = 4;
  std::vector<std::vector<Ref<Buffer>>> made(thread_count);
  for (int round = 0; round < 4; ++round) {
    std::vector<std::thread> threads;
    std::vector<std::vector<Ref<Buffer>>> next(thread_count);
    for (int t = 0; t < thread_count; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(round * 10 + t));
        auto& foreign = made[static_cast<size_t>((t + 1) % thread_count)];
        for (int i = 0; i < 3000; ++i) {
          const size_t size = random() % 10 == 0 ? random() % 200000 : random() % 3000;
          Ref<Buffer> buffer = Buffer::allocate(size);
          const int mark = t + 1;
          if (size > 0) {
            buffer->data()[0] = buffer->data()[size - 1] = static_cast<std::byte>(mark);
          }
          if (random() % 2 == 0) next[static_cast<size_t>(t)].push_back(std::move(buffer));
          if (!foreign.empty()) {
            const Ref<Buffer>& other = foreign.back();
            if (other->size() > 0) {
              EXPECT_EQ(other->data()[0], other->data()[other->size() - 1]);
            }
            foreign.pop_back();
          }
          if (t == 0 && i % 1000 == 0) clear_cache();
        }
        foreign.clear();
      });
    }
    for (std::thread& thread : threads) thread.join();
    made = std::move(next);
  }
  made.clear();
}

}  // namespace
