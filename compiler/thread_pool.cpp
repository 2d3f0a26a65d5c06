#include <lazuli/compiler/thread_pool.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include <sched.h>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#include <lazuli/array/sanitizer.h>
#include <lazuli/compiler/settings.h>

namespace lazuli {
namespace {

thread_local bool inside_part = false;

/// The arena of `threads` threads. One that has been replaced lives on while somebody works in it.
std::shared_ptr<tbb::task_arena> arena_of(int threads) {
  struct Current {
    std::mutex mutex;
    int threads = 0;
    std::unique_ptr<tbb::global_control> limit;
    std::shared_ptr<tbb::task_arena> arena;
  };
  static Current* const current = new Current;  // never destroyed, as TBB's own threads end late
  const std::lock_guard lock(current->mutex);
  if (current->threads != threads) {
    current->limit.reset();
    if (threads > tbb::this_task_arena::max_concurrency()) {
      // TBB would otherwise have no more threads than there are cores.
      current->limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                             static_cast<size_t>(threads));
    }
    current->arena = std::make_shared<tbb::task_arena>(threads);
    current->threads = threads;
  }
  return current->arena;
}

/// Marks the thread as being inside a part for as long as it lives.
class InsidePart {
 public:
  InsidePart() : before_(inside_part) { inside_part = true; }
  ~InsidePart() { inside_part = before_; }
  InsidePart(const InsidePart&) = delete;
  InsidePart& operator=(const InsidePart&) = delete;

 private:
  bool before_;
};

/// Moves the calling thread to another processor than this one, if it may run on others. A thread that is
/// woken on the processor that its waker keeps busy would stay behind it for milliseconds, until the kernel
/// balances its queues.
/// At most once in some time, as moving takes longer than short work.
void leave_processor(int processor) {
  using Clock = std::chrono::steady_clock;
  constexpr auto between_moves = std::chrono::milliseconds(2);
  thread_local Clock::time_point last;
  const Clock::time_point now = Clock::now();
  if (now - last < between_moves) return;
  last = now;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return;  // more processors than the set has room for
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<size_t>(processor), &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) != 0) return;
  sched_setaffinity(0, sizeof(allowed), &allowed);
}

struct Scratch {
  ~Scratch() { std::free(memory); }
  void* memory = nullptr;
  int64_t size = 0;
};

}  // namespace

bool is_inside_part() {
  return inside_part;
}

void parallel_for(int64_t parts, FunctionRef<void(int64_t)> f) {
  const int threads = num_threads();
  if (parts <= 1 || threads <= 1 || inside_part) {
    for (int64_t part = 0; part < parts; ++part) f(part);
    return;
  }
  char order = 0;
  gives_order(&order);
  const int processor = sched_getcpu();
  const std::thread::id caller = std::this_thread::get_id();
  arena_of(threads)->execute([&] {
    // Isolated: while it waits for its parts, the caller, whose scratch memory may be in use, takes none of
    // another loop's.
    tbb::this_task_arena::isolate([&] {
      tbb::parallel_for(
          int64_t{0}, parts,
          [&](int64_t part) {
            const InsidePart mark;
            takes_order(&order);
            if (processor >= 0 && sched_getcpu() == processor && std::this_thread::get_id() != caller) {
              leave_processor(processor);
            }
            f(part);
            gives_order(&order);
          },
          tbb::static_partitioner());
    });
  });
  takes_order(&order);
}

namespace {

struct WorkingThreads {
  std::mutex mutex;
  std::condition_variable changed;
  int count = 0;
};

WorkingThreads& working_threads() {
  static WorkingThreads* const instance = new WorkingThreads;  // never destroyed: threads may end late
  return *instance;
}

}  // namespace

WorkingThread::WorkingThread() {
  WorkingThreads& working = working_threads();
  std::unique_lock lock(working.mutex);
  working.changed.wait(lock, [&] { return working.count < num_threads(); });
  ++working.count;
}

WorkingThread::~WorkingThread() {
  WorkingThreads& working = working_threads();
  const std::lock_guard lock(working.mutex);
  --working.count;
  working.changed.notify_one();
}

std::byte* thread_scratch(int64_t bytes) {
  thread_local Scratch scratch;
  if (scratch.size < bytes) {
    std::free(std::exchange(scratch.memory, nullptr));
    scratch.size = 0;
    const int64_t rounded = (bytes + 4095) / 4096 * 4096;
    scratch.memory = std::aligned_alloc(64, static_cast<size_t>(rounded));
    if (scratch.memory == nullptr) throw std::bad_alloc();
    scratch.size = rounded;
  }
  return static_cast<std::byte*>(scratch.memory);
}

}  // namespace lazuli
