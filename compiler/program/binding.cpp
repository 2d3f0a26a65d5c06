#include <lazuli/compiler/program/binding.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include <lazuli/array/array.h>
#include <lazuli/compiler/kernel_launch.h>
#include <lazuli/compiler/profiler.h>
#include <lazuli/compiler/program/kernel_binding.h>
#include <lazuli/compiler/program/split_reduction.h>
#include <lazuli/compiler/settings.h>

namespace lazuli {

namespace {

constexpr int64_t alignment = 64;

int64_t round_up(int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// Strides that walk `location` in row-major order as `shape`, where there are such.
std::optional<Strides> reshaped_strides(const Location& location, const Shape& shape) {
  // Dimensions of extent 1 say nothing; the others are matched in runs of equal products.
  std::vector<std::pair<int64_t, int64_t>> old;  // extent, stride
  for (size_t d = 0; d < location.shape.size(); ++d) {
    if (location.shape[d].hint() != 1) old.emplace_back(location.shape[d].hint(), location.strides[d]);
  }
  Strides strides(shape.size(), 0);
  if (element_count(shape) == 0) return row_major_strides(shape);
  size_t at = 0;
  for (size_t d = 0; d < shape.size();) {
    if (shape[d].hint() == 1) {
      strides[d++] = 1;
      continue;
    }
    size_t old_end = at + 1, new_end = d + 1;
    int64_t old_product = old[at].first, new_product = shape[d].hint();
    while (old_product != new_product) {
      if (old_product < new_product) {
        old_product *= old[old_end++].first;
      } else {
        new_product *= shape[new_end++].hint();
      }
    }
    for (size_t i = at; i + 1 < old_end; ++i) {
      if (old[i].second != old[i + 1].second * old[i + 1].first) return std::nullopt;
    }
    int64_t stride = old[old_end - 1].second;
    for (size_t i = new_end; i-- > d;) {
      strides[i] = stride;
      stride *= shape[i].hint();
    }
    at = old_end;
    d = new_end;
  }
  return strides;
}

bool is_row_major(const Location& location) {
  int64_t expected = 1;
  for (size_t d = location.shape.size(); d-- > 0;) {
    const int64_t extent = location.shape[d].hint();
    if (extent != 1 && location.strides[d] != expected) return false;
    expected *= extent;
  }
  return true;
}

}  // namespace

/// Builds a Binding: walks the steps once to place values, once to see how long memory is needed, and once
/// to write down what runs.
class Binder {
 public:
  Binder(Binding& binding, const Program& program, std::span<const ProgramInput> inputs,
         std::span<const int64_t> symbols)
      : binding_(binding), program_(program), graph_(program.graph()), locations_(graph_.values.size()) {
    if (!symbols.empty() || graph_.dims.symbols > 0) dims_ = graph_.dims.evaluate(symbols);
    place_sources(inputs);
  }

  void run() {
    const auto& steps = program_.steps();
    for (size_t s = 0; s < steps.size(); ++s) place_step(static_cast<int>(s));
    find_lifetimes();
    for (size_t s = 0; s < steps.size(); ++s) take_over_memory(static_cast<int>(s));
    resolve_merged();
    plan_arena();
    for (size_t s = 0; s < steps.size(); ++s) write_step(static_cast<int>(s));
    for (Graph::ValueId output : graph_.outputs) {
      Location location = locate(output);
      location.storage = find(location.storage);
      binding_.outputs_.push_back(std::move(location));
    }
    // Merged storages stand in for the one they were merged into.
    for (size_t s = 0; s < binding_.storages_.size(); ++s) {
      const int root = find(static_cast<int>(s));
      if (root != static_cast<int>(s)) binding_.storages_[s].bytes = 0;
    }
  }

 private:
  int64_t concrete(Dim dim) const {
    if (!dim.is_symbolic()) return dim.hint();
    return dims_[dim.symbol() - graph_.dim_base];
  }

  Shape concrete(const Shape& shape) const {
    Shape result;
    for (Dim dim : shape) result.push_back(Dim(concrete(dim)));
    return result;
  }

  int64_t item_size(Graph::ValueId value) const { return graph_.spec(value).dtype.size(); }

  int add_storage(Storage::Kind kind, int index, int64_t bytes) {
    Storage storage;
    storage.kind = kind;
    storage.index = index;
    storage.bytes = bytes;
    storage.first = static_cast<int>(program_.steps().size());
    storage.last = -1;
    binding_.storages_.push_back(storage);
    merged_.push_back(-1);
    return static_cast<int>(binding_.storages_.size() - 1);
  }

