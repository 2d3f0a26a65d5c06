#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/kernel_launch.h>
#include <lazuli/compiler/last_level_cache.h>
#include <lazuli/compiler/llvm/disk_cache.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

/// x * factor + n, a kernel of its own for each n.
kir::Kernel kernel_number(int n) {
  return kir::parse(R"(kernel parallel
a0 input int32 unit
a1 output int32 unit
block
  %0 = load.int32 a0
  %1 = constant.int32 )" +
                    std::to_string(n) + R"(
  %2 = add.int32 %0, %1
  store.int32 a1, %2)");
}

/// Runs kernel_number(n) on `size` elements; whether all results are right.
bool run_right(CompiledKernel& kernel, int n, int64_t size = 100) {
  std::vector<int32_t> in(static_cast<size_t>(size)), out(static_cast<size_t>(size));
  std::iota(in.begin(), in.end(), 0);
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(in.data()), reinterpret_cast<std::byte*>(out.data())};
  const int64_t strides[] = {1, 1};
  launch(kernel, {&size, pointers, strides});
  for (size_t i = 0; i < in.size(); ++i) {
    if (out[i] != in[i] + n) return false;
  }
  return true;
}

bool run_right(int n, int64_t size = 100) {
  return run_right(*kernel_for(kernel_number(n)), n, size);
}

JitStatistics statistics() {
  return JitEngine::instance().statistics();
}

/// A cache directory of its own, empty caches, and settings that are put back.
class KernelCache : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "lazuli-kernel-cache-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    set_kernel_cache_directory(directory_);
    set_jit_mode(JitMode::sync);
    forget();
  }

  void TearDown() override {
    wait_for_compilations();
    clear_kernel_cache();
    set_kernel_cache_directory(directory_before_);
    set_jit_mode(mode_before_);
    set_num_threads(threads_before_);
    set_kernel_cache_limit(limit_before_);
    JitEngine::instance().set_disk_limit(uint64_t{256} << 20);
    std::error_code error;
    fs::remove_all(directory_, error);
  }

  /// As if the process had just begun.
  static void forget() {
    clear_kernel_cache();
    JitEngine::instance().reset_statistics();
  }

  std::vector<fs::path> entries() const {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(directory_)) paths.push_back(entry.path());
    return paths;
  }

  fs::path directory_;

 private:
  const fs::path directory_before_ = kernel_cache_directory();
  const JitMode mode_before_ = jit_mode();
  const int threads_before_ = num_threads();
  const size_t limit_before_ = kernel_cache_limit();
};

TEST_F(KernelCache, EqualKernelsAreOne) {
  const KernelCacheStatistics before = kernel_cache_statistics();
  const auto first = kernel_for(kernel_number(1));
  EXPECT_EQ(kernel_for(kernel_number(1)), first);
  EXPECT_NE(kernel_for(kernel_number(2)), first);
  const KernelCacheStatistics after = kernel_cache_statistics();
  EXPECT_EQ(after.hits - before.hits, 1);
  EXPECT_EQ(after.misses - before.misses, 2);
  EXPECT_EQ(after.size, 2);
}

TEST_F(KernelCache, ForgetsTheKernelUsedLongestAgo) {
  set_kernel_cache_limit(2);
  const auto first = kernel_for(kernel_number(1));
  const auto second = kernel_for(kernel_number(2));
  kernel_for(kernel_number(1));
  kernel_for(kernel_number(3));
  EXPECT_EQ(kernel_cache_statistics().size, 2);
  EXPECT_EQ(kernel_for(kernel_number(1)), first);
  EXPECT_NE(kernel_for(kernel_number(2)), second);
  EXPECT_TRUE(run_right(*second, 2)) << "a kernel in use outlives its place in the cache";
}

TEST_F(KernelCache, SyncCompilesBeforeTheFirstRun) {
  const uint64_t interpreted = kernel_cache_statistics().interpreted_runs;
  EXPECT_TRUE(run_right(1));
  EXPECT_TRUE(run_right(1));
  EXPECT_EQ(statistics().compiled, 1);
  EXPECT_EQ(kernel_cache_statistics().interpreted_runs, interpreted);
}

