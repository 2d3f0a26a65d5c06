#pragma once

#include <iosfwd>
#include <variant>

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
std::ostream& operator<<(std::ostream& os, const Stream& stream);
Stream default_stream(Device device);

/// What operations accept to say where they run: nothing (the default stream), a stream or a device.
using StreamOrDevice = std::variant<std::monostate, Stream, Device>;

/// The stream meant; throws std::invalid_argument for a device that no back end serves.
Stream to_stream(StreamOrDevice s);

}  // namespace lazuli
