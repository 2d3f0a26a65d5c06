#pragma once

#include <iosfwd>

namespace lazuli {

/// Where work runs. There is a CPU back end only: asking for a GPU throws.
struct Device {
  enum class DeviceType { cpu, gpu };
  static constexpr DeviceType cpu = DeviceType::cpu;
  static constexpr DeviceType gpu = DeviceType::gpu;

  constexpr Device(DeviceType type_, int index_ = 0) : type(type_), index(index_) {}
  DeviceType type;
  int index;
};

inline bool operator==(const Device& a, const Device& b) {
  return a.type == b.type && a.index == b.index;
}
const Device& default_device();
/// Throws std::invalid_argument for a device that no back end serves.
void set_default_device(const Device& device);
bool is_available(const Device& device);
int device_count(Device::DeviceType type);
std::ostream& operator<<(std::ostream& os, const Device& device);

}  // namespace lazuli