TEST_F(KernelCache, OffInterprets) {
  set_jit_mode(JitMode::off);
  const uint64_t interpreted = kernel_cache_statistics().interpreted_runs;
  EXPECT_TRUE(run_right(1));
  EXPECT_TRUE(run_right(1, 100000));
  EXPECT_EQ(statistics().compiled, 0);
  EXPECT_EQ(kernel_cache_statistics().interpreted_runs - interpreted, 2);
}

TEST_F(KernelCache, AsyncInterpretsSmallWorkUntilCompiled) {
  set_jit_mode(JitMode::async);
  const auto kernel = kernel_for(kernel_number(1));
  const uint64_t interpreted = kernel_cache_statistics().interpreted_runs;
  EXPECT_TRUE(run_right(*kernel, 1));
  EXPECT_EQ(kernel_cache_statistics().interpreted_runs - interpreted, 1);
  wait_for_compilations();
  ASSERT_NE(kernel->function(), nullptr);
  EXPECT_TRUE(run_right(*kernel, 1));
  EXPECT_EQ(kernel_cache_statistics().interpreted_runs - interpreted, 1);
}

TEST_F(KernelCache, AsyncCompilesLargeWorkAtOnce) {
  set_jit_mode(JitMode::async);
  const uint64_t interpreted = kernel_cache_statistics().interpreted_runs;
  EXPECT_TRUE(run_right(1, 4 << 20));
  EXPECT_EQ(statistics().compiled, 1);
  EXPECT_EQ(kernel_cache_statistics().interpreted_runs, interpreted);
}

TEST_F(KernelCache, AsyncTakesSmallWorkFromDiskAtOnce) {
  EXPECT_TRUE(run_right(1));
  forget();
  set_jit_mode(JitMode::async);
  const uint64_t interpreted = kernel_cache_statistics().interpreted_runs;
  EXPECT_TRUE(run_right(1));
  EXPECT_EQ(statistics().loaded_from_disk, 1);
  EXPECT_EQ(kernel_cache_statistics().interpreted_runs, interpreted);
}

TEST_F(KernelCache, DiskSparesCompilation) {
  for (int n = 0; n < 5; ++n) EXPECT_TRUE(run_right(n));
  EXPECT_EQ(statistics().compiled, 5);
  EXPECT_EQ(statistics().written_to_disk, 5);
  EXPECT_EQ(entries().size(), 5);
  forget();
  for (int n = 0; n < 5; ++n) EXPECT_TRUE(run_right(n));
  EXPECT_EQ(statistics().compiled, 0);
  EXPECT_EQ(statistics().loaded_from_disk, 5);
}

TEST_F(KernelCache, NoDirectoryMeansNoDisk) {
  set_kernel_cache_directory({});
  EXPECT_TRUE(run_right(1));
  forget();
  EXPECT_TRUE(run_right(1));
  EXPECT_EQ(statistics().compiled, 1);
  EXPECT_EQ(statistics().written_to_disk, 0);
}

TEST_F(KernelCache, DirectoryThatCannotBeMadeIsNoError) {
  std::ofstream(directory_ / "file") << "no directory";
  set_kernel_cache_directory(directory_ / "file" / "kernels");
  EXPECT_TRUE(run_right(1));
  EXPECT_EQ(statistics().compiled, 1);
  EXPECT_EQ(statistics().written_to_disk, 0);
}

