#pragma once

#include <cstdint>
#include <iosfwd>
#include <variant>
#include <vector>

#include <lazuli/array/device.h>

namespace lazuli {

/// An ordered queue of work on a device. Streams run side by side; work that needs what another stream makes
/// waits for that. An operation's stream is the one it is given, or that of the StreamContext it is called
/// in; one that is given none runs on the default stream of the thread that evaluates it. `eval` uses the
/// calling thread for a stream with nothing else to do, `async_eval` the stream's own. However many streams
/// there are, no more than `num_threads()` of their threads work at a time.
///
/// A compiled function is one program, whatever streams are named in it; it runs in the thread that calls it.
struct Stream {
  int index;
  Device device;
};

inline bool operator==(const Stream& a, const Stream& b) {  // streams are ordered by their numbers
  return a.index == b.index && a.device == b.device;
}
inline bool operator<(const Stream& a, const Stream& b) {
  return a.index < b.index;
}
std::ostream& operator<<(std::ostream& os, const Stream& stream);

/// The calling thread's default: the stream that was set, else one of the thread's own, which for the main
/// thread is number 0.
Stream default_stream(Device device);
/// Sets the calling thread's default. Throws std::invalid_argument for a stream that does not exist.
void set_default_stream(const Stream& stream);
/// Another stream. Throws std::runtime_error where there are 32,767 already.
Stream new_stream(Device device);
/// The same: any thread may use any stream.
Stream new_thread_unsafe_stream(Device device);
/// All streams there are, the first of them number 0.
std::vector<Stream> get_streams();
/// Waits until no stream has anything left to do. Throws the first error of what `async_eval` started since
/// the last time, unless somebody who waited for an array got it.
void synchronize();
/// The same for one stream.
void synchronize(const Stream& stream);
/// Waits, then forgets all streams but number 0. Threads get new defaults.
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

/// Makes a stream, or a device's, the calling thread's default until the end of the scope.
class StreamContext {
 public:
  explicit StreamContext(const StreamOrDevice& s) {
    if (!std::holds_alternative<std::monostate>(s)) enter(s);
  }
  ~StreamContext() {
    if (entered_) leave();
  }
  StreamContext(const StreamContext&) = delete;
  StreamContext& operator=(const StreamContext&) = delete;

 private:
  void enter(const StreamOrDevice& s);
  void leave() const;
  bool entered_ = false;
  int16_t before_ = 0;
};

/// The stream meant; throws std::invalid_argument for a device that no back end serves.
Stream to_stream(StreamOrDevice s);
/// The same, where none is given a device's default.
Stream to_stream(StreamOrDevice s, Device otherwise);

/// The number of the stream that was made the calling thread's default; -1 where none was.
int16_t named_stream();

}  // namespace lazuli
