#include <lazuli/compiler/kernel_launch.h>

#include <algorithm>

#include <lazuli/array/small_vector.h>
#include <lazuli/compiler/interpreter/interpreter.h>
#include <lazuli/compiler/last_level_cache.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli {

using kir::Access;
using kir::Kernel;
using kir::KernelArguments;
using kir::KernelFunction;
using kir::Role;

namespace {

/// Element-instructions worth a thread of their own: some microseconds.
constexpr double work_per_thread = 16 * 1024;
/// Where ranges along V may be cut, in elements: at cache lines and whole steps for every type.
constexpr int64_t cut = 64;

/// How many points there are.
struct Extent {
  int64_t outer = 1;
  int64_t inner = 1;  ///< along V; 1 where there is none
  int64_t reduce = 1;
};

Extent extent_of(const Kernel& kernel, int vector_dim, const int64_t* extents) {
  Extent extent;
  for (int d = 0; d < kernel.rank(); ++d) {
    if (kernel.dims[d] == Role::reduce) {
      extent.reduce *= extents[d];
    } else if (d == vector_dim) {
      extent.inner = extents[d];
    } else {
      extent.outer *= extents[d];
    }
  }
  return extent;
}

/// Bytes of a row from which it is worth while to put its lines together.
constexpr int64_t shortest_joined_row = 1024;

/// Whether contiguous outputs should be written past the caches: they are too large to stay there, are not
/// also read (then their lines are fetched anyway), and every row begins at a cache line, or lines can be put
/// together.
StoreMode store_mode(const CompiledKernel& kernel, const KernelArguments& arguments, const Extent& extent) {
  const CompiledKernel::Traits& traits = kernel.traits();
  if (!traits.can_stream) return StoreMode::cached;
  const Kernel& k = kernel.kernel();
  const int64_t row = k.has_reduce() ? extent.reduce : extent.inner;
  if (extent.outer * row * traits.bytes_per_element < last_level_cache()) return StoreMode::cached;
  const bool can_join = traits.can_join && extent.inner * traits.bytes_per_element >= shortest_joined_row;
  const StoreMode otherwise = can_join ? StoreMode::joined : StoreMode::cached;
  StoreMode mode = StoreMode::streaming;
  const auto rank = static_cast<size_t>(k.rank());
  size_t at = 0;
  for (size_t a = 0; a < k.accesses.size(); ++a) {
    const Access& access = k.accesses[a];
    const size_t strides = at;
    at += rank + access.dynamic_indices;
    if (access.kind != Access::Kind::output) continue;
    if (reinterpret_cast<uintptr_t>(arguments.pointers[a]) % 64 != 0) mode = otherwise;
    for (size_t d = 0; d + 1 < rank; ++d) {
      if (access.strides[d] == kir::StrideClass::zero) continue;
      const int64_t stride = access.strides[d] == kir::StrideClass::unit ? 1 : arguments.strides[strides + d];
      if (arguments.extents[d] > 1 && stride * access.dtype.size() % 64 != 0) mode = otherwise;
    }
    for (size_t j = 0; j < access.dynamic_indices; ++j) {
      if (arguments.strides[strides + rank + j] * access.dtype.size() % 64 != 0) mode = otherwise;
    }
    for (size_t other = 0; other < k.accesses.size(); ++other) {
      if (k.accesses[other].kind == Access::Kind::input &&
          arguments.pointers[other] == arguments.pointers[a]) {
        return StoreMode::cached;
      }
    }
  }
  return mode;
}

/// What runs the kernel: machine code or the interpreter.
struct Runner {
  KernelFunction function = nullptr;
  const InterpretedKernel* interpreted = nullptr;

