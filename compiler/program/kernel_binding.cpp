#include <lazuli/compiler/program/kernel_binding.h>

#include <algorithm>
#include <cstdlib>

#include <lazuli/compiler/kernel_ir/builder.h>

namespace lazuli {

namespace {

/// Extents from which on tiles are worth while: a vector of most types.
constexpr int64_t least_tile = 8;

/// Dimensions that `index` instructions name: their positions must stay what they are.
std::vector<bool> indexed_dims(const kir::Kernel& kernel) {
  std::vector<bool> indexed(kernel.dims.size(), false);
  for (const kir::Instruction& instruction : kernel.instructions) {
    const bool arg =
        instruction.op == kir::Opcode::reduce_argmin || instruction.op == kir::Opcode::reduce_argmax;
    if (instruction.op == kir::Opcode::index) indexed[instruction.imm] = true;
    if (!arg) continue;
    // The position along the one reduce dimension.
    for (size_t d = 0; d < kernel.dims.size(); ++d) {
      if (kernel.dims[d] == kir::Role::reduce) indexed[d] = true;
    }
  }
  return indexed;
}

}  // namespace

BoundKernel bind_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                        std::span<const std::vector<int64_t>> strides, RunsOver over) {
  const size_t rank = kernel.dims.size();
  const std::vector<bool> indexed = indexed_dims(kernel);
  const auto reduces = [&](size_t d) { return kernel.dims[d] == kir::Role::reduce; };
  const size_t reduce_dims =
      static_cast<size_t>(std::count(kernel.dims.begin(), kernel.dims.end(), kir::Role::reduce));

  // Drop dimensions of extent 1, but keep one reduce dimension, and one dimension at all.
  std::vector<size_t> kept;
  size_t reduce_kept = 0;
  for (size_t d = 0; d < rank; ++d) {
    const bool columns = over == RunsOver::blocks && d + 1 == rank;
    if (extents[d] == 1 && !indexed[d] && !columns) continue;
    kept.push_back(d);
    reduce_kept += reduces(d);
  }
  if (reduce_dims > 0 && reduce_kept == 0) {
    const auto d = static_cast<size_t>(std::find(kernel.dims.begin(), kernel.dims.end(), kir::Role::reduce) -
                                       kernel.dims.begin());
    kept.insert(std::upper_bound(kept.begin(), kept.end(), d), d);
  }
  if (kept.empty()) kept.push_back(rank - 1);

  const auto merged_extent = [&](const std::vector<size_t>& dims) {
    int64_t extent = 1;
    for (size_t d : dims) extent *= extents[d];
    return extent;
  };

  // Merge neighbours.
  std::vector<std::vector<size_t>> merged;  // each a run of dimensions, outermost first
  for (size_t d : kept) {
    if (!merged.empty() && (over == RunsOver::whole || d + 1 < rank)) {
      const size_t before = merged.back().back();
      bool merges = kernel.dims[before] == kernel.dims[d] && !indexed[before] && !indexed[d];
      for (size_t a = 0; merges && a < strides.size(); ++a) {
        merges = kernel.accesses[a].is_row() || strides[a][before] == strides[a][d] * extents[d];
      }
      if (merges) {
        merged.back().push_back(d);
        continue;
      }
    }
    merged.push_back({d});
  }

  // An input that lies the other way round is read in tiles, if the dimension it is contiguous along is next
  // to the innermost one.
  bool transposed = false;
  const bool may_turn = reduce_dims == 0 && over == RunsOver::whole;
  for (size_t a = 0; may_turn && merged.size() > 1 && !transposed && a < strides.size(); ++a) {
    if (kernel.accesses[a].kind != kir::Access::Kind::input || kernel.accesses[a].dynamic_indices > 0)
      continue;
    const size_t last = merged.back().back();
    if (std::abs(strides[a][last]) <= 1 || merged_extent(merged.back()) < least_tile) continue;
    for (size_t m = merged.size() - 1; m-- > 0;) {
      if (strides[a][merged[m].back()] != 1 || merged_extent(merged[m]) < least_tile) continue;
      std::rotate(merged.begin() + static_cast<std::ptrdiff_t>(m),
                  merged.begin() + static_cast<std::ptrdiff_t>(m) + 1, merged.end() - 1);
      transposed = true;
      break;
    }
  }

  BoundKernel bound;
  bound.kernel.instructions = kernel.instructions;
  bound.kernel.blocks = kernel.blocks;
  std::vector<size_t> new_dim(rank, 0);
  for (size_t m = 0; m < merged.size(); ++m) {
    for (size_t d : merged[m]) new_dim[d] = m;
    bound.extents.push_back(merged_extent(merged[m]));
    bound.kernel.dims.push_back(kernel.dims[merged[m].front()]);
  }
  for (kir::Instruction& instruction : bound.kernel.instructions) {
    if (instruction.op == kir::Opcode::index) instruction.imm = new_dim[instruction.imm];
  }
  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    kir::Access access = kernel.accesses[a];
    access.strides.clear();
    bool innermost = true;
    std::vector<kir::StrideClass> classes(merged.size());
    std::vector<int64_t> of_access(merged.size(), 0);
    for (size_t m = merged.size(); m-- > 0;) {
      const size_t last = merged[m].back();
      if (access.is_row()) {
        // A dense row over the reduce dimensions; layout_scratch fills in the numbers.
        const bool reduce = bound.kernel.dims[m] == kir::Role::reduce;
        classes[m] = !reduce     ? kir::StrideClass::zero
                     : innermost ? kir::StrideClass::unit
                                 : kir::StrideClass::any;
        if (reduce) innermost = false;
        continue;
      }
      // Along an extent of 1 the stride does not matter: what is loaded is the same for all, what is stored
      // lies densely.
      const bool dense = access.kind == kir::Access::Kind::output && m + 1 == merged.size();
      const int64_t stride = bound.extents[m] == 1 ? (dense ? 1 : 0) : strides[a][last];
      of_access[m] = stride;
      // Code gains from knowing a stride of 1 only along the innermost dimension, or next to it in what lies
      // the other way round.
      const bool known = m + 1 == merged.size() ||
                         (transposed && m + 2 == merged.size() && classes.back() == kir::StrideClass::any);
      classes[m] = stride == 0            ? kir::StrideClass::zero
                   : stride == 1 && known ? kir::StrideClass::unit
                                          : kir::StrideClass::any;
    }
    access.strides = std::move(classes);
    bound.kernel.accesses.push_back(std::move(access));
    bound.strides.insert(bound.strides.end(), of_access.begin(), of_access.end());
    for (size_t j = rank; j < strides[a].size(); ++j) bound.strides.push_back(strides[a][j]);
  }
  return bound;
}