  int find(int storage) const {
    while (merged_[static_cast<size_t>(storage)] >= 0) storage = merged_[static_cast<size_t>(storage)];
    return storage;
  }

  Location fresh(Graph::ValueId value) {
    Location location;
    location.shape = concrete(graph_.spec(value).shape);
    location.strides = row_major_strides(location.shape);
    location.storage =
        add_storage(Storage::Kind::temporary, 0, element_count(location.shape) * item_size(value));
    return location;
  }

  void place_sources(std::span<const ProgramInput> inputs) {
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      Location location;
      location.storage = add_storage(Storage::Kind::input, static_cast<int>(i), 0);
      location.shape = inputs[i].shape;
      location.strides = inputs[i].strides;
      locations_[graph_.inputs[i]] = std::move(location);
    }
    for (Graph::ValueId value = 0; value < graph_.values.size(); ++value) {
      const array* constant = graph_.constant(value);
      if (constant == nullptr) continue;
      const NodeOutput& output = constant->node()->outputs[constant->output_index()];
      Location location;
      location.storage =
          add_storage(Storage::Kind::constant, static_cast<int>(binding_.constants_.size()), 0);
      location.offset = output.offset;
      location.shape = output.shape;
      location.strides = output.strides;
      binding_.constants_.push_back(output.buffer);
      locations_[value] = std::move(location);
    }
  }

  /// Where a value lies; views are worked out on the way.
  const Location& locate(Graph::ValueId value) {
    Location& location = locations_[value];
    if (location.storage >= 0) return location;
    const Graph::GraphNode& node = *graph_.producer(value);
    const auto& view = static_cast<const ViewOperation&>(*node.operation);
    const Shape& input = graph_.spec(node.inputs[0]).shape;
    const IndexMap map = view.map(input, graph_.spec(value).shape);
    const Location& from = locate(node.inputs[0]);
    Location result;
    result.storage = from.storage;
    result.offset = from.offset;
    result.shape = concrete(graph_.spec(value).shape);
    result.strides = Strides(result.shape.size(), 0);
    for (size_t d = 0; d < map.size(); ++d) {
      result.offset += concrete(map[d].offset) * from.strides[d] * item_size(value);
      if (map[d].dim >= 0)
        result.strides[static_cast<size_t>(map[d].dim)] += concrete(map[d].scale) * from.strides[d];
    }
    return location = std::move(result);
  }

  void place_step(int s) {
    const ProgramStep& step = program_.steps()[static_cast<size_t>(s)];
    switch (step.kind) {
      case FusionUnit::Kind::group:
      case FusionUnit::Kind::host:
        for (Graph::ValueId value : step.writes) {
          if (locations_[value].storage < 0) locations_[value] = fresh(value);
        }
        break;
      case FusionUnit::Kind::begin:
        for (Graph::ValueId value : step.writes) locations_[value] = fresh(value);
        break;
      case FusionUnit::Kind::reshape: {
        const Graph::ValueId value = step.writes[0];
        const Location from = locate(graph_.nodes[step.node].inputs[0]);
        Shape shape = concrete(graph_.spec(value).shape);
        if (const auto strides = reshaped_strides(from, shape)) {
          locations_[value] = {from.storage, from.offset, std::move(shape), *strides};
        } else {
          locations_[value] = fresh(value);
          copies_.push_back(s);
        }
        break;
      }
    }
  }

  bool is_copy(int s) const { return std::find(copies_.begin(), copies_.end(), s) != copies_.end(); }

  Storage& storage_of(Graph::ValueId value) {
    return binding_.storages_[static_cast<size_t>(find(locate(value).storage))];
  }

  void find_lifetimes() {
    const auto& steps = program_.steps();
    for (int s = 0; s < static_cast<int>(steps.size()); ++s) {
      const auto touch = [&](Graph::ValueId value) {
        Storage& storage = storage_of(value);
        storage.first = std::min(storage.first, s);
        storage.last = std::max(storage.last, s);
      };
      const ProgramStep& step = steps[static_cast<size_t>(s)];
      std::for_each(step.reads.begin(), step.reads.end(), touch);
      std::for_each(step.writes.begin(), step.writes.end(), touch);
    }
    for (Graph::ValueId output : graph_.outputs) {
      Storage& storage = storage_of(output);
      storage.last = static_cast<int>(steps.size());
      if (storage.kind == Storage::Kind::temporary) storage.kind = Storage::Kind::output;
    }
  }

