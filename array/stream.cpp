#include <lazuli/array/stream.h>

#include <map>
#include <mutex>
#include <ostream>
#include <stdexcept>
#include <string>

#include <lazuli/array/evaluator.h>

namespace lazuli {

namespace {

/// The streams of this process; there is one device.
struct Streams {
  std::mutex mutex;
  int count = 1;
  int default_index = 0;
  int thread_local_count = 0;
};

Streams& streams() {
  static Streams* const instance = new Streams;  // never destroyed: threads may end late
  return *instance;
}

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

Stream default_stream(Device device) {
  check(device);
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  return {all.default_index, device};
}

void set_default_stream(const Stream& stream) {
  known(stream);
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  all.default_index = stream.index;
}

Stream new_stream(Device device) {
  check(device);
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  return {all.count++, device};
}

Stream new_thread_unsafe_stream(Device device) {
  return new_stream(device);
}

std::vector<Stream> get_streams() {
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  std::vector<Stream> result;
  for (int i = 0; i < all.count; ++i) result.push_back({i, default_device()});
  return result;
}

void synchronize() {
  evaluator().synchronize();
}

void synchronize(const Stream& stream) {
  known(stream);
  synchronize();
}

void clear_streams() {
  synchronize();
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  all.count = 1;
  all.default_index = 0;
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

void synchronize(const ThreadLocalStream&) {
  synchronize();
}

StreamContext::StreamContext(const StreamOrDevice& s) : before_(default_stream(default_device())) {
  set_default_stream(to_stream(s));
}

Stream to_stream(StreamOrDevice s) {
  if (const Stream* stream = std::get_if<Stream>(&s)) return known(*stream);
  if (const Device* device = std::get_if<Device>(&s)) return default_stream(*device);
  return default_stream(default_device());
}

}  // namespace lazuli
