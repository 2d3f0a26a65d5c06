#pragma once

#include <vector>

#include <lazuli/graph/export/export.h>
#include <lazuli/graph/export/function_file.h>

namespace lazuli {

/// Tells a callback what a trace is.
void tell_trace(const StoredTrace& trace, const std::vector<array>& constants,
                const ExportCallback& callback);

}  // namespace lazuli
