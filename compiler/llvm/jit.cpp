#include <lazuli/compiler/llvm/jit.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/IntrinsicsAArch64.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include <lazuli/compiler/llvm/code_image.h>
#include <lazuli/compiler/llvm/debugger.h>
#include <lazuli/compiler/llvm/disk_cache.h>
#include <lazuli/compiler/llvm/machine.h>
#include <lazuli/compiler/llvm/perf_map.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>

#ifndef LAZULI_VERSION
#define LAZULI_VERSION "unknown"
#endif

namespace lazuli {
namespace {

/// Adds the time it lives to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(std::atomic<uint64_t>& nanoseconds)
      : nanoseconds_(nanoseconds), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() {
    const auto passed = std::chrono::steady_clock::now() - start_;
    nanoseconds_.fetch_add(static_cast<uint64_t>(std::chrono::nanoseconds(passed).count()),
                           std::memory_order_relaxed);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  std::atomic<uint64_t>& nanoseconds_;
  std::chrono::steady_clock::time_point start_;
};

/// Keeps LLVM from printing and exiting where it finds fault with a module: the first fault is noted.
struct Diagnostics final : llvm::DiagnosticHandler {
  explicit Diagnostics(std::string& first_error) : error(first_error) {}
  bool handleDiagnostics(const llvm::DiagnosticInfo& info) override {
    if (info.getSeverity() == llvm::DS_Error && error.empty()) {
      llvm::raw_string_ostream stream(error);
      llvm::DiagnosticPrinterRawOStream printer(stream);
      info.print(printer);
    }
    return true;
  }
  std::string& error;
};

std::string text_of(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

}  // namespace

struct JitEngine::State {
  std::atomic<uint64_t> compiled{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> loaded{0};
  std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> malformed{0};
  std::atomic<uint64_t> compile_nanoseconds{0};
  std::atomic<uint64_t> load_nanoseconds{0};
  std::atomic<Fault> fault{Fault::none};
  DiskCache disk;

  std::mutex compilers_mutex;
  std::vector<std::unique_ptr<MachineCompiler>> idle_compilers;

  struct Kept {
    std::mutex mutex;
    std::shared_ptr<const JitCode> code;
  };
  std::mutex kept_mutex;
  std::unordered_map<std::string, std::unique_ptr<Kept>> kept;

  static std::string full_key(const std::string& key) {
    static const std::string common = "\n" + host_target().key +
                                      "\nlazuli " LAZULI_VERSION
#ifdef LAZULI_CODE_VERSION
                                      "/" LAZULI_CODE_VERSION
#endif
        ;
    return key + common;
  }

  std::shared_ptr<const JitCode> load(const std::string& full, const std::string& name) {
    // Whoever wants to see the stages wants them made.
    if (prints(Stage::llvm_ir) || prints(Stage::assembly) || !debug_directory().empty()) return nullptr;
    const Stopwatch watch(load_nanoseconds);
    const std::optional<std::string> bytes = disk.read(full);
    if (!bytes) return nullptr;
    try {
      const CodeImage image = parse_image(*bytes);
      std::shared_ptr<const JitCode> code = load_image(image);
      loaded.fetch_add(1, std::memory_order_relaxed);
      publish_names(image, *code, name);
      return code;
    } catch (const std::runtime_error&) {
      malformed.fetch_add(1, std::memory_order_relaxed);
      disk.remove(full);
      return nullptr;
    }
  }

  std::shared_ptr<const JitCode> compile(const std::string& full, const BuildModule& build,
                                         const std::string& name) {
    Product product;
    try {
      const Stopwatch watch(compile_nanoseconds);
      product = make(build);
    } catch (const std::exception& error) {
      failed.fetch_add(1, std::memory_order_relaxed);
      warn_once(error.what());
      throw;
    }
    compiled.fetch_add(1, std::memory_order_relaxed);
    std::shared_ptr<const JitCode> code = load_image(product.image);
    publish_names(product.image, *code, name);
    if (!debug_directory().empty()) {
      if (const std::byte* base = base_of(product.image, *code)) {
        return announce_to_debugger(std::move(code), base, {product.object.data(), product.object.size()},
                                    product.image.section_offsets);
      }
      return code;
    }
    if (disk.write(full, serialize_image(product.image))) written.fetch_add(1, std::memory_order_relaxed);
    return code;
  }

  struct Product {
    CodeImage image;
    llvm::SmallVector<char, 0> object;
  };

  /// What a compilation works on.
  struct Work {
    std::unique_ptr<MachineCompiler>
        compiler;  // not to be shared between threads, and costs something to make
    std::string error;
    llvm::LLVMContext context;
    llvm::Module module{"lazuli", context};
  };

  Product make(const BuildModule& build) {
    auto work = std::make_unique<Work>();
    work->compiler = take_compiler();
    Product product;
    try {
      const CatchFatalErrors scope;
      product.object = compile_with(*work, build);
    } catch (const FatalLlvmError&) {
      static_cast<void>(work.release());  // nobody can say what state it is in
      throw;
    }
    product.image = link_object({product.object.data(), product.object.size()});
    const std::lock_guard lock(compilers_mutex);
    idle_compilers.push_back(std::move(work->compiler));
    return product;
  }

  static const std::byte* base_of(const CodeImage& image, const JitCode& code) {
    if (image.symbols.empty()) return nullptr;
    const auto& [symbol, offset] = image.symbols.front();
    return static_cast<const std::byte*>(code.symbol(symbol)) - offset;
  }

  /// Tells profilers how functions are called. The last one's size is not known to the byte.
  static void publish_names(const CodeImage& image, const JitCode& code, const std::string& name) {
    for (const auto& [symbol, offset] : image.symbols) {
      size_t end = image.bytes.size();
      for (const auto& [other, begin] : image.symbols) {
        if (begin > offset) end = std::min<size_t>(end, begin);
      }
      add_to_perf_map(code.symbol(symbol), end - offset,
                      image.symbols.size() == 1 ? code_name(name) : code_name(name + " " + symbol));
    }
  }

  static void warn_once(const char* reason) {
    static std::atomic<bool> warned{false};
    if (warned.exchange(true)) return;
    std::fprintf(stderr,
                 "lazuli: code cannot be compiled, its work is done more slowly without (said once): %s\n",
                 reason);
  }

  std::unique_ptr<MachineCompiler> take_compiler() {
    {
      const std::lock_guard lock(compilers_mutex);
      if (!idle_compilers.empty()) {
        std::unique_ptr<MachineCompiler> compiler = std::move(idle_compilers.back());
        idle_compilers.pop_back();
        return compiler;
      }
    }
    return std::make_unique<MachineCompiler>(host_target());
  }

  llvm::SmallVector<char, 0> compile_with(Work& work, const BuildModule& build) const {
    const MachineCompiler& compiler = *work.compiler;
    llvm::Module& module = work.module;
    work.context.setDiagnosticHandler(std::make_unique<Diagnostics>(work.error));
    work.context.setDiscardValueNames(!prints(Stage::llvm_ir));
    compiler.prepare(module);
    build(module);
    // Code that isn't well-formed would crash LLVM; finding it takes about a hundredth of the time.
    std::string fault_found;
    llvm::raw_string_ostream stream(fault_found);
    if (llvm::verifyModule(module, &stream)) throw std::runtime_error("malformed LLVM IR: " + fault_found);
    compiler.optimize(module);
    if (prints(Stage::llvm_ir)) print_stage(Stage::llvm_ir, module.getName().str(), text_of(module));
    if (prints(Stage::assembly)) {
      print_stage(Stage::assembly, module.getName().str(), compiler.emit_assembly(module));
    }
    const Fault wanted = fault.load(std::memory_order_relaxed);
    if (wanted == Fault::error) work.context.emitError("injected error");
    if (wanted == Fault::fatal) add_call_that_cannot_be_selected(module);
    llvm::SmallVector<char, 0> object = compiler.emit_object(module);
    if (!work.error.empty()) throw std::runtime_error("LLVM: " + work.error);
    return object;
  }

  /// Makes instruction selection give up, as it does where a target lacks something.
  static void add_call_that_cannot_be_selected(llvm::Module& module) {
    for (llvm::Function& function : module) {
      if (function.isDeclaration()) continue;
      llvm::IRBuilder<> ir(&*function.getEntryBlock().getFirstInsertionPt());
      llvm::Value* result =
          ir.CreateIntrinsic(llvm::Intrinsic::aarch64_crc32b, {}, {ir.getInt32(0), ir.getInt32(0)});
      ir.CreateStore(result, function.getArg(0));
      return;
    }
  }
};

JitEngine::JitEngine() : state_(new State) {}

JitEngine& JitEngine::instance() {
  // Never destroyed: code is run and compiled until the process is gone.
  static JitEngine* const engine = new JitEngine;
  return *engine;
}

std::shared_ptr<const JitCode> JitEngine::load(const std::string& key, const std::string& name) {
  return state_->load(State::full_key(key), name.empty() ? key : name);
}

std::shared_ptr<const JitCode> JitEngine::load_or_build(const std::string& key, const BuildModule& build,
                                                        const std::string& name) {
  const std::string full = State::full_key(key);
  const std::string& shown = name.empty() ? key : name;
  if (std::shared_ptr<const JitCode> code = state_->load(full, shown)) return code;
  return state_->compile(full, build, shown);
}

void* JitEngine::load_or_build(const std::string& key, const std::string& symbol, const BuildModule& build) {
  State::Kept* kept = nullptr;
  {
    const std::lock_guard lock(state_->kept_mutex);
    std::unique_ptr<State::Kept>& place = state_->kept[key];
    if (place == nullptr) place = std::make_unique<State::Kept>();
    kept = place.get();
  }
  const std::lock_guard lock(kept->mutex);
  if (kept->code == nullptr) kept->code = load_or_build(key, build);
  void* address = kept->code->symbol(symbol);
  if (address == nullptr)
    throw std::runtime_error("machine code for '" + key + "' has no function " + symbol);
  return address;
}

JitStatistics JitEngine::statistics() const {
  const auto get = [](const std::atomic<uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  JitStatistics statistics;
  statistics.compiled = get(state_->compiled);
  statistics.failed = get(state_->failed);
  statistics.loaded_from_disk = get(state_->loaded);
  statistics.written_to_disk = get(state_->written);
  statistics.damaged_on_disk = state_->disk.damaged() + get(state_->malformed);
  statistics.evicted_from_disk = state_->disk.evicted();
  statistics.compile_nanoseconds = get(state_->compile_nanoseconds);
  statistics.load_nanoseconds = get(state_->load_nanoseconds);
  return statistics;
}

void JitEngine::reset_statistics() {
  for (std::atomic<uint64_t>* counter :
       {&state_->compiled, &state_->failed, &state_->loaded, &state_->written, &state_->malformed,
        &state_->compile_nanoseconds, &state_->load_nanoseconds}) {
    counter->store(0, std::memory_order_relaxed);
  }
  state_->disk.reset_counters();
}

void JitEngine::set_disk_limit(uint64_t bytes) {
  state_->disk.set_limit(bytes);
}
DiskCacheInfo JitEngine::disk_info() const {
  return state_->disk.info();
}
uint64_t JitEngine::clear_disk() {
  return state_->disk.clear();
}
void JitEngine::inject_fault(Fault fault) {
  state_->fault.store(fault, std::memory_order_relaxed);
}

}  // namespace lazuli
