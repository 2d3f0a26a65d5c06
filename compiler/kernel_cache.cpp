#include <lazuli/compiler/kernel_cache.h>

#include <exception>
#include <list>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <lazuli/compiler/background.h>
#include <lazuli/compiler/interpreter/interpreter.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/debugger.h>
#include <lazuli/compiler/llvm/disk_cache.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/llvm/schedule.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::Kernel;
using kir::KernelFunction;
using kir::Opcode;
using kir::StrideClass;

namespace {

/// From here on compiling costs less than interpreting once: some milliseconds of either.
constexpr double work_worth_compiling = 4e6;

std::atomic<uint64_t> interpreted_runs{0};
std::atomic<uint64_t> failed_compilations{0};

/// Whether code generation may put lines of results together (it looks more closely): matrices of which an
/// input lies the other way round, on machines whose vectors are lines.
bool may_join_lines(const Kernel& kernel) {
  constexpr int line_bytes = 64;
  if (kernel.rank() != 2 || kernel.has_reduce() || host_target().vector_bytes() != line_bytes) return false;
  int transposed = 0;
  for (const Access& access : kernel.accesses) {
    const bool other_way = access.strides[0] == StrideClass::unit && access.strides[1] == StrideClass::any;
    if (access.kind == Access::Kind::input && other_way) ++transposed;
    const bool fits = access.dtype.size() == line_bytes / 16 && access.dynamic_indices == 0;
    if (access.kind == Access::Kind::output && !fits) return false;
  }
  return transposed == 1;
}

/// Which values differ from one element of a row to the next.
std::vector<bool> values_along_row(const Kernel& kernel) {
  std::vector<bool> differs(kernel.instructions.size(), false);
  for (size_t i = 0; i < kernel.instructions.size(); ++i) {
    const Instruction& instruction = kernel.instructions[i];
    bool along =
        instruction.op == kir::Opcode::index && static_cast<int>(instruction.imm) + 1 == kernel.rank();
    if (kir::is_load(instruction.op)) {
      along = kernel.accesses[instruction.imm].strides.back() != StrideClass::zero;
    }
    for (const kir::ValueId operand : instruction.operands) along = along || differs[operand];
    differs[i] = along;
  }
  return differs;
}

CompiledKernel::Traits traits_of(const Kernel& kernel, const Kernel& expanded) {
  CompiledKernel::Traits traits;
  if (kernel.rank() > 0 && !kernel.reduces_innermost()) traits.vector_dim = kernel.rank() - 1;
  uint32_t instructions = 0;
  for (const kir::Block& block : expanded.blocks) {
    if (block.per_element || !kernel.has_reduce()) instructions += block.end - block.begin;
  }
  traits.work_per_element = instructions > 0 ? instructions : 1;
  for (const Access& access : kernel.accesses) {
    traits.has_scratch = traits.has_scratch || access.kind == Access::Kind::scratch;
  }
  // Columns write a tile at a time from what lies in the cache: too little at once.
  if (kernel.has_reduce() && !kernel.reduces_innermost()) {
    for (const Instruction& instruction : kernel.instructions) {
      const bool position =
          instruction.op == Opcode::reduce_argmin || instruction.op == Opcode::reduce_argmax;
      if (position) traits.most_reduced = std::numeric_limits<uint32_t>::max();
    }
    return traits;
  }
  if (kernel.rank() == 0) return traits;
  const auto moves_along_row = [&](const Access& access) {
    for (size_t d = 0; d < kernel.dims.size(); ++d) {
      if (kernel.dims[d] == kir::Role::reduce && access.strides[d] != StrideClass::zero) return true;
    }
    return !kernel.has_reduce();
  };
  traits.can_stream = true;
  const std::vector<bool> differs = values_along_row(kernel);
  for (const Instruction& instruction : kernel.instructions) {
    if (!kir::is_load(instruction.op) && !kir::is_store(instruction.op)) continue;
    const Access& access = kernel.accesses[instruction.imm];
    if (access.kind != Access::Kind::output) continue;
    // A row may be put at a place that is found by index, if that is one for all its elements.
    bool contiguous = access.strides.back() == StrideClass::unit;
    const auto first_index = static_cast<size_t>(first_dynamic_operand(instruction.op));
    for (size_t j = 0; j < access.dynamic_indices; ++j) {
      contiguous = contiguous && !differs[instruction.operands[first_index + j]];
    }
    if (kir::is_load(instruction.op)) traits.can_stream = false;
    if (!moves_along_row(access)) continue;  // a number a row
    if (!contiguous) traits.can_stream = false;
    if (kir::is_store(instruction.op) && contiguous) traits.bytes_per_element += access.dtype.size();
  }
  traits.can_stream = traits.can_stream && traits.bytes_per_element > 0;
  traits.can_join = traits.can_stream && may_join_lines(kernel);
  return traits;
}

/// The kernels in memory, those used last in front.
class KernelCache {
 public:
  std::shared_ptr<CompiledKernel> get(const Kernel& kernel) {
    std::string key = kir::serialize(kernel);
    {
      const std::lock_guard lock(mutex_);
      if (std::shared_ptr<CompiledKernel> known = find(key)) return known;
    }
    auto made = std::make_shared<CompiledKernel>(kernel);  // expansion takes a while: not under the lock
    const std::lock_guard lock(mutex_);
    if (std::shared_ptr<CompiledKernel> known = find(key)) return known;
    ++statistics_.misses;
    order_.emplace_front(key, made);
    places_.emplace(std::move(key), order_.begin());
    shrink();
    return made;
  }

