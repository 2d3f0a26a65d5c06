#include <lazuli/compiler/program/binding.h>

#include <algorithm>
#include <optional>

#include <lazuli/array/array.h>
#include <lazuli/compiler/kernel_launch.h>
#include <lazuli/compiler/profiler.h>

namespace lazuli {

namespace {

/// A template's hole, filled with a kernel.
template <typename Hole>
class FilledHole {
 public:
  FilledHole(const FusedRun& fused, const kir::KernelArguments& arguments)
      : arguments_(arguments),
        launcher_(*fused.kernel.kernel, arguments_, fused.block_access, fused.kernel.scratch_bytes),
        hole_(launcher_) {}
  FilledHole(const FilledHole&) = delete;
  FilledHole& operator=(const FilledHole&) = delete;

  const Hole* hole() const { return &hole_; }

 private:
  kir::KernelArguments arguments_;
  BlockLauncher launcher_;
  Hole hole_;
};

}  // namespace

/// The memory of a run: where storages lie, and the buffers they lie in.
class Binding::Memory {
 public:
  Memory(const Binding& binding, std::span<ProgramInput> inputs)
      : binding_(binding),
        base_(binding.storages_.size(), nullptr),
        took_over_(binding.storages_.size(), false),
        buffers_(binding.pieces_.size()),
        results_(binding.storages_.size()) {
    for (size_t s = 0; s < base_.size(); ++s) {
      const Storage& storage = binding.storages_[s];
      if (storage.kind == Storage::Kind::input) {
        const ProgramInput& input = inputs[static_cast<size_t>(storage.index)];
        base_[s] = input.buffer->data() + input.offset;
      } else if (storage.kind == Storage::Kind::constant) {
        base_[s] = binding.constants_[static_cast<size_t>(storage.index)]->data();
      } else if (storage.donor >= 0) {
        ProgramInput& donor = inputs[static_cast<size_t>(storage.donor)];
        if (!donor.donated || donor.offset != 0 || !can_take_over(storage, *donor.buffer)) continue;
        donor.written_over = true;
        took_over_[s] = true;
        results_[s] = donor.buffer;
        base_[s] = donor.buffer->data();
      }
    }
  }

  /// Makes the pieces that are needed from this run on.
  void before(int run) {
    for (; made_ < buffers_.size() && binding_.pieces_[made_].first <= run; ++made_) make(made_);
  }
  /// Gives those back that are not needed after it.
  void after(int run) {
    for (; released_ < buffers_.size(); ++released_) {
      const auto piece = static_cast<size_t>(binding_.by_last_[released_]);
      if (binding_.pieces_[piece].last > run) return;
      buffers_[piece] = {};
    }
  }

  /// Where nothing is stored there is no memory, and any address will do.
  std::byte* at(int storage, int64_t offset) const {
    const auto base = reinterpret_cast<uintptr_t>(base_[static_cast<size_t>(storage)]);
    return reinterpret_cast<std::byte*>(base + static_cast<uintptr_t>(offset));
  }
  bool took_over(int storage) const { return took_over_[static_cast<size_t>(storage)]; }
  /// Of a storage that is a result.
  const Ref<Buffer>& result(int storage) const { return results_[static_cast<size_t>(storage)]; }

 private:
  /// A result keeps no memory that is much larger than itself.
  static bool can_take_over(const Storage& storage, const Buffer& buffer) {
    const auto bytes = static_cast<size_t>(storage.bytes);
    return buffer.is_donatable() && buffer.size() >= bytes && buffer.size() / 2 <= bytes;
  }

  void make(size_t piece) {
    const MemoryPiece& of = binding_.pieces_[piece];
    const auto is_there = [&](const MemoryPiece::Part& part) { return took_over(part.storage); };
    if (std::all_of(of.parts.begin(), of.parts.end(), is_there)) return;
    Ref<Buffer> buffer = Buffer::allocate(static_cast<size_t>(of.bytes));
    for (const MemoryPiece::Part& part : of.parts) {
      if (!is_there(part)) base_[static_cast<size_t>(part.storage)] = buffer->data() + part.offset;
    }
    const auto first = static_cast<size_t>(of.parts.front().storage);
    const bool is_result = binding_.storages_[first].kind == Storage::Kind::output;  // alone in its piece
    (is_result ? results_[first] : buffers_[piece]) = std::move(buffer);
  }

