#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>

namespace lazuli::testing {

/// A kernel compiled, with what it takes to call it.
class Compiled {
 public:
  explicit Compiled(const kir::Kernel& kernel, bool streaming = false)
      : Compiled(kernel, options_of(streaming)) {}
  Compiled(const kir::Kernel& kernel, const CodegenOptions& options) : kernel_(kernel) {
    kir::verify(kernel);
    set_kernel_cache_directory({});
    code_ = JitEngine::instance().load_or_build(
        "test", [&](llvm::Module& module) { generate_kernel(module, host_target(), kernel_, options); });
    function_ = reinterpret_cast<kir::KernelFunction>(code_->symbol("kernel"));
  }
  explicit Compiled(const std::string& text, bool streaming = false)
      : Compiled(kir::parse(text), streaming) {}

  static CodegenOptions options_of(bool streaming, bool joined = false) {
    CodegenOptions options;
    options.streaming = streaming;
    options.joined = joined;
    return options;
  }

  struct Binding {
    const void* pointer;
    std::vector<int64_t> strides;  // with dynamic strides at the end
  };

  /// Runs the whole space, or a part of V.
  void run(const std::vector<int64_t>& extents, const std::vector<Binding>& bindings, int64_t inner_begin = 0,
           int64_t inner_end = -1, int64_t outer_begin = 0, int64_t outer_end = -1) const {
    std::vector<std::byte*> pointers;
    std::vector<int64_t> strides;
    for (const Binding& binding : bindings) {
      pointers.push_back(const_cast<std::byte*>(static_cast<const std::byte*>(binding.pointer)));
      strides.insert(strides.end(), binding.strides.begin(), binding.strides.end());
    }
    int64_t outer = 1;
    int64_t inner = 1;
    for (size_t d = 0; d < extents.size(); ++d) {
      if (kernel_.dims[d] == kir::Role::reduce) continue;
      (d + 1 == extents.size() ? inner : outer) *= extents[d];
    }
    const kir::KernelArguments arguments{extents.data(), pointers.data(), strides.data()};
    alignas(64) static std::byte scratch[1 << 16];
    function_(&arguments, scratch, outer_begin, outer_end < 0 ? outer : outer_end, inner_begin,
              inner_end < 0 ? inner : inner_end);
  }

 private:
  kir::Kernel kernel_;
  std::shared_ptr<const JitCode> code_;
  kir::KernelFunction function_ = nullptr;
};

/// Equal, a NaN to any NaN, zeros by sign.
template <typename T>
bool same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    return a == b && std::signbit(a) == std::signbit(b);
  } else {
    return a == b;
  }
}

}  // namespace lazuli::testing
