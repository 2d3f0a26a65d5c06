#pragma once

#include <optional>
#include <string>
#include <vector>

#include <lazuli/graph/export/function_file.h>

/// Traces from files, applied to arrays.
namespace lazuli {

/// What a trace's extents are for given inputs. Where these are symbolic (in a function that is being
/// traced), so are the extents, and comparisons are noted as guards there.
class TraceExtents {
 public:
  /// Nothing where the trace does not hold for these inputs: another number, dtype, rank or extent.
  static std::optional<TraceExtents> match(const StoredTrace& trace, const std::vector<array>& inputs);

  Dim at(int32_t place) const;
  Dim of(const StoredExtent& extent) const { return extent.is_place ? at(extent.value) : Dim(extent.value); }

 private:
  std::vector<int64_t> numbers_;  // by place, where all are numbers
  std::vector<Dim> dims_;         // by place otherwise
};

/// The results of a trace for inputs that it holds for. Throws std::runtime_error `operation 5 (reshape):
/// what is wrong`.
std::vector<array> replay(const StoredTrace& trace, const std::vector<array>& constants,
                          const std::vector<array>& inputs, const TraceExtents& extents);

/// Replays a trace for inputs like those it was made with, and compares shapes and dtypes on the way: throws
/// std::runtime_error where it could not run.
void check_trace(const StoredTrace& trace, const std::vector<array>& constants);

/// "(float32(2,s0), int32(3,), mask=bool())": what a trace takes.
std::string signature_text(const StoredTrace& trace);

}  // namespace lazuli
