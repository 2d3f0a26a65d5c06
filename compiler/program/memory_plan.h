#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lazuli {

/// Memory that a program needs from one of its steps to another.
struct MemoryNeed {
  int storage = 0;
  int64_t bytes = 0;
  int first = 0, last = 0;  ///< steps, both included
};

/// A buffer that is there from one step to another, and the storages that lie in it, one after the other or
/// side by side.
struct MemoryPiece {
  struct Part {
    int storage = 0;
    int64_t offset = 0;
  };
  int64_t bytes = 0;
  int first = 0, last = 0;
  std::vector<Part> parts;
};

/// Places temporaries: what is needed at the same time lies apart. Large ones get buffers that come and go
/// with them, the rest shares one.
std::vector<MemoryPiece> place_temporaries(std::span<const MemoryNeed> temporaries);

/// The most bytes that the pieces take at a time.
int64_t peak_of(std::span<const MemoryPiece> pieces);

}  // namespace lazuli
