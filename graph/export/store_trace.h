#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <lazuli/graph/export/function_file.h>
#include <lazuli/graph/graph.h>

namespace lazuli {

/// Where constants stand in a file, by the arrays' ids.
using ConstantPlaces = std::unordered_map<uintptr_t, uint32_t>;

/// A traced graph as it is stored; constants that are new are added. Throws std::invalid_argument
/// `[export_function] ...` for operations that cannot be stored.
StoredTrace store_trace(const Graph& graph, std::vector<array>& constants, ConstantPlaces& places);

}  // namespace lazuli
