#include <lazuli/compiler/program/binder.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include <lazuli/compiler/kernel_launch.h>
#include <lazuli/compiler/settings.h>

// What runs in a program, written down once memory has its places.
namespace lazuli {

namespace {

/// Rows that are summed up by themselves, in memory of their own: so many that this memory is little beside
/// theirs, and few enough that nothing is lost by rounding. As many parts whatever the threads, so that these
/// make no difference.
constexpr int64_t rows_a_summed_part = 64;
constexpr int64_t most_summed_parts = 256;

}  // namespace

void Binder::write_step(int s) {
  step_ = s;
  const ProgramStep& step = program_.steps()[static_cast<size_t>(s)];
  switch (step.kind) {
    case FusionUnit::Kind::group:
      write_kernel(step.kernel);
      break;
    case FusionUnit::Kind::host:
      write_host(step);
      break;
    case FusionUnit::Kind::reshape:
      if (is_copy(s)) {
        write_copy(locate(graph_.nodes[step.node].inputs[0]), locate(step.writes[0]),
                   graph_.spec(step.writes[0]).dtype, -1);
      }
      break;
    case FusionUnit::Kind::begin: {
      const Graph::GraphNode& node = graph_.nodes[step.node];
      if (node.operation->kind() != OperationKind::update) break;
      if (std::find(in_place_.begin(), in_place_.end(), s) != in_place_.end()) break;
      const Location& to = locate(step.writes[0]);
      write_copy(locate(node.inputs[0]), to, graph_.spec(step.writes[0]).dtype, to.storage);
      break;
    }
  }
}

void Binder::plan_memory(const std::vector<int>& begins) {
  const int runs = begins.back();
  std::vector<MemoryNeed> temporaries;
  std::vector<MemoryPiece>& pieces = binding_.pieces_;
  for (size_t i = 0; i < binding_.storages_.size(); ++i) {
    const Storage& storage = binding_.storages_[i];
    if (merged_[i] >= 0) continue;
    const auto index = static_cast<int>(i);
    if (storage.kind == Storage::Kind::output) {
      pieces.push_back({storage.bytes, begins[static_cast<size_t>(storage.first)], runs, {{index, 0}}});
    } else if (storage.kind == Storage::Kind::temporary && storage.last >= storage.first) {
      const int first = begins[static_cast<size_t>(storage.first)];
      const int last = begins[static_cast<size_t>(storage.last) + 1] - 1;
      temporaries.push_back({index, storage.bytes, first, std::max(first, last)});
    }
  }
  std::vector<MemoryPiece> placed = place_temporaries(temporaries);
  std::move(placed.begin(), placed.end(), std::back_inserter(pieces));
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const MemoryPiece& a, const MemoryPiece& b) { return a.first < b.first; });
  binding_.by_last_.resize(pieces.size());
  std::iota(binding_.by_last_.begin(), binding_.by_last_.end(), 0);
  std::stable_sort(binding_.by_last_.begin(), binding_.by_last_.end(), [&](int a, int b) {
    return pieces[static_cast<size_t>(a)].last < pieces[static_cast<size_t>(b)].last;
  });
}

KernelRun Binder::make_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                              std::span<const std::vector<int64_t>> strides,
                              std::vector<KernelRun::Pointer> pointers, RunsOver over) {
  BoundKernel bound = bind_kernel(kernel, extents, strides, over);
  KernelRun run;
  run.extents = std::move(bound.extents);
  run.strides = std::move(bound.strides);
  run.pointers = std::move(pointers);
  std::vector<std::byte*> scratch(run.pointers.size(), nullptr);
  run.scratch_bytes = layout_scratch(bound.kernel, run.extents.data(), scratch.data(), run.strides.data());
  for (size_t a = 0; a < run.pointers.size(); ++a) {
    if (bound.kernel.accesses[a].kind == kir::Access::Kind::scratch) {
      run.pointers[a] = {-1, static_cast<int64_t>(reinterpret_cast<intptr_t>(scratch[a]))};
    }
  }
  run.kernel = kernel_for(bound.kernel);
  return run;
}

