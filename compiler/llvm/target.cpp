#include <lazuli/compiler/llvm/target.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/TargetParser/Host.h>

#include <lazuli/compiler/llvm/machine.h>

namespace lazuli {
namespace {

/// Those on which was measured (docs/performance/rows.md) that their own fetching falls behind, and that
/// gathering by one instruction pays. On Zen 4 asking for all lines made reading slower.
bool is_late_xeon(const std::string& cpu) {
  return cpu == "sapphirerapids" || cpu == "emeraldrapids" || cpu == "graniterapids";
}

/// Fills in what follows from single features, which `has` tells.
template <typename Has>
void derive(Target& target, const Has& has) {
  const bool avx512 = has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512dq");
  target.avx512 = avx512;
  target.masks = avx512;
  target.masked_words = has("avx");
  target.fma = has("fma");
  target.half = has("f16c");
  target.vector_bits = avx512 ? 512 : has("avx2") ? 256 : 128;
  target.vector_registers = avx512 ? 32 : 16;
  target.vnni = avx512 ? has("avx512vnni") : has("avxvnni");
  target.bf16 = avx512 && has("avx512bf16");
  target.bytes_ahead = is_late_xeon(target.cpu) ? 16 << 10 : 0;
  target.gathers = avx512 && is_late_xeon(target.cpu);
  if (target.triple.starts_with("aarch64")) {
    target.vector_registers = 32;
    target.fma = true;
    target.half = true;
  }
  target.key = target.triple + "/" + target.cpu + "/" + target.features + "/LLVM " LLVM_VERSION_STRING;
}

Target native_target() {
  Target target;
  target.triple = llvm::sys::getProcessTriple();
  target.cpu = llvm::sys::getHostCPUName().str();
  const llvm::StringMap<bool> map = llvm::sys::getHostCPUFeatures();
  std::vector<std::string> features;
  for (const auto& entry : map) features.push_back((entry.second ? "+" : "-") + entry.first().str());
  std::sort(features.begin(), features.end());  // the map's order is not fixed
  for (const std::string& feature : features) {
    if (!target.features.empty()) target.features += ',';
    target.features += feature;
  }
  derive(target, [&](const char* name) {
    const auto found = map.find(name);
    return found != map.end() && found->second;
  });
  return target;
}

/// Whether this machine has all that code for the target may use; else `lacking` names what it has not.
bool can_run(const llvm::MCSubtargetInfo& info, std::string& lacking) {
  const llvm::StringMap<bool> has = llvm::sys::getHostCPUFeatures();
  for (const auto& entry : has) {
    if (entry.second || !info.checkFeatures("+" + entry.first().str())) continue;
    lacking = entry.first().str();
    return false;
  }
  return true;
}

std::unique_ptr<llvm::MCSubtargetInfo> subtarget(const Target& target) {
  initialize_llvm();
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.triple, error);
  if (found == nullptr) throw std::runtime_error("[target_for] " + error);
  const auto describe = [&](const std::string& cpu, const std::string& features) {
    return std::unique_ptr<llvm::MCSubtargetInfo>(found->createMCSubtargetInfo(target.triple, cpu, features));
  };
  const std::unique_ptr<llvm::MCSubtargetInfo> any =
      describe("", "");  // asked first, lest LLVM print a warning
  if (any == nullptr || !any->isCPUStringValid(target.cpu)) {
    throw std::runtime_error("[target_for] LLVM knows no CPU '" + target.cpu + "'");
  }
  return describe(target.cpu, target.features);
}

/// What a name such as `x86-64-v4,-avx512bf16` stands for. Throws std::invalid_argument if that cannot run.
Target named_target(const std::string& name) {
  const size_t comma = name.find(',');
  const std::string features = comma == std::string::npos ? "" : name.substr(comma + 1);
  std::string cpu = name.substr(0, comma);
  if (cpu == "host" && features.empty()) return native_target();
  if (cpu == "host") cpu = llvm::sys::getHostCPUName().str();
  try {
    Target target = target_for(cpu, features);
    std::string lacking;
    if (can_run(*subtarget(target), lacking)) return target;
    throw std::invalid_argument("[set_target] '" + name + "' has " + lacking + ", which this machine lacks");
  } catch (const std::runtime_error& error) {
    throw std::invalid_argument("[set_target] '" + name + "' is no target: " + error.what());
  }
}

/// What code is made for, settled when it is first asked for.
struct Choice {
  std::mutex mutex;
  std::string name;
  std::unique_ptr<const Target> target;
  std::atomic<const Target*> settled{nullptr};
};

Choice& choice() {
  static Choice* const instance = new Choice;  // never destroyed: code is made until the process is gone
  return *instance;
}

Target target_from_environment() {
  const char* name = std::getenv("LAZULI_TARGET");
  if (name == nullptr || *name == '\0') return native_target();
  try {
    return named_target(name);
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "lazuli: LAZULI_TARGET: %s; the host is used\n", error.what());
    return native_target();
  }
}

}  // namespace

Target target_for(const std::string& cpu, const std::string& features, const std::string& triple) {
  Target target;
  target.triple = triple.empty() ? llvm::sys::getProcessTriple() : triple;
  target.cpu = cpu;
  target.features = features;
  const std::unique_ptr<llvm::MCSubtargetInfo> info = subtarget(target);
  const bool x86 = llvm::StringRef(target.triple).starts_with("x86_64");  // whose features `derive` asks for
  derive(target, [&](const char* name) { return x86 && info->checkFeatures(std::string("+") + name); });
  return target;
}

const Target& host_target() {
  Choice& chosen = choice();
  if (const Target* target = chosen.settled.load(std::memory_order_acquire)) return *target;
  const std::lock_guard lock(chosen.mutex);
  if (chosen.target == nullptr) chosen.target = std::make_unique<const Target>(target_from_environment());
  chosen.settled.store(chosen.target.get(), std::memory_order_release);
  return *chosen.target;
}

void set_target(const std::string& name) {
  auto target = std::make_unique<const Target>(named_target(name));
  Choice& chosen = choice();
  const std::lock_guard lock(chosen.mutex);
  if (chosen.settled.load(std::memory_order_relaxed) != nullptr) {
    if (chosen.target->key == target->key) return;
    throw std::logic_error("[set_target] code has been made for " + chosen.target->cpu + " already");
  }
  chosen.target = std::move(target);
}

InstructionSet instruction_set() {
  const Target& target = host_target();
#if defined(__x86_64__)
  // What these files are compiled with, see cmake/LazuliInterpreter.cmake. (Whatever has AVX2 and FMA has
  // F16C and BMI, which not every compiler lets one ask for.)
  const bool avx2 = target.vector_bits >= 256 && target.fma && target.half &&
                    __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && target.masks && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (avx512) return InstructionSet::avx512;
  if (avx2) return InstructionSet::avx2;
#else
  static_cast<void>(target);
#endif
  return InstructionSet::baseline;
}

}  // namespace lazuli
