#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace lazuli {

/// A thread that runs jobs one after the other. It starts with the first. When the process exits, jobs that
/// have not begun are dropped; one that runs is waited for. A child after fork() begins anew, without jobs.
class Worker : public std::enable_shared_from_this<Worker> {
 public:
  static std::shared_ptr<Worker> create();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Runs a job, which must not throw, after those given before.
  void add(std::function<void()> job);
  /// Claims the worker's turn for the calling thread where it has nothing to do: jobs wait until `release`.
  bool claim();
  void release();
  /// Waits until no job is left, nor a claim.
  void wait();
  /// Drops jobs that have not begun, and takes no more; the thread ends when it is done with its last.
  void end();

 private:
  friend class ExitGuard;
  Worker() = default;
  void start();
  void work();
  /// Ends it, and waits for its last job.
  void stop();
  /// Takes no more jobs; returns those that have not begun, to be dropped outside of the lock.
  std::deque<std::function<void()>> take_leave();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool busy_ = false;     // its thread runs a job
  bool claimed_ = false;  // another thread has its turn
  bool ending_ = false;
  pid_t owner_ = 0;  // the process that the thread runs in
};

}  // namespace lazuli