void Binder::add_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                        std::span<const std::vector<int64_t>> strides,
                        std::vector<KernelRun::Pointer> pointers, int only_unless_donated) {
  KernelRun run = make_kernel(kernel, extents, strides, std::move(pointers), RunsOver::whole);
  run.only_unless_donated = only_unless_donated;
  binding_.runs_.push_back(std::move(run));
}

Binder::Operands Binder::place_operands(const LoweredKernel& lowered) {
  Operands placed;
  auto& [extents, strides, pointers] = placed;
  for (Dim extent : lowered.extents) extents.push_back(concrete(extent));
  const size_t rank = extents.size();
  for (size_t a = 0; a < lowered.operands.size(); ++a) {
    const KernelOperand& operand = lowered.operands[a];
    std::vector<int64_t> of_access(rank + lowered.kernel.accesses[a].dynamic_indices, 0);
    KernelRun::Pointer pointer{-1, 0};
    if (operand.kind == KernelOperand::Kind::extent) {
      binding_.extents_.push_back(std::make_unique<int64_t>(concrete(operand.extent)));
      pointer.offset = static_cast<int64_t>(reinterpret_cast<intptr_t>(binding_.extents_.back().get()));
    } else if (operand.kind == KernelOperand::Kind::block ||
               (operand.kind == KernelOperand::Kind::rows && locations_[operand.value].storage < 0)) {
      // As the whole would lie; each block brings its own memory.
      const Strides whole = row_major_strides(concrete(graph_.spec(operand.value).shape));
      for (size_t d = 0; d < whole.size(); ++d) {
        if (operand.coordinates[d].dim >= 0) {
          of_access[static_cast<size_t>(operand.coordinates[d].dim)] = whole[d];
        }
      }
    } else if (operand.kind != KernelOperand::Kind::scratch) {
      const Location& location = locate(operand.value);
      pointer = {location.storage, location.offset};
      for (size_t d = 0; d < operand.coordinates.size(); ++d) {
        const KernelOperand::Coordinate& coordinate = operand.coordinates[d];
        const int64_t stride = location.strides[d];
        pointer.offset += concrete(coordinate.offset) * stride * item_size(operand.value);
        if (coordinate.dim >= 0)
          of_access[static_cast<size_t>(coordinate.dim)] += concrete(coordinate.scale) * stride;
        if (coordinate.dynamic >= 0) {
          of_access[rank + static_cast<size_t>(coordinate.dynamic)] +=
              concrete(coordinate.dynamic_scale) * stride;
        }
      }
    }
    strides.push_back(std::move(of_access));
    pointers.push_back(pointer);
  }
  return placed;
}

void Binder::write_kernel(const LoweredKernel& lowered) {
  Operands placed = place_operands(lowered);
  const auto is_sums = [](const KernelOperand& operand) { return operand.kind == KernelOperand::Kind::sums; };
  if (std::any_of(lowered.operands.begin(), lowered.operands.end(), is_sums)) {
    return write_kernel_with_sums(lowered, std::move(placed));
  }
  auto& [extents, strides, pointers] = placed;
  if (const auto split = split_reduction(lowered.kernel, extents, strides, num_threads())) {
    return add_split_reduction(*split, strides, pointers);
  }
  if (const auto split = split_variance(lowered.kernel, extents, strides)) {
    return add_split_reduction(*split, strides, pointers);
  }
  add_kernel(lowered.kernel, extents, strides, std::move(pointers), -1);
}

