#include <lazuli/compiler/llvm/target.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/TargetParser/Host.h>

#include <lazuli/compiler/llvm/machine.h>

namespace lazuli {
namespace {

/// Fills in what follows from single features, which `has` tells.
template <typename Has>
void derive(Target& target, const Has& has) {
  const bool avx512 = has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512dq");
  target.masks = avx512;
  target.masked_words = has("avx");
  target.fma = has("fma");
  target.half = has("f16c");
  target.vector_bits = avx512 ? 512 : has("avx2") ? 256 : 128;
  target.vector_registers = avx512 ? 32 : 16;
  target.vnni = avx512 ? has("avx512vnni") : has("avxvnni");
  target.bf16 = avx512 && has("avx512bf16");
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

}  // namespace

Target target_for(const std::string& cpu, const std::string& features) {
  initialize_llvm();
  Target target;
  target.triple = llvm::sys::getProcessTriple();
  target.cpu = cpu;
  target.features = features;
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.triple, error);
  if (found == nullptr) throw std::runtime_error("[target_for] " + error);
  const auto describe = [&](const std::string& name, const std::string& with) {
    return std::unique_ptr<llvm::MCSubtargetInfo>(found->createMCSubtargetInfo(target.triple, name, with));
  };
  const std::unique_ptr<llvm::MCSubtargetInfo> any =
      describe("", "");  // asked first, lest LLVM print a warning
  if (any == nullptr || !any->isCPUStringValid(cpu)) {
    throw std::runtime_error("[target_for] LLVM knows no CPU '" + cpu + "'");
  }
  const std::unique_ptr<llvm::MCSubtargetInfo> info = describe(cpu, features);
  derive(target, [&](const char* name) { return info->checkFeatures(std::string("+") + name); });
  return target;
}

const Target& host_target() {
  static const Target* const target = [] {
    const char* cpu = std::getenv("LAZULI_TARGET_CPU");
    const char* features = std::getenv("LAZULI_TARGET_FEATURES");
    if (cpu == nullptr && features == nullptr) return new Target(native_target());
    const std::string name = cpu != nullptr ? cpu : llvm::sys::getHostCPUName().str();
    return new Target(target_for(name, features != nullptr ? features : ""));
  }();
  return *target;
}

}  // namespace lazuli
