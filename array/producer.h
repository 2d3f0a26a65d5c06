#pragma once

#include <string_view>

#include <lazuli/array/ref.h>

namespace lazuli {

/// What makes an array, as far as the array itself knows. The graph's operations derive from it.
class Producer : public RefCounted {
 public:
  virtual std::string_view name() const = 0;
};

}  // namespace lazuli