TEST_F(KernelCache, DamagedEntriesAreRebuilt) {
  EXPECT_TRUE(run_right(1));
  ASSERT_EQ(entries().size(), 1);
  const fs::path path = entries()[0];
  std::string good(fs::file_size(path), '\0');
  std::ifstream(path, std::ios::binary).read(good.data(), static_cast<std::streamsize>(good.size()));

  std::vector<std::string> damaged = {"",
                                      "x",
                                      good.substr(0, 10),
                                      good.substr(0, good.size() / 2),
                                      good.substr(0, good.size() - 1),
                                      good + "x",
                                      std::string(good.size(), '\0')};
  for (size_t at = 0; at < good.size(); at += 1 + good.size() / 50) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 4);
  }
  for (const std::string& bytes : damaged) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    forget();
    ASSERT_TRUE(run_right(1));
    ASSERT_EQ(statistics().compiled, 1);
    ASSERT_EQ(statistics().damaged_on_disk, 1);
    ASSERT_EQ(statistics().written_to_disk, 1);
    forget();
    ASSERT_TRUE(run_right(1));
    ASSERT_EQ(statistics().loaded_from_disk, 1) << "the rebuilt entry is good";
  }
}

TEST_F(KernelCache, EntryOfAnotherKeyIsNotTaken) {
  EXPECT_TRUE(run_right(1));
  const fs::path first = entries()[0];
  EXPECT_TRUE(run_right(2));
  for (const fs::path& path : entries()) {
    if (path != first) fs::copy_file(path, first, fs::copy_options::overwrite_existing);
  }
  forget();
  EXPECT_TRUE(run_right(1));
  EXPECT_EQ(statistics().compiled, 1);
}

TEST_F(KernelCache, DiskIsBounded) {
  constexpr uint64_t limit = 8 << 10;
  JitEngine::instance().set_disk_limit(limit);
  for (int n = 0; n < 60; ++n) ASSERT_TRUE(run_right(n));
  uint64_t total = 0;
  for (const fs::path& path : entries()) total += fs::file_size(path);
  EXPECT_GT(statistics().evicted_from_disk, 0);
  EXPECT_LE(total, limit + limit / 8);
}

TEST_F(KernelCache, ThreadsAskAtOnce) {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; n < 8; ++n) right += run_right(n) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 48);
  EXPECT_EQ(statistics().compiled, 8);
}

TEST_F(KernelCache, FailureToBuildLeavesTheEngineWorking) {
  const auto fails = [](llvm::Module&) { throw std::runtime_error("no code"); };
  EXPECT_THROW(JitEngine::instance().load_or_build("fails", fails), std::runtime_error);
  EXPECT_EQ(statistics().failed, 1);
  JitEngine::instance().reset_statistics();  // this failure was wanted
  EXPECT_TRUE(run_right(1));
}

// ---- Processes ----

/// What a child process does, told by the environment: it runs kernels from the cache in the given directory
/// and reports, or exits in the middle of compilations.
TEST(KernelCacheChild, Works) {
  const char* task = std::getenv("LAZULI_CACHE_TEST_TASK");
  if (task == nullptr) GTEST_SKIP() << "runs in child processes only";
  if (std::string(task) == "exit") {
    set_jit_mode(JitMode::async);
    for (int n = 0; n < 50; ++n) EXPECT_TRUE(run_right(n));
    std::exit(HasFailure() ? 1 : 0);
  }
  set_jit_mode(JitMode::sync);
  for (int n = 0; n < 20; ++n) EXPECT_TRUE(run_right(n));
  const JitStatistics done = statistics();
  std::ofstream(std::string(task)) << done.compiled << ' ' << done.loaded_from_disk << ' '
                                   << done.damaged_on_disk;
}

/// Starts this program anew with a task for the test above.
pid_t start_child(const fs::path& cache, const std::string& task) {
  const pid_t child = fork();
  if (child != 0) return child;
  setenv("LAZULI_CACHE_DIR", cache.c_str(), 1);
  setenv("LAZULI_CACHE_TEST_TASK", task.c_str(), 1);
  execl("/proc/self/exe", "child", "--gtest_filter=KernelCacheChild.Works", "--gtest_brief=1", nullptr);
  _exit(127);
}

