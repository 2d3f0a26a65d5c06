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
    std::vector<int> begins;  // the first run of each step
    for (size_t s = 0; s < steps.size(); ++s) {
      begins.push_back(static_cast<int>(binding_.runs_.size()));
      write_step(static_cast<int>(s));
    }
    begins.push_back(static_cast<int>(binding_.runs_.size()));
    plan_memory(begins);
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

  void write_step(int s) {
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

  /// `begins` has the first run of each step, and the number of runs.
  void plan_memory(const std::vector<int>& begins) {
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

  /// Memory for what is needed between the runs of the step that is being written.
  int add_step_storage(int64_t bytes) {
    const int index = add_storage(Storage::Kind::temporary, 0, bytes);
    binding_.storages_.back().first = binding_.storages_.back().last = step_;
    return index;
  }

  void add_split_reduction(const SplitReduction& split, std::span<const std::vector<int64_t>> strides,
                           std::span<const KernelRun::Pointer> pointers) {
    std::vector<int> partial;
    for (Dtype dtype : split.partial_dtypes) {
      partial.push_back(add_step_storage(split.parts * split.results * dtype.size()));
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
  int step_ = 0;               // the one that is being written
};

Binding::Binding(const Program& program, std::span<const ProgramInput> inputs,
                 std::span<const int64_t> symbols) {
  Binder(*this, program, inputs, symbols).run();
}

}  // namespace lazuli
