#pragma once

#include <iosfwd>
#include <variant>
#include <vector>

#include <lazuli/array/device.h>

namespace lazuli {

/// An ordered queue of work on a device.
struct Stream {
  int index;
  Device device;
};

inline bool operator==(const Stream& a, const Stream& b) {
  return a.index == b.index && a.device == b.device;
}
inline bool operator<(const Stream& a, const Stream& b) {
  return a.index < b.index;
}
std::ostream& operator<<(std::ostream& os, const Stream& stream);

/// The stream that work goes to which names none: number 0 unless it was set.
Stream default_stream(Device device);
/// Throws std::invalid_argument for a stream that does not exist.
void set_default_stream(const Stream& stream);
/// Another stream. Work is done in the order that arrays need each other, whatever its streams; evaluations
/// that were started take turns, so streams keep things apart but do not run side by side.
Stream new_stream(Device device);
/// The same: any thread may use any stream.
Stream new_thread_unsafe_stream(Device device);
/// All streams there are, the first of them number 0.
std::vector<Stream> get_streams();
/// Waits until all that `async_eval` started is computed, by whatever stream.
void synchronize();
void synchronize(const Stream& stream);
/// Waits, then forgets all streams but number 0, which is the default again.
void clear_streams();

/// A stream for each thread that asks for its own.
struct ThreadLocalStream {
  int index;
  Device device;
};
ThreadLocalStream new_thread_local_stream(Device device);
/// The calling thread's stream, made when it first asks.
Stream stream_from_thread_local_stream(const ThreadLocalStream& stream);
void synchronize(const ThreadLocalStream& stream);

/// What operations accept to say where they run: nothing (the default stream), a stream or a device.
using StreamOrDevice = std::variant<std::monostate, Stream, Device>;

/// Makes a stream, or a device's, the default until the end of the scope.
class StreamContext {
 public:
  explicit StreamContext(const StreamOrDevice& s);
  ~StreamContext() { set_default_stream(before_); }
  StreamContext(const StreamContext&) = delete;
  StreamContext& operator=(const StreamContext&) = delete;

 private:
  Stream before_;
};

/// The stream meant; throws std::invalid_argument for a device that no back end serves.
Stream to_stream(StreamOrDevice s);

}  // namespace lazuli