bool succeeds(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(KernelCache, ProcessesShareADirectory) {
  fs::create_directory(directory_ / "reports");
  const fs::path cache = directory_ / "kernels";
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    children.push_back(start_child(cache, directory_ / "reports" / std::to_string(c)));
  }
  for (const pid_t child : children) EXPECT_TRUE(succeeds(child));
  uint64_t compiled = 0;
  for (int c = 0; c < 4; ++c) {
    uint64_t own = 0, loaded = 0, damaged = 1;
    std::ifstream(directory_ / "reports" / std::to_string(c)) >> own >> loaded >> damaged;
    EXPECT_EQ(own + loaded, 20);
    EXPECT_EQ(damaged, 0);
    compiled += own;
  }
  EXPECT_GE(compiled, 20);

  EXPECT_TRUE(succeeds(start_child(cache, directory_ / "reports" / "later")));
  uint64_t own = 1, loaded = 0;
  std::ifstream(directory_ / "reports" / "later") >> own >> loaded;
  EXPECT_EQ(own, 0) << "a later process compiles nothing";
  EXPECT_EQ(loaded, 20);
}

TEST_F(KernelCache, ProcessMayExitWhileCompiling) {
  for (int repetition = 0; repetition < 3; ++repetition) {
    EXPECT_TRUE(succeeds(start_child(directory_ / ("kernels" + std::to_string(repetition)), "exit")));
  }
}

// ---- Launch ----