  /// Lets an update write into its operand's memory where nobody reads that afterwards.
  void take_over_memory(int s) {
    const ProgramStep& step = program_.steps()[static_cast<size_t>(s)];
    if (step.kind != FusionUnit::Kind::begin) return;
    const Graph::GraphNode& node = graph_.nodes[step.node];
    if (node.operation->kind() != OperationKind::update) return;
    const Location base = locate(node.inputs[0]);
    const Graph::ValueId result = node.outputs[0];
    const int from = find(base.storage);
    const int to = find(locate(result).storage);
    Storage& source = binding_.storages_[static_cast<size_t>(from)];
    Storage& target = binding_.storages_[static_cast<size_t>(to)];
    if (!is_row_major(base) || base.offset != 0 || source.last > s) return;
    if (source.kind == Storage::Kind::temporary && source.bytes == target.bytes) {
      merged_[static_cast<size_t>(from)] = to;
      target.first = std::min(target.first, source.first);
      in_place_.push_back(s);
    } else if (source.kind == Storage::Kind::input) {
      target.donor = source.index;
    }
  }

  void resolve_merged() {
    for (Location& location : locations_) {
      if (location.storage >= 0) location.storage = find(location.storage);
    }
  }

  /// Gives temporaries places in one arena: those whose times overlap lie apart. Largest first, each at the
  /// lowest place that is free during its time.
  void plan_arena() {
    std::vector<Storage*> temporaries;
    for (size_t i = 0; i < binding_.storages_.size(); ++i) {
      Storage& storage = binding_.storages_[i];
      if (merged_[i] < 0 && storage.kind == Storage::Kind::temporary && storage.bytes > 0) {
        temporaries.push_back(&storage);
      }
    }
    std::stable_sort(temporaries.begin(), temporaries.end(),
                     [](const Storage* a, const Storage* b) { return a->bytes > b->bytes; });
    std::vector<const Storage*> placed;  // by arena offset
    for (Storage* storage : temporaries) {
      int64_t offset = 0;
      for (const Storage* other : placed) {
        if (other->last < storage->first || storage->last < other->first) continue;
        if (offset + round_up(storage->bytes) <= other->arena_offset) break;
        offset = std::max(offset, other->arena_offset + round_up(other->bytes));
      }
      storage->arena_offset = offset;
      binding_.arena_bytes_ = std::max(binding_.arena_bytes_, offset + round_up(storage->bytes));
      placed.insert(std::upper_bound(
                        placed.begin(), placed.end(), storage,
                        [](const Storage* a, const Storage* b) { return a->arena_offset < b->arena_offset; }),
                    storage);
    }
  }

  void write_step(int s) {
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

  KernelRun make_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
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

  void add_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                  std::span<const std::vector<int64_t>> strides, std::vector<KernelRun::Pointer> pointers,
                  int only_unless_donated) {
    KernelRun run = make_kernel(kernel, extents, strides, std::move(pointers), RunsOver::whole);
    run.only_unless_donated = only_unless_donated;
    binding_.runs_.push_back(std::move(run));
  }

  /// Where a kernel's accesses lie, and how they are walked.
  struct Operands {
    std::vector<int64_t> extents;
    std::vector<std::vector<int64_t>> strides;
    std::vector<KernelRun::Pointer> pointers;
  };

