#include <lazuli/compiler/interpreter/space.h>

#include <algorithm>

namespace lazuli::interpreter {

void Space::collapse(std::span<StreamState> streams) {
  int last = -1;  // the dimension that the next may join
  for (int d = 0; d < dims; ++d) {
    const int64_t extent = extents[d];
    if (extent == 1) continue;
    const bool joins = last >= 0 && std::all_of(streams.begin(), streams.end(), [&](const StreamState& s) {
                         return s.strides[d] == s.strides[last] * extents[last];
                       });
    if (joins) {
      extents[last] *= extent;
      continue;
    }
    ++last;
    extents[last] = extent;
    for (StreamState& s : streams) s.strides[last] = s.strides[d];
  }
  if (last < 0) {
    last = 0;
    extents[0] = 1;
    for (StreamState& s : streams) s.strides[0] = 0;
  }
  dims = last + 1;
}

}  // namespace lazuli::interpreter