TEST_F(KernelCache, LaunchCoversTheSpaceOnce) {
  const auto kernel = kernel_for(kir::parse(R"(kernel parallel parallel
a0 output int64 any unit
block
  %0 = index.int64 0
  %1 = index.int64 1
  %2 = load.int64 a0
  %3 = constant.int64 100000
  %4 = mul.int64 %0, %3
  %5 = add.int64 %1, %4
  %6 = add.int64 %2, %5
  store.int64 a0, %6)"));
  for (const int threads : {1, 2, 3, 7}) {
    set_num_threads(threads);
    for (const auto& [outer, inner] : {std::pair<int64_t, int64_t>(1, 100003),
                                       {3, 33333},
                                       {1000, 101},
                                       {20000, 3},
                                       {7, 1},
                                       {0, 5},
                                       {5, 0}}) {
      for (const JitMode mode : {JitMode::sync, JitMode::off}) {
        set_jit_mode(mode);
        std::vector<int64_t> out(static_cast<size_t>(outer * inner) + 1, 1);
        const int64_t extents[] = {outer, inner};
        const int64_t strides[] = {inner, 1};
        std::byte* pointers[] = {reinterpret_cast<std::byte*>(out.data())};
        launch(*kernel, {extents, pointers, strides});
        for (int64_t i = 0; i < outer * inner; ++i) {
          ASSERT_EQ(out[static_cast<size_t>(i)], 1 + i / inner * 100000 + i % inner) << i;
        }
        ASSERT_EQ(out.back(), 1);
      }
    }
  }
}

TEST_F(KernelCache, LaunchGivesEveryThreadItsScratch) {
  const auto kernel = kernel_for(kir::parse(R"(kernel parallel reduce
a0 input int32 any unit
a1 scratch int32 zero unit
a2 scratch int64 zero unit
a3 output int64 unit zero
block
  %0 = load.int32 a0
  %1 = add.int32 %0, %0
  store.int32 a1, %1
  %3 = cast.int64 %0
  store.int64 a2, %3
block
  %5 = load.int32 a1
  %6 = cast.int64 %5
  %7 = load.int64 a2
  %8 = add.int64 %6, %7
  %9 = reduce_sum.int64 %8
point_block
  store.int64 a3, %9)"));
  set_num_threads(3);
  constexpr int64_t rows = 500, columns = 77;
  std::vector<int32_t> in(rows * columns);
  std::iota(in.begin(), in.end(), 0);
  const int64_t extents[] = {rows, columns};
  for (const JitMode mode : {JitMode::sync, JitMode::off}) {
    set_jit_mode(mode);
    std::vector<int64_t> out(rows);
    std::byte* pointers[] = {reinterpret_cast<std::byte*>(in.data()), nullptr, nullptr,
                             reinterpret_cast<std::byte*>(out.data())};
    int64_t strides[] = {columns, 1, -1, -1, -1, -1, 1, 0};
    const int64_t bytes = layout_scratch(kernel->kernel(), extents, pointers, strides);
    EXPECT_GE(bytes, columns * 12);
    launch(*kernel, {extents, pointers, strides}, bytes);
    for (int64_t row = 0; row < rows; ++row) {
      int64_t sum = 0;
      for (int64_t i = 0; i < columns; ++i) sum += 3 * in[static_cast<size_t>(row * columns + i)];
      ASSERT_EQ(out[static_cast<size_t>(row)], sum);
    }
  }
}

TEST_F(KernelCache, LargeAlignedOutputsAreStreamed) {
  const auto kernel = kernel_for(kernel_number(3));
  constexpr int64_t size = 40 << 20;  // past any last-level cache of a few cores
  const std::unique_ptr<void, decltype(&std::free)> out(std::aligned_alloc(64, size * 4 + 64), &std::free);
  auto* results = static_cast<int32_t*>(out.get());
  results[size] = -1;
  const int32_t one = 1;
  const auto broadcast = kernel_for(kir::parse(R"(kernel parallel
a0 input int32 zero
a1 output int32 unit
block
  %0 = load.int32 a0
  store.int32 a1, %0)"));
  const int64_t strides[] = {0, 1};
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(const_cast<int32_t*>(&one)),
                           reinterpret_cast<std::byte*>(results)};
  launch(*broadcast, {&size, pointers, strides});
  if (broadcast->function(StoreMode::streaming) == nullptr) GTEST_SKIP() << "the caches are too large here";
  for (int64_t i = 0; i < size; ++i) ASSERT_EQ(results[i], 1) << i;
  EXPECT_EQ(results[size], -1);
}

TEST(LastLevelCache, IsSharedByTheCpusInItsList) {
  EXPECT_EQ(cpus_in_list("0"), 1);
  EXPECT_EQ(cpus_in_list("0-7"), 8);
  EXPECT_EQ(cpus_in_list("0-3,64-67"), 8);
  EXPECT_EQ(cpus_in_list("2,5,8-9"), 4);
  for (const char* none : {"", "a", "-1", "3-", "3-1", "0,", "0-1;2", ",1"})
    EXPECT_EQ(cpus_in_list(none), 0) << none;
  EXPECT_GT(last_level_cache(), 0);
}

TEST(ThreadPool, RunsEveryPartOnce) {
  const int before = num_threads();
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    for (const int64_t parts : {0, 1, 2, 100}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(parts));
      parallel_for(
          parts, [&](int64_t part) { parallel_for(3, [&](int64_t) { ++runs[static_cast<size_t>(part)]; }); });
      for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 3);
    }
  }
  set_num_threads(before);
}

TEST(ThreadPool, ThrowsWhatAPartThrows) {
  EXPECT_THROW(parallel_for(4,
                            [](int64_t part) {
                              if (part == 2) throw std::runtime_error("part 2");
                            }),
               std::runtime_error);
}

TEST(DiskCacheHash, TellsSimilarStringsApart) {
  std::vector<std::pair<uint64_t, uint64_t>> hashes;
  for (size_t length = 0; length < 40; ++length) {
    const std::string zeros(length, '\0');
    hashes.push_back(hash_bytes(zeros));
    for (size_t bit = 0; bit < 8 * length; ++bit) {
      std::string one = zeros;
      one[bit / 8] = static_cast<char>(1 << bit % 8);
      hashes.push_back(hash_bytes(one));
    }
  }
  std::vector<uint64_t> halves[2];
  for (const auto& [high, low] : hashes) {
    halves[0].push_back(high);
    halves[1].push_back(low);
  }
  for (std::vector<uint64_t>& half : halves) {
    std::sort(half.begin(), half.end());
    EXPECT_EQ(std::adjacent_find(half.begin(), half.end()), half.end());
  }
}

}  // namespace
}  // namespace lazuli