kir::Kernel copy_kernel(Dtype dtype, int rank) {
  kir::Kernel kernel;
  kernel.dims.assign(static_cast<size_t>(std::max(rank, 1)), kir::Role::parallel);
  kir::Access access;
  access.dtype = dtype;
  access.strides.assign(kernel.dims.size(), kir::StrideClass::any);
  kernel.accesses.push_back(access);
  access.kind = kir::Access::Kind::output;
  kernel.accesses.push_back(access);
  kir::Builder builder(kernel);
  builder.begin_block(true);
  builder.store(1, builder.load(0));
  builder.end_block();
  return kernel;
}

kir::Kernel sum_of_parts_kernel(Dtype from, Dtype to, int rank) {
  kir::Kernel kernel;
  kernel.dims.assign(static_cast<size_t>(rank), kir::Role::parallel);
  const auto summed = static_cast<size_t>(rank) - 2;
  kernel.dims[summed] = kir::Role::reduce;
  kir::Access access;
  access.dtype = from;
  access.strides.assign(kernel.dims.size(), kir::StrideClass::any);
  kernel.accesses.push_back(access);
  access.kind = kir::Access::Kind::output;
  access.dtype = to;
  access.strides[summed] = kir::StrideClass::zero;
  kernel.accesses.push_back(access);
  kir::Builder builder(kernel);
  builder.begin_block(true);
  const kir::Value sum = builder.reduce(kir::Opcode::reduce_sum, builder.load(0));
  builder.begin_block(false);
  builder.store(1, sum);
  builder.end_block();
  return kernel;
}

}  // namespace lazuli
