#include <lazuli/array/device.h>

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>

namespace lazuli {

namespace {

/// What /proc/cpuinfo calls the processor.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

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

std::unordered_map<std::string, std::variant<std::string, size_t>> device_info(const Device& device) {
  check(device);
  utsname system{};
  uname(&system);
  const auto pages = static_cast<size_t>(sysconf(_SC_PHYS_PAGES));
  return {{"architecture", std::string(system.machine)},
          {"device_name", processor_name()},
          {"memory_size", pages * static_cast<size_t>(sysconf(_SC_PAGESIZE))},
          {"num_cores", static_cast<size_t>(std::thread::hardware_concurrency())}};
}

std::ostream& operator<<(std::ostream& os, const Device& device) {
  return os << "Device(" << (device.type == Device::cpu ? "cpu" : "gpu") << ", " << device.index << ')';
}

}  // namespace lazuli
