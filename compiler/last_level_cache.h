#pragma once

#include <cstdint>
#include <string_view>

namespace lazuli {

/// Bytes of the last-level cache that results written here may count on. A virtual machine may be told of the
/// cache of a whole socket, whose other cores serve others: of more than 8 MB for each CPU that shares the
/// cache, these are taken for foreign.
int64_t last_level_cache();

/// How many CPUs a list such as "0-3,8" has; 0 if it is none.
int64_t cpus_in_list(std::string_view list);

}  // namespace lazuli