void Binder::write_kernel_with_sums(const LoweredKernel& lowered, Operands placed) {
  const kir::Kernel& kernel = lowered.kernel;
  int64_t rows = 1, row = 1;
  std::vector<size_t> columns;  // the dimensions of a row
  for (size_t d = 0; d < kernel.dims.size(); ++d) {
    if (kernel.dims[d] == kir::Role::reduce) columns.push_back(d);
    (kernel.dims[d] == kir::Role::reduce ? row : rows) *= placed.extents[d];
  }
  const int64_t parts = rows == 0 ? 0 : std::clamp<int64_t>(rows / rows_a_summed_part, 1, most_summed_parts);
  std::vector<KernelRun::Pointer> pointers = placed.pointers;
  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    if (kernel.accesses[a].kind != kir::Access::Kind::sums) continue;
    pointers[a] = {add_step_storage(parts * row * kernel.accesses[a].dtype.size()), 0};
  }
  KernelRun run = make_kernel(kernel, placed.extents, placed.strides, pointers, RunsOver::whole);
  run.summed_parts = parts;
  binding_.runs_.push_back(std::move(run));

  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    if (kernel.accesses[a].kind != kir::Access::Kind::sums) continue;
    // The parts are a further dimension, before the innermost one of a row.
    const size_t rank = columns.size() + 1;
    std::vector<int64_t> extents(rank, parts);
    std::vector<std::vector<int64_t>> strides(2, std::vector<int64_t>(rank, 0));
    strides[0][rank - 2] = row;
    int64_t stride = 1;
    for (size_t n = columns.size(); n-- > 0;) {
      const size_t d = n + 1 == columns.size() ? rank - 1 : n;
      extents[d] = placed.extents[columns[n]];
      strides[0][d] = stride;
      strides[1][d] = placed.strides[a][columns[n]];
      stride *= extents[d];
    }
    const Dtype dtype = graph_.spec(lowered.operands[a].value).dtype;
    add_kernel(sum_of_parts_kernel(kernel.accesses[a].dtype, dtype, static_cast<int>(rank)), extents, strides,
               {pointers[a], placed.pointers[a]}, -1);
  }
}

int Binder::add_step_storage(int64_t bytes) {
  const int index = add_storage(Storage::Kind::temporary, 0, bytes);
  binding_.storages_.back().first = binding_.storages_.back().last = step_;
  return index;
}

void Binder::add_split_reduction(const SplitReduction& split, std::span<const std::vector<int64_t>> strides,
                                 std::span<const KernelRun::Pointer> pointers) {
  std::vector<int> partial;
  for (Dtype dtype : split.partial_dtypes) {
    partial.push_back(add_step_storage(split.parts * split.results * dtype.size()));
  }
  binding_.counts_.push_back(split.counts);
  const auto counts = static_cast<int64_t>(reinterpret_cast<intptr_t>(binding_.counts_.back().data()));
  const auto add_half = [&](const SplitReduction::Half& half, bool rest) {
    std::vector<KernelRun::Pointer> own;
    for (size_t i = 0; i < half.operands.size(); ++i) {
      const int operand = half.operands[i];
      const int64_t size = half.kernel.accesses[i].dtype.size();
      if (operand == SplitReduction::part_counts) {
        own.push_back({-1, counts});
        if (rest) own.back().offset += (split.parts - 1) * size;
      } else if (operand >= 0) {
        own.push_back(pointers[static_cast<size_t>(operand)]);
        const int64_t stride = strides[static_cast<size_t>(operand)][static_cast<size_t>(split.split_dim)];
        if (!half.moved.empty()) own.back().offset += half.moved[i] * stride * size;
        const bool moves = half.at_first.empty() || !half.at_first[i];
        if (rest && moves) own.back().offset += split.rest_offset * stride * size;
      } else {
        own.push_back({partial[static_cast<size_t>(-1 - operand)], 0});
        if (rest) own.back().offset = (split.parts - 1) * split.results * size;
      }
    }
    add_kernel(half.kernel, half.extents, half.strides, std::move(own), -1);
  };
  add_half(split.first, false);
  if (split.rest) add_half(*split.rest, true);
  add_half(split.second, false);
}

void Binder::write_copy(const Location& from, const Location& to, Dtype dtype, int only_unless_donated) {
  std::vector<int64_t> extents;
  for (Dim extent : from.shape) extents.push_back(extent.hint());
  if (extents.empty()) extents.push_back(1);
  std::vector<std::vector<int64_t>> strides(2);
  Strides target = row_major_strides(from.shape);
  strides[0].assign(from.strides.begin(), from.strides.end());
  strides[1].assign(target.begin(), target.end());
  for (auto& of_access : strides) of_access.resize(extents.size(), 0);
  add_kernel(copy_kernel(dtype, static_cast<int>(from.shape.size())), extents, strides,
             {{from.storage, from.offset}, {to.storage, to.offset}}, only_unless_donated);
}

