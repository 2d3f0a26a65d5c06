#include <lazuli/array/stream.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <ostream>
#include <stdexcept>
#include <string>

#include <lazuli/array/array.h>
#include <lazuli/array/evaluator.h>

namespace lazuli {

namespace {

/// The streams of this process; there is one device.
struct Streams {
  std::mutex mutex;
  int count = 1;
  std::vector<int> free;             // threads' own, whose threads have ended
  std::atomic<uint64_t> cleared{0};  // how often streams were forgotten
  int thread_local_count = 0;
};

Streams& streams() {
  static Streams* const instance = new Streams;  // never destroyed: threads may end late
  return *instance;
}

/// The caller holds the mutex.
int add_stream(Streams& all) {
  if (all.count > std::numeric_limits<int16_t>::max()) {
    throw std::runtime_error("[new_stream] there are " + std::to_string(all.count) + " streams already");
  }
  return all.count++;
}

bool is_main_thread() {
  return syscall(SYS_gettid) == getpid();
}

/// The stream that a thread uses while it has named none. Others get it when the thread has ended.
class OwnStream {
 public:
  OwnStream() = default;
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  ~OwnStream() {
    Streams& all = streams();
    const std::lock_guard lock(all.mutex);
    if (index_ > 0 && cleared_ == all.cleared) all.free.push_back(index_);
  }

  int index() {
    Streams& all = streams();
    if (index_ == 0 || (index_ > 0 && cleared_ == all.cleared.load(std::memory_order_relaxed))) return index_;
    const std::lock_guard lock(all.mutex);
    cleared_ = all.cleared;
    if (is_main_thread()) {
      index_ = 0;
    } else if (!all.free.empty()) {
      index_ = all.free.back();
      all.free.pop_back();
    } else {
      index_ = add_stream(all);
    }
    return index_;
  }

 private:
  int index_ = -1;
  uint64_t cleared_ = 0;
};

thread_local OwnStream own_stream;
[[gnu::tls_model("initial-exec")]] constinit thread_local int16_t named = Node::no_stream;

void check(const Device& device) {
  if (!is_available(device)) set_default_device(device);  // throws, saying why
}

Stream known(const Stream& stream) {
  check(stream.device);
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  if (stream.index < 0 || stream.index >= all.count) {
    throw std::invalid_argument("[stream] there is no stream " + std::to_string(stream.index) + " of " +
                                std::to_string(all.count));
  }
  return stream;
}

}  // namespace

std::ostream& operator<<(std::ostream& os, const Stream& stream) {
  return os << "Stream(" << stream.device << ", " << stream.index << ')';
}

int16_t named_stream() {
  return named;
}

Stream default_stream(Device device) {
  check(device);
  if (named != Node::no_stream) {
    Streams& all = streams();
    const std::lock_guard lock(all.mutex);
    if (named < all.count) return {named, device};
    named = Node::no_stream;  // cleared since
  }
  return {own_stream.index(), device};
}

void set_default_stream(const Stream& stream) {
  named = static_cast<int16_t>(known(stream).index);
}

Stream new_stream(Device device) {
  check(device);
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  return {add_stream(all), device};
}

Stream new_thread_unsafe_stream(Device device) {
  return new_stream(device);
}

std::vector<Stream> get_streams() {
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  std::vector<Stream> result;
  result.reserve(static_cast<size_t>(all.count));
  for (int i = 0; i < all.count; ++i) result.push_back({i, default_device()});
  return result;
}

void synchronize() {
  evaluator().synchronize();
}

void synchronize(const Stream& stream) {
  evaluator().synchronize(known(stream).index);
}

void clear_streams() {
  try {
    synchronize();
  } catch (...) {  // what nobody waited for until now, nobody will
  }
  evaluator().forget_streams();
  named = Node::no_stream;
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  all.count = 1;
  all.free.clear();
  ++all.cleared;
}

ThreadLocalStream new_thread_local_stream(Device device) {
  check(device);
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  return {all.thread_local_count++, device};
}

Stream stream_from_thread_local_stream(const ThreadLocalStream& stream) {
  check(stream.device);
  thread_local std::map<int, Stream> own;
  const auto found = own.find(stream.index);
  // They may have been cleared since.
  if (found != own.end() && static_cast<size_t>(found->second.index) < get_streams().size()) {
    return found->second;
  }
  return own.insert_or_assign(stream.index, new_stream(stream.device)).first->second;
}

void synchronize(const ThreadLocalStream& stream) {
  synchronize(stream_from_thread_local_stream(stream));
}

void StreamContext::enter(const StreamOrDevice& s) {
  const Stream stream = to_stream(s);
  before_ = named;
  // A device says no more than nothing does: there is one.
  if (std::holds_alternative<Stream>(s)) named = static_cast<int16_t>(stream.index);
  entered_ = true;
}

void StreamContext::leave() const {
  named = before_;
}

Stream to_stream(StreamOrDevice s) {
  return to_stream(s, default_device());
}

Stream to_stream(StreamOrDevice s, Device otherwise) {
  if (const Stream* stream = std::get_if<Stream>(&s)) return known(*stream);
  if (const Device* device = std::get_if<Device>(&s)) return default_stream(*device);
  return default_stream(otherwise);
}

}  // namespace lazuli
