#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <unordered_map>
#include <variant>

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
inline bool operator==(const Device& a, Device::DeviceType type) {
  return a.type == type;
}
inline bool operator<(const Device& a, const Device& b) {
  return a.type < b.type || (a.type == b.type && a.index < b.index);
}
const Device& default_device();
/// Throws std::invalid_argument for a device that no back end serves.
void set_default_device(const Device& device);
bool is_available(const Device& device);
int device_count(Device::DeviceType type);
/// Facts about a device: "architecture", "device_name", "memory_size" in bytes, "num_cores".
std::unordered_map<std::string, std::variant<std::string, size_t>> device_info(
    const Device& device = default_device());
std::ostream& operator<<(std::ostream& os, const Device& device);

}  // namespace lazuli
