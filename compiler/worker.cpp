#include <lazuli/compiler/worker.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

namespace lazuli {

/// Stops all workers when the process exits, before what their jobs use is destroyed.
class ExitGuard {
 public:
  ExitGuard() = default;
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;
  ~ExitGuard() { stop_all(); }

  static void add(const std::shared_ptr<Worker>& worker) {
    All& all = instance();
    const std::lock_guard lock(all.mutex);
    if (all.workers.empty() && !std::exchange(all.is_registered, true)) std::atexit(stop_all);
    all.workers.push_back(worker);
  }
  static void remove(const std::shared_ptr<Worker>& worker) {
    All& all = instance();
    const std::lock_guard lock(all.mutex);
    std::erase(all.workers, worker);
  }

 private:
  struct All {
    std::mutex mutex;
    std::vector<std::shared_ptr<Worker>> workers;
    bool is_registered = false;
  };
  static All& instance() {
    static All* const all = new All;  // never destroyed: threads are never joined
    return *all;
  }
  static void stop_all() {
    All& all = instance();
    std::vector<std::shared_ptr<Worker>> workers;
    {
      const std::lock_guard lock(all.mutex);
      workers = all.workers;
    }
    for (const std::shared_ptr<Worker>& worker : workers) worker->stop();
  }
};

namespace {

/// exit() destroys the main thread's thread-local objects before any static one, whenever that was made:
/// LLVM's own statics, which come to be while jobs run, are still there when this waits for the last job.
thread_local ExitGuard exit_guard;

/// Made with the library, so in the main thread, whichever threads have jobs later.
[[maybe_unused]] const bool made_in_main_thread = [] {
  static_cast<void>(&exit_guard);
  return true;
}();

}  // namespace

std::shared_ptr<Worker> Worker::create() {
  std::shared_ptr<Worker> worker(new Worker);
  ExitGuard::add(worker);
  return worker;
}

void Worker::add(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  if (owner_ != getpid()) start();
  jobs_.push_back(std::move(job));
  changed_.notify_all();
}

bool Worker::claim() {
  const std::lock_guard lock(mutex_);
  if (busy_ || claimed_ || !jobs_.empty()) return false;
  return claimed_ = true;
}

void Worker::release() {
  const std::lock_guard lock(mutex_);
  claimed_ = false;
  changed_.notify_all();
}

void Worker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    const bool has_thread = owner_ == getpid() && !ending_;
    return !claimed_ && (!has_thread || (jobs_.empty() && !busy_));
  });
}

std::deque<std::function<void()>> Worker::take_leave() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  return std::exchange(jobs_, {});
}

void Worker::end() {
  static_cast<void>(take_leave());
  ExitGuard::remove(shared_from_this());
}

void Worker::stop() {
  static_cast<void>(take_leave());
  std::unique_lock lock(mutex_);
  if (owner_ != getpid()) return;  // a child of the process that had the thread
  changed_.wait(lock, [&] { return !busy_; });
}

void Worker::start() {
  if (owner_ != 0) claimed_ = false;  // by a thread of the parent's
  owner_ = getpid();
  busy_ = false;
  jobs_.clear();
  std::thread([self = shared_from_this()] { self->work(); }).detach();
}

void Worker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return (!jobs_.empty() && !claimed_) || ending_; });
    if (ending_) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    job();
    job = nullptr;  // what it holds goes before anybody is told that it is done
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

}  // namespace lazuli
