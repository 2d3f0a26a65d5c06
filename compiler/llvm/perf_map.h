#pragma once

#include <cstddef>
#include <string>

namespace lazuli {

/// A name for machine code that tools can show: of `text`, what symbol names consist of, after "lazuli_".
std::string code_name(const std::string& text);

/// With LAZULI_PERF_MAP=1 in the environment, adds a function to /tmp/perf-PID.map, where `perf report` looks
/// for the names of code that is in no file. Otherwise does nothing.
void add_to_perf_map(const void* address, size_t size, const std::string& name);

}  // namespace lazuli