TensorView Binder::view_of(const Location& location, Dtype dtype) const {
  TensorView view;
  view.data = reinterpret_cast<std::byte*>(location.offset);  // the storage's address is added when it runs
  view.dtype = dtype;
  view.shape = location.shape;
  view.strides = location.strides;
  return view;
}

FusedRun Binder::make_fused(const LoweredKernel& lowered, Operands placed, KernelOperand::Kind block,
                            Graph::ValueId tensor) {
  FusedRun fused;
  fused.kernel = make_kernel(lowered.kernel, placed.extents, placed.strides, std::move(placed.pointers),
                             RunsOver::blocks);
  const auto is_block = [&](const KernelOperand& operand) { return operand.kind == block; };
  const auto& operands = lowered.operands;
  fused.block_access =
      static_cast<size_t>(std::find_if(operands.begin(), operands.end(), is_block) - operands.begin());
  const ArraySpec& spec = graph_.spec(tensor);
  fused.tensor.dtype = spec.dtype;
  fused.tensor.shape = concrete(spec.shape);
  fused.tensor.strides = row_major_strides(fused.tensor.shape);
  return fused;
}

bool Binder::makes_rows_when_needed(const ProgramStep& step, const Operands& placed) const {
  // Where nothing is multiplied no rows are needed, but the prologue may have other results.
  const Graph::GraphNode& node = graph_.nodes[step.node];
  if (element_count(concrete(graph_.spec(node.outputs[0]).shape)) == 0 ||
      concrete(graph_.spec(step.made).shape.back()) == 0) {
    return false;
  }
  // Elementwise work on what lies the other way round goes over square tiles, which take many rows.
  const kir::Kernel& kernel = step.prologue.kernel;
  if (kernel.has_reduce()) return true;
  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    const int64_t along_row = placed.strides[a][kernel.dims.size() - 1];
    if (kernel.accesses[a].kind == kir::Access::Kind::input && std::abs(along_row) > 1) return false;
  }
  return true;
}

void Binder::write_prologue_before(const ProgramStep& step) {
  Location rows;
  rows.shape = concrete(graph_.spec(step.made).shape);
  rows.strides = row_major_strides(rows.shape);
  rows.storage = add_step_storage(element_count(rows.shape) * item_size(step.made));
  const Graph::ValueId operand = graph_.nodes[step.node].inputs[0];
  locations_[operand] = {rows.storage, 0, concrete(graph_.spec(operand).shape), {}};
  locations_[operand].strides = row_major_strides(locations_[operand].shape);
  locations_[step.made] = std::move(rows);
  write_kernel(step.prologue);
}

void Binder::write_host(const ProgramStep& step) {
  const Graph::GraphNode& node = graph_.nodes[step.node];
  HostRun run;
  run.operation = static_cast<const HostOperation*>(node.operation.get());
  if (step.has_prologue()) {
    Operands placed = place_operands(step.prologue);
    if (makes_rows_when_needed(step, placed)) {
      run.prologue = make_fused(step.prologue, std::move(placed), KernelOperand::Kind::rows, node.inputs[0]);
    } else {
      write_prologue_before(step);
    }
  }
  for (size_t i = run.prologue ? 1 : 0; i < node.inputs.size(); ++i) {
    const Dtype dtype = graph_.spec(node.inputs[i]).dtype;
    Location location = locate(node.inputs[i]);
    if (run.operation->needs_contiguous(static_cast<int>(i)) && !is_row_major(location)) {
      Location dense;
      dense.shape = location.shape;
      dense.strides = row_major_strides(dense.shape);
      dense.storage = add_step_storage(element_count(dense.shape) * dtype.size());
      write_copy(location, dense, dtype, -1);
      location = std::move(dense);
    }
    run.inputs.emplace_back(location.storage, view_of(location, dtype));
  }
  if (step.has_epilogue) {
    run.epilogue =
        make_fused(step.kernel, place_operands(step.kernel), KernelOperand::Kind::block, node.outputs[0]);
  } else {
    for (Graph::ValueId output : node.outputs) {
      const Location& location = locate(output);
      run.outputs.emplace_back(location.storage, view_of(location, graph_.spec(output).dtype));
    }
  }
  binding_.runs_.push_back(std::move(run));
}

}  // namespace lazuli