  void operator()(const KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
                  int64_t outer_end, int64_t inner_begin, int64_t inner_end) const {
    if (function != nullptr) {
      function(&arguments, scratch, outer_begin, outer_end, inner_begin, inner_end);
    } else {
      interpreted->run(arguments, scratch, outer_begin, outer_end, inner_begin, inner_end);
    }
  }
};

Runner choose_runner(CompiledKernel& kernel, const KernelArguments& arguments, const Extent& extent,
                     double work) {
  Runner runner;
  if (jit_mode() != JitMode::off && extent.reduce <= kernel.traits().most_reduced) {
    if (const StoreMode mode = store_mode(kernel, arguments, extent); mode != StoreMode::cached) {
      runner.function = kernel.function(mode);
      if (runner.function == nullptr) runner.function = kernel.prepare(mode, work);
    }
    if (runner.function == nullptr) runner.function = kernel.function();
    if (runner.function == nullptr) runner.function = kernel.prepare(StoreMode::cached, work);
  }
  if (runner.function == nullptr) {
    runner.interpreted = &kernel.interpreted();
    count_interpreted_run();
  }
  return runner;
}

/// Runs units [begin, end) of the space outer x ceil(inner / cut): the end of a row, whole rows, and the
/// beginning of one.
void run_units(const Runner& run, const KernelArguments& arguments, std::byte* scratch, const Extent& extent,
               int64_t units_per_row, int64_t begin, int64_t end) {
  const auto element = [&](int64_t unit) { return std::min(unit * cut, extent.inner); };
  int64_t row = begin / units_per_row;
  const int64_t first = begin % units_per_row;
  const int64_t last_row = end / units_per_row;
  const int64_t last = end % units_per_row;
  if (row == last_row) return run(arguments, scratch, row, row + 1, element(first), element(last));
  if (first > 0) {
    run(arguments, scratch, row, row + 1, element(first), extent.inner);
    ++row;
  }
  if (row < last_row) run(arguments, scratch, row, last_row, 0, extent.inner);
  if (last > 0) run(arguments, scratch, last_row, last_row + 1, 0, element(last));
}

/// Runs parts of the outer points, each of which has rows of sums of its own.
void run_summed_parts(const Runner& run, const Kernel& kernel, const KernelArguments& arguments,
                      int64_t scratch_bytes, const Extent& extent, int64_t parts, bool on_all_threads) {
  const auto run_part = [&](int64_t part) {
    SmallVector<std::byte*, 24> pointers(kernel.accesses.size(), nullptr);
    for (size_t a = 0; a < pointers.size(); ++a) {
      const Access& access = kernel.accesses[a];
      pointers[a] = arguments.pointers[a];
      if (access.kind == Access::Kind::sums) pointers[a] += part * extent.reduce * access.dtype.size();
    }
    const KernelArguments own{arguments.extents, pointers.data(), arguments.strides};
    const auto boundary = [&](int64_t n) {
      return extent.outer / parts * n + std::min(n, extent.outer % parts);
    };
    std::byte* scratch = scratch_bytes > 0 ? thread_scratch(scratch_bytes) : nullptr;
    run(own, scratch, boundary(part), boundary(part + 1), 0, extent.inner);
  };
  if (on_all_threads) return parallel_for(parts, run_part);
  for (int64_t part = 0; part < parts; ++part) run_part(part);
}

}  // namespace

int64_t layout_scratch(const Kernel& kernel, const int64_t* extents, std::byte** pointers, int64_t* strides) {
  int64_t bytes = 0;
  size_t at = 0;
  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    const Access& access = kernel.accesses[a];
    const size_t own_strides = at;
    at += kernel.dims.size() + access.dynamic_indices;
    if (!access.is_row()) continue;
    const bool scratch = access.kind == Access::Kind::scratch;
    if (scratch && pointers != nullptr) pointers[a] = reinterpret_cast<std::byte*>(bytes);
    int64_t row = 1;
    for (size_t d = kernel.dims.size(); d-- > 0;) {
      const bool moves = access.strides[d] != kir::StrideClass::zero;
      if (strides != nullptr) strides[own_strides + d] = moves ? row : 0;
      if (moves) row *= extents[d];
    }
    if (scratch) bytes += (row * access.dtype.size() + 63) / 64 * 64;
  }
  return bytes;
}

