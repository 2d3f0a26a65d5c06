#include <lazuli/array/device.h>

#include <ostream>
#include <stdexcept>
#include <string>

#include <lazuli/array/stream.h>

namespace lazuli {

namespace {

void check(const Device& device) {
  if (device.type == Device::gpu) throw std::invalid_argument("[device] no GPU back end is built");
  if (device.index != 0) {
    throw std::invalid_argument("[device] there is one CPU device, number 0; asked for number " +
                                std::to_string(device.index));
  }
}

}  // namespace

const Device& default_device() {
  static const Device device(Device::cpu);
  return device;
}

// There is one device, so the default stays what it is.
void set_default_device(const Device& device) {
  check(device);
}

bool is_available(const Device& device) {
  return device.type == Device::cpu && device.index == 0;
}

int device_count(Device::DeviceType type) {
  return type == Device::cpu ? 1 : 0;
}

std::ostream& operator<<(std::ostream& os, const Device& device) {
  return os << "Device(" << (device.type == Device::cpu ? "cpu" : "gpu") << ", " << device.index << ')';
}

std::ostream& operator<<(std::ostream& os, const Stream& stream) {
  return os << "Stream(" << stream.device << ", " << stream.index << ')';
}

Stream default_stream(Device device) {
  check(device);
  return {0, device};
}

Stream to_stream(StreamOrDevice s) {
  if (const Stream* stream = std::get_if<Stream>(&s)) {
    check(stream->device);
    return *stream;
  }
  if (const Device* device = std::get_if<Device>(&s)) return default_stream(*device);
  return default_stream(default_device());
}

}  // namespace lazuli
