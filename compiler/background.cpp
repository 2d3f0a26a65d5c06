#include <lazuli/compiler/background.h>

#include <lazuli/compiler/worker.h>

namespace lazuli {

namespace {

Worker& background() {
  static const auto* const worker = new std::shared_ptr<Worker>(Worker::create());  // never destroyed
  return **worker;
}

}  // namespace

void run_in_background(std::function<void()> job) {
  background().add(std::move(job));
}
void wait_for_background() {
  background().wait();
}

}  // namespace lazuli