  const Binding& binding_;
  SmallVector<std::byte*, 32> base_;
  SmallVector<bool, 32> took_over_;
  std::vector<Ref<Buffer>> buffers_;  // of each piece of temporaries, while it is needed
  std::vector<Ref<Buffer>> results_;  // of each storage that is a result
  size_t made_ = 0, released_ = 0;
};

int64_t Binding::memory() const {
  return peak_of(pieces_);
}

std::vector<ProgramOutput> Binding::run(std::span<ProgramInput> inputs) const {
  Memory memory(*this, inputs);

  SmallVector<std::byte*, 24> pointers, epilogue_pointers;
  std::vector<TensorView> host_inputs, host_outputs;
  const auto resolve = [&](const std::vector<std::pair<int, TensorView>>& from, std::vector<TensorView>& to) {
    for (const auto& [storage, view] : from) {
      to.push_back(view);
      to.back().data = memory.at(storage, reinterpret_cast<intptr_t>(view.data));
    }
  };
  const auto arguments_of = [&](const KernelRun& kernel, SmallVector<std::byte*, 24>& to) {
    to.resize(kernel.pointers.size());
    for (size_t a = 0; a < to.size(); ++a) {
      const KernelRun::Pointer& pointer = kernel.pointers[a];
      to[a] = pointer.storage < 0 ? reinterpret_cast<std::byte*>(pointer.offset)
                                  : memory.at(pointer.storage, pointer.offset);
    }
    return kir::KernelArguments{kernel.extents.data(), to.data(), kernel.strides.data()};
  };
  const auto run_kernel = [&](const KernelRun& kernel) {
    if (kernel.only_unless_donated >= 0 && memory.took_over(kernel.only_unless_donated)) return;
    const kir::KernelArguments arguments = arguments_of(kernel, pointers);
    std::optional<profiler::Span> span;
    if (profiler::is_running()) span.emplace(kernel.kernel, kernel.extents);
    launch(*kernel.kernel, arguments, kernel.scratch_bytes, kernel.summed_parts);
  };
  /// Fills an operation's holes, if it has some, and runs it.
  const auto run_host = [&](const HostRun& host) {
    host_inputs.clear();
    host_outputs.clear();
    if (host.prologue) host_inputs.push_back(host.prologue->tensor);
    if (host.epilogue) host_outputs.push_back(host.epilogue->tensor);
    resolve(host.inputs, host_inputs);
    resolve(host.outputs, host_outputs);
    std::optional<profiler::Span> span;
    if (profiler::is_running()) {
      span.emplace(*host.operation, host_inputs, host_outputs);
      for (const std::optional<FusedRun>* fused : {&host.prologue, &host.epilogue}) {
        if (!*fused) continue;
        const KernelRun& kernel = (*fused)->kernel;
        span->add_fused(*kernel.kernel, kernel.extents, (*fused)->block_access, (*fused)->tensor);
      }
    }
    if (!host.prologue && !host.epilogue) return host.operation->execute(host_inputs, host_outputs);
    std::optional<FilledHole<MakeRows>> prologue;
    std::optional<FilledHole<TakeBlock>> epilogue;
    Holes holes;
    if (host.prologue) {
      holes.make = prologue.emplace(*host.prologue, arguments_of(host.prologue->kernel, pointers)).hole();
    }
    if (host.epilogue) {
      holes.take =
          epilogue.emplace(*host.epilogue, arguments_of(host.epilogue->kernel, epilogue_pointers)).hole();
    }
    host.operation->execute_fused(host_inputs, host_outputs, holes);
  };
  const auto count = static_cast<int>(runs_.size());
  for (int r = 0; r < count; ++r) {
    memory.before(r);
    const Run& run = runs_[static_cast<size_t>(r)];
    if (const auto* kernel = std::get_if<KernelRun>(&run)) {
      run_kernel(*kernel);
    } else {
      run_host(std::get<HostRun>(run));
    }
    memory.after(r);
  }
  memory.before(count);

  std::vector<ProgramOutput> results;
  results.reserve(outputs_.size());
  for (const Location& location : outputs_) {
    const Storage& storage = storages_[static_cast<size_t>(location.storage)];
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
      output.buffer = memory.result(location.storage);
    }
    results.push_back(std::move(output));
  }
  return results;
}

}  // namespace lazuli
