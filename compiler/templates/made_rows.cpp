#include <lazuli/compiler/templates/made_rows.h>

#include <algorithm>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Elements worth a thread of their own.
constexpr int64_t elements_for_a_thread = 8 << 10;

int64_t stride_for(int64_t columns) {
  constexpr int64_t line = 32;  // elements; whole cache lines of any dtype
  return round_up(columns, line) + line;
}

}  // namespace

MadeRows::MadeRows(const RowSource& source, int64_t first, int64_t count)
    : dtype_(source.dtype),
      stride_(stride_for(source.columns)),
      memory_(static_cast<size_t>(count * stride_ * source.dtype.size())) {
  (*source.make)({memory_.data(), stride_, source.first + first, count});
}

MadeRows::MadeRows(const RowSource& source)
    : dtype_(source.dtype),
      stride_(stride_for(source.columns)),
      memory_(static_cast<size_t>(source.rows * stride_ * source.dtype.size())) {
  const int64_t useful = source.rows * source.columns / elements_for_a_thread;
  const int64_t parts = std::clamp<int64_t>(useful, 1, std::min<int64_t>(source.rows, num_threads()));
  const auto make = [&](int64_t part) {
    const int64_t begin = source.rows * part / parts;
    const int64_t end = source.rows * (part + 1) / parts;
    (*source.make)(
        {memory_.data() + begin * stride_ * dtype_.size(), stride_, source.first + begin, end - begin});
  };
  parallel_for(parts, make);
}

}  // namespace lazuli::templates