void launch(CompiledKernel& kernel, const KernelArguments& arguments, int64_t scratch_bytes,
            int64_t summed_parts) {
  const CompiledKernel::Traits& traits = kernel.traits();
  const Extent extent = extent_of(kernel.kernel(), traits.vector_dim, arguments.extents);
  if (extent.outer <= 0 || extent.inner <= 0) return;
  const double elements = static_cast<double>(extent.outer) * static_cast<double>(extent.inner) *
                          static_cast<double>(std::max<int64_t>(extent.reduce, 1));
  const double work = elements * traits.work_per_element;
  const Runner run = choose_runner(kernel, arguments, extent, work);

  if (summed_parts > 0) {
    return run_summed_parts(run, kernel.kernel(), arguments, scratch_bytes, extent, summed_parts,
                            work >= 2 * work_per_thread);
  }

  const int64_t units_per_row = traits.vector_dim < 0 ? 1 : (extent.inner + cut - 1) / cut;
  const int64_t units = extent.outer * units_per_row;
  int64_t parts = 1;
  if (work >= 2 * work_per_thread) {
    parts =
        std::min({static_cast<int64_t>(num_threads()), units, static_cast<int64_t>(work / work_per_thread)});
  }
  const auto scratch = [&] { return scratch_bytes > 0 ? thread_scratch(scratch_bytes) : nullptr; };
  if (parts <= 1) return run(arguments, scratch(), 0, extent.outer, 0, extent.inner);
  parallel_for(parts, [&](int64_t part) {
    const auto boundary = [&](int64_t n) { return units / parts * n + std::min(n, units % parts); };
    run_units(run, arguments, scratch(), extent, units_per_row, boundary(part), boundary(part + 1));
  });
}

BlockLauncher::BlockLauncher(CompiledKernel& kernel, const KernelArguments& arguments, size_t block_access,
                             int64_t scratch_bytes)
    : kernel_(kernel), arguments_(arguments), block_access_(block_access), scratch_bytes_(scratch_bytes) {
  const Extent extent = extent_of(kernel.kernel(), kernel.traits().vector_dim, arguments.extents);
  columns_ = extent.inner;
  if (jit_mode() != JitMode::off) {
    const double work = static_cast<double>(extent.outer) * static_cast<double>(extent.inner) *
                        static_cast<double>(extent.reduce) * kernel.traits().work_per_element;
    function_ = kernel.function();
    if (function_ == nullptr) function_ = kernel.prepare(StoreMode::cached, work);
  }
  if (function_ == nullptr) {
    kernel.interpreted();  // made here, once, not by the first threads that come
    count_interpreted_run();
  }
}

void BlockLauncher::operator()(const ResultBlock& block) const {
  const int64_t before = block.row * block.row_stride + block.column;
  const int64_t size = kernel_.kernel().accesses[block_access_].dtype.size();
  run(const_cast<std::byte*>(block.data) - before * size, block.row_stride, block.row, block.row + block.rows,
      block.column, block.column + block.columns);
}

void BlockLauncher::operator()(const OperandRows& rows) const {
  const int64_t size = kernel_.kernel().accesses[block_access_].dtype.size();
  run(rows.data - rows.row * rows.row_stride * size, rows.row_stride, rows.row, rows.row + rows.rows, 0,
      columns_);
}

void BlockLauncher::run(std::byte* data, int64_t row_stride, int64_t row, int64_t row_end, int64_t column,
                        int64_t column_end) const {
  const Kernel& kernel = kernel_.kernel();
  const size_t rank = kernel.dims.size();
  SmallVector<std::byte*, 24> pointers(kernel.accesses.size(), nullptr);
  std::copy_n(arguments_.pointers, pointers.size(), pointers.begin());
  size_t stride_count = 0, own_strides = 0;
  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    if (a == block_access_) own_strides = stride_count;
    stride_count += rank + kernel.accesses[a].dynamic_indices;
  }
  SmallVector<int64_t, 96> strides(stride_count, 0);
  std::copy_n(arguments_.strides, stride_count, strides.begin());
  // The block as a part of the whole, had that been kept.
  int64_t stride = row_stride;
  for (size_t d = rank - 1; d-- > 0;) {
    strides[own_strides + d] = stride;
    stride *= arguments_.extents[d];
  }
  pointers[block_access_] = data;
  const KernelArguments arguments{arguments_.extents, pointers.data(), strides.data()};
  std::byte* scratch = scratch_bytes_ > 0 ? thread_scratch(scratch_bytes_) : nullptr;
  if (function_ != nullptr) {
    function_(&arguments, scratch, row, row_end, column, column_end);
  } else {
    kernel_.interpreted().run(arguments, scratch, row, row_end, column, column_end);
  }
}

}  // namespace lazuli