  KernelCacheStatistics statistics() {
    const std::lock_guard lock(mutex_);
    KernelCacheStatistics statistics = statistics_;
    statistics.size = order_.size();
    statistics.interpreted_runs = interpreted_runs.load(std::memory_order_relaxed);
    statistics.failed_compilations = failed_compilations.load(std::memory_order_relaxed);
    return statistics;
  }

  size_t limit() {
    const std::lock_guard lock(mutex_);
    return limit_;
  }

  void set_limit(size_t kernels) {
    const std::lock_guard lock(mutex_);
    limit_ = kernels;
    shrink();
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    places_.clear();
    order_.clear();
  }

 private:
  using Order = std::list<std::pair<std::string, std::shared_ptr<CompiledKernel>>>;

  std::shared_ptr<CompiledKernel> find(const std::string& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    ++statistics_.hits;
    order_.splice(order_.begin(), order_, found->second);
    return order_.front().second;
  }

  void shrink() {
    while (order_.size() > limit_) {
      places_.erase(order_.back().first);
      order_.pop_back();
      ++statistics_.evicted;
    }
  }

  std::mutex mutex_;
  Order order_;
  std::unordered_map<std::string, Order::iterator> places_;
  KernelCacheStatistics statistics_;
  size_t limit_ = 4096;
};

KernelCache& kernel_cache() {
  static KernelCache* const cache = new KernelCache;  // never destroyed: others' destructors may still launch
  return *cache;
}

}  // namespace

CompiledKernel::CompiledKernel(const Kernel& kernel)
    : kernel_(kernel),
      expanded_(kir::expand_math(kernel, host_target().math_form())),
      traits_(traits_of(kernel_, expanded_)) {}

CompiledKernel::~CompiledKernel() = default;

const InterpretedKernel& CompiledKernel::interpreted() {
  std::call_once(interpreted_once_, [&] { interpreted_ = std::make_unique<InterpretedKernel>(expanded_); });
  return *interpreted_;
}

std::string CompiledKernel::code_key(StoreMode mode) const {
  static constexpr const char* modes[] = {"\n", "s\n", "j\n"};
  return std::string("kernel ") + modes[static_cast<size_t>(mode)] + kir::serialize(expanded_);
}

bool CompiledKernel::publish(Variant& variant, std::shared_ptr<const JitCode> code) {
  void* address = code->symbol("kernel");
  if (address == nullptr) return false;
  variant.code = std::move(code);
  variant.function.store(reinterpret_cast<KernelFunction>(address), std::memory_order_release);
  return true;
}

bool CompiledKernel::load_from_disk(StoreMode mode) {
  Variant& variant = variants_[static_cast<size_t>(mode)];
  const std::unique_lock lock(variant.mutex, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  if (variant.function.load(std::memory_order_acquire) != nullptr) return true;
  std::shared_ptr<const JitCode> code = JitEngine::instance().load(code_key(mode), kir::kernel_name(kernel_));
  if (code != nullptr && publish(variant, std::move(code))) return true;
  variant.missing_on_disk.store(true, std::memory_order_relaxed);
  return false;
}

bool CompiledKernel::compile(StoreMode mode) {
  Variant& variant = variants_[static_cast<size_t>(mode)];
  const std::lock_guard lock(variant.mutex);
  if (variant.function.load(std::memory_order_acquire) != nullptr) return true;
  if (variant.failed.load(std::memory_order_relaxed)) return false;
  try {
    CodegenOptions options;
    options.streaming = mode == StoreMode::streaming;
    options.joined = mode == StoreMode::joined;
    options.debug_directory = debug_directory();
    const std::string name = kir::kernel_name(kernel_) + (options.streaming ? "_streaming"
                                                          : options.joined  ? "_joined"
                                                                            : "");
    options.name = name;
    if (!options.debug_directory.empty())
      options.name += "_" + fmt::format("{:016x}", hash_bytes(kir::serialize(expanded_)).first);
    auto code = JitEngine::instance().load_or_build(
        code_key(mode),
        [&](llvm::Module& module) { generate_kernel(module, host_target(), expanded_, options); }, name);
    if (publish(variant, std::move(code))) return true;
  } catch (const std::exception&) {  // the engine has said so
  }
  variant.failed.store(true, std::memory_order_relaxed);
  failed_compilations.fetch_add(1, std::memory_order_relaxed);
  return false;
}

KernelFunction CompiledKernel::prepare(StoreMode mode, double work) {
  Variant& variant = variants_[static_cast<size_t>(mode)];
  if (variant.failed.load(std::memory_order_relaxed)) return nullptr;
  const JitMode jit = jit_mode();
  if (jit == JitMode::off) return nullptr;
  if (jit == JitMode::sync || work >= work_worth_compiling) {
    compile(mode);
    return function(mode);
  }
  if (!variant.missing_on_disk.load(std::memory_order_relaxed) && load_from_disk(mode)) return function(mode);
  if (!variant.queued.exchange(true, std::memory_order_relaxed)) {
    // A kernel that is not shared (in a test) is not compiled behind its owner's back.
    if (std::shared_ptr<CompiledKernel> self = weak_from_this().lock()) {
      run_in_background([self = std::move(self), mode] { self->compile(mode); });
    }
  }
  return nullptr;
}

std::shared_ptr<CompiledKernel> kernel_for(const Kernel& kernel) {
  return kernel_cache().get(kernel);
}
KernelCacheStatistics kernel_cache_statistics() {
  return kernel_cache().statistics();
}
size_t kernel_cache_limit() {
  return kernel_cache().limit();
}
void set_kernel_cache_limit(size_t kernels) {
  kernel_cache().set_limit(kernels);
}
void clear_kernel_cache() {
  kernel_cache().clear();
}
void wait_for_compilations() {
  wait_for_background();
}
void count_interpreted_run() {
  interpreted_runs.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace lazuli