  Operands place_operands(const LoweredKernel& lowered) {
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
      } else if (operand.kind == KernelOperand::Kind::block) {
        // As the whole result would lie; each block brings its own memory.
        const Strides whole = row_major_strides(concrete(graph_.spec(operand.value).shape));
        for (size_t d = 0; d < whole.size(); ++d) {
          if (operand.coordinates[d].dim >= 0) {
            of_access[static_cast<size_t>(operand.coordinates[d].dim)] = whole[d];
          }
        }
      } else if (operand.kind == KernelOperand::Kind::tensor) {
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

  void write_kernel(const LoweredKernel& lowered) {
    auto [extents, strides, pointers] = place_operands(lowered);
    if (const auto split = split_reduction(lowered.kernel, extents, strides, num_threads())) {
      return add_split_reduction(*split, strides, pointers);
    }
    add_kernel(lowered.kernel, extents, strides, std::move(pointers), -1);
  }

  /// Memory of its own for the whole run, for what is needed between two runs of one step.
  int add_dedicated_storage(int64_t bytes) {
    const int index = add_storage(Storage::Kind::temporary, 0, bytes);
    Storage& storage = binding_.storages_.back();
    storage.arena_offset = binding_.arena_bytes_;
    binding_.arena_bytes_ += round_up(storage.bytes);
    return index;
  }

  void add_split_reduction(const SplitReduction& split, std::span<const std::vector<int64_t>> strides,
                           std::span<const KernelRun::Pointer> pointers) {
    std::vector<int> partial;
    for (Dtype dtype : split.partial_dtypes) {
      partial.push_back(add_dedicated_storage(split.parts * split.results * dtype.size()));
    }
    const auto add_half = [&](const SplitReduction::Half& half, bool rest) {
      std::vector<KernelRun::Pointer> own;
      for (size_t i = 0; i < half.operands.size(); ++i) {
        const int operand = half.operands[i];
        const int64_t size = half.kernel.accesses[i].dtype.size();
        if (operand >= 0) {
          own.push_back(pointers[static_cast<size_t>(operand)]);
          const int64_t stride = strides[static_cast<size_t>(operand)][static_cast<size_t>(split.split_dim)];
          if (rest) own.back().offset += split.rest_offset * stride * size;
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

  void write_copy(const Location& from, const Location& to, Dtype dtype, int only_unless_donated) {
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

  TensorView view_of(const Location& location, Dtype dtype) const {
    TensorView view;
    view.data = reinterpret_cast<std::byte*>(location.offset);  // the storage's address is added when it runs
    view.dtype = dtype;
    view.shape = location.shape;
    view.strides = location.strides;
    return view;
  }

  void write_host(const ProgramStep& step) {
    const Graph::GraphNode& node = graph_.nodes[step.node];
    HostRun run;
    run.operation = static_cast<const HostOperation*>(node.operation.get());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Dtype dtype = graph_.spec(node.inputs[i]).dtype;
      Location location = locate(node.inputs[i]);
      if (run.operation->needs_contiguous(static_cast<int>(i)) && !is_row_major(location)) {
        // Rare enough to have memory of its own.
        Location dense;
        dense.shape = location.shape;
        dense.strides = row_major_strides(dense.shape);
        dense.storage = add_dedicated_storage(element_count(dense.shape) * dtype.size());
        write_copy(location, dense, dtype, -1);
        location = std::move(dense);
      }
      run.inputs.emplace_back(location.storage, view_of(location, dtype));
    }
    if (step.has_epilogue) {
      auto [extents, strides, pointers] = place_operands(step.kernel);
      HostRun::Epilogue& epilogue = run.epilogue.emplace();
      epilogue.kernel =
          make_kernel(step.kernel.kernel, extents, strides, std::move(pointers), RunsOver::blocks);
      const auto is_block = [](const KernelOperand& operand) {
        return operand.kind == KernelOperand::Kind::block;
      };
      const auto& operands = step.kernel.operands;
      epilogue.block_access =
          static_cast<size_t>(std::find_if(operands.begin(), operands.end(), is_block) - operands.begin());
      const ArraySpec& result = graph_.spec(node.outputs[0]);
      epilogue.result.dtype = result.dtype;
      epilogue.result.shape = concrete(result.shape);
      epilogue.result.strides = row_major_strides(epilogue.result.shape);
      binding_.runs_.push_back(std::move(run));
      return;
    }
    for (Graph::ValueId output : node.outputs) {
      const Location& location = locate(output);
      run.outputs.emplace_back(location.storage, view_of(location, graph_.spec(output).dtype));
    }
    binding_.runs_.push_back(std::move(run));
  }

  Binding& binding_;
  const Program& program_;
  const Graph& graph_;
  std::vector<int64_t> dims_;
  std::vector<Location> locations_;
  std::vector<int> merged_;    // for each storage, the one it was merged into, or -1
  std::vector<int> copies_;    // reshape steps that copy
  std::vector<int> in_place_;  // update steps that write over their operand
};

Binding::Binding(const Program& program, std::span<const ProgramInput> inputs,
                 std::span<const int64_t> symbols) {
  Binder(*this, program, inputs, symbols).run();
}

int64_t Binding::memory() const {
  int64_t bytes = arena_bytes_;
  for (const Storage& storage : storages_) {
    if (storage.kind == Storage::Kind::output) bytes += storage.bytes;
  }
  return bytes;
}

std::vector<ProgramOutput> Binding::run(std::vector<ProgramInput> inputs) const {
  // Addresses of storages, and the buffers behind those that results may lie in.
  SmallVector<std::byte*, 32> base(storages_.size(), nullptr);
  SmallVector<bool, 32> took_over(storages_.size(), false);
  std::vector<Ref<Buffer>> made(storages_.size());
  Ref<Buffer> arena;
  if (arena_bytes_ > 0) arena = Buffer::allocate(static_cast<size_t>(arena_bytes_));
  for (size_t s = 0; s < storages_.size(); ++s) {
    const Storage& storage = storages_[s];
    switch (storage.kind) {
      case Storage::Kind::input: {
        const ProgramInput& input = inputs[static_cast<size_t>(storage.index)];
        base[s] = input.buffer->data() + input.offset;
        break;
      }
      case Storage::Kind::constant:
        base[s] = constants_[static_cast<size_t>(storage.index)]->data();
        break;
      case Storage::Kind::temporary:
      case Storage::Kind::output:
        if (storage.donor >= 0) {
          const ProgramInput& donor = inputs[static_cast<size_t>(storage.donor)];
          if (donor.donated && donor.offset == 0 && donor.buffer->is_donatable()) {
            took_over[s] = true;
            made[s] = donor.buffer;
            base[s] = donor.buffer->data();
            break;
          }
        }
        if (storage.kind == Storage::Kind::temporary) {
          if (arena) base[s] = arena->data() + storage.arena_offset;
        } else {
          made[s] = Buffer::allocate(static_cast<size_t>(storage.bytes));
          base[s] = made[s]->data();
        }
        break;
    }
  }

  SmallVector<std::byte*, 24> pointers;
  std::vector<TensorView> host_inputs, host_outputs;
  const auto resolve = [&](const std::vector<std::pair<int, TensorView>>& from, std::vector<TensorView>& to) {
    to.clear();
    for (const auto& [storage, view] : from) {
      to.push_back(view);
      to.back().data = base[static_cast<size_t>(storage)] + reinterpret_cast<intptr_t>(view.data);
    }
  };
  const auto arguments_of = [&](const KernelRun& kernel) {
    pointers.resize(kernel.pointers.size());
    for (size_t a = 0; a < pointers.size(); ++a) {
      const KernelRun::Pointer& pointer = kernel.pointers[a];
      pointers[a] = pointer.storage < 0 ? reinterpret_cast<std::byte*>(pointer.offset)
                                        : base[static_cast<size_t>(pointer.storage)] + pointer.offset;
    }
    return kir::KernelArguments{kernel.extents.data(), pointers.data(), kernel.strides.data()};
  };
  for (const Run& run : runs_) {
    if (const auto* kernel = std::get_if<KernelRun>(&run)) {
      if (kernel->only_unless_donated >= 0 && took_over[static_cast<size_t>(kernel->only_unless_donated)])
        continue;
      const kir::KernelArguments arguments = arguments_of(*kernel);
      std::optional<profiler::Span> span;
      if (profiler::is_running()) span.emplace(kernel->kernel, kernel->extents);
      launch(*kernel->kernel, arguments, kernel->scratch_bytes);
    } else {
      const auto& host = std::get<HostRun>(run);
      resolve(host.inputs, host_inputs);
      resolve(host.outputs, host_outputs);
      if (host.epilogue) host_outputs.push_back(host.epilogue->result);
      std::optional<profiler::Span> span;
      if (profiler::is_running()) span.emplace(*host.operation, host_inputs, host_outputs);
      if (host.epilogue) {
        const kir::KernelArguments arguments = arguments_of(host.epilogue->kernel);
        const BlockLauncher launcher(*host.epilogue->kernel.kernel, arguments, host.epilogue->block_access);
        host.operation->execute_in_blocks(host_inputs, host.epilogue->result, launcher);
      } else {
        host.operation->execute(host_inputs, host_outputs);
      }
    }
  }

  std::vector<ProgramOutput> results;
  results.reserve(outputs_.size());
  for (const Location& location : outputs_) {
    const auto s = static_cast<size_t>(location.storage);
    const Storage& storage = storages_[s];
    ProgramOutput output;
    output.offset = location.offset;
    output.shape = location.shape;
    output.strides = location.strides;
    if (storage.kind == Storage::Kind::input) {
      output.buffer = inputs[static_cast<size_t>(storage.index)].buffer;
      output.offset += inputs[static_cast<size_t>(storage.index)].offset;
    } else if (storage.kind == Storage::Kind::constant) {
      output.buffer = constants_[static_cast<size_t>(storage.index)];
    } else {
      output.buffer = made[s];
    }
    results.push_back(std::move(output));
  }
  return results;
}

}  // namespace lazuli
