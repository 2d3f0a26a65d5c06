#include <lazuli/compiler/background.h>

#include <sys/types.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace lazuli {
namespace {

class Background {
 public:
  void add(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (owner_ != getpid()) start();
    jobs_.push_back(std::move(job));
    changed_.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return (jobs_.empty() && !busy_) || stopping_ || owner_ != getpid(); });
  }

  /// Called at exit, before the destructors of objects that jobs use.
  void stop() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    jobs_.clear();
    changed_.notify_all();
    if (owner_ != getpid()) return;  // a child of the process that had the thread
    changed_.wait(lock, [&] { return !busy_; });
  }

 private:
  /// Starts the thread; in a child after fork(), which has none of its parent's threads, starts it anew.
  void start() {
    if (owner_ == 0) std::atexit([] { instance().stop(); });
    owner_ = getpid();
    busy_ = false;
    jobs_.clear();
    std::thread([this] { work(); }).detach();
  }

  /// exit() destroys the main thread's thread-local objects before any static one, whenever that was made:
  /// LLVM's own statics, which come to be while jobs run, are still there when this waits for the last job.
  struct StopWithMainThread {
    StopWithMainThread() = default;
    StopWithMainThread(const StopWithMainThread&) = delete;
    StopWithMainThread& operator=(const StopWithMainThread&) = delete;
    ~StopWithMainThread() { instance().stop(); }
  };
  static thread_local StopWithMainThread stop_with_main_thread;

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return !jobs_.empty() || stopping_; });
      if (stopping_) return;
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

 public:
  static void touch() { static_cast<void>(&stop_with_main_thread); }

  static Background& instance() {
    static Background* const background = new Background;  // never destroyed: its thread is never joined
    return *background;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool busy_ = false;
  bool stopping_ = false;
  pid_t owner_ = 0;  // the process that the thread runs in
};

thread_local Background::StopWithMainThread Background::stop_with_main_thread;

/// Made with the library, so in the main thread, whichever threads have jobs later.
[[maybe_unused]] const bool made_in_main_thread = [] {
  Background::touch();
  return true;
}();

}  // namespace

void run_in_background(std::function<void()> job) {
  Background::instance().add(std::move(job));
}
void wait_for_background() {
  Background::instance().wait();
}

}  // namespace lazuli
