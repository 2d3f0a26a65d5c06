// The machine's limits, as the profiler compares with: found by running kernels made for it.

#include <lazuli/compiler/profiler.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lazuli/array/buffer.h>
#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::profiler {
namespace {

double best_seconds(int repeats, const std::function<void()>& run) {
  run();
  double best = 1e9;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

kir::Kernel elementwise(int inputs,
                        const std::function<kir::Value(kir::Builder&, std::vector<kir::Value>)>& body) {
  kir::Kernel kernel;
  kernel.dims = {kir::Role::parallel};
  kernel.accesses.assign(static_cast<size_t>(inputs) + 1,
                         {kir::Access::Kind::input, float32, {kir::StrideClass::unit}, 0});
  kernel.accesses.back().kind = kir::Access::Kind::output;
  kir::Builder builder(kernel);
  builder.begin_block(true);
  std::vector<kir::Value> values;
  for (int i = 0; i < inputs; ++i) values.push_back(builder.load(static_cast<uint32_t>(i)));
  builder.store(static_cast<uint32_t>(inputs), body(builder, std::move(values)));
  builder.end_block();
  return kernel;
}

/// Runs machine code over `size` elements, a part in every thread; whatever `jit_mode()` says.
void run(kir::KernelFunction function, int64_t size, std::vector<std::byte*> pointers) {
  const std::vector<int64_t> strides(pointers.size(), 1);
  const kir::KernelArguments arguments{&size, pointers.data(), strides.data()};
  const auto threads = static_cast<int64_t>(num_threads());
  parallel_for(threads, [&](int64_t part) {
    function(&arguments, nullptr, 0, 1, size / threads * part, size / threads * (part + 1));
  });
}

kir::KernelFunction compiled(CompiledKernel& kernel, StoreMode mode) {
  if (!kernel.compile(mode))
    throw std::runtime_error("[profiler] the machine's limits cannot be measured without LLVM");
  return kernel.function(mode);
}

double memory_limit() {
  constexpr int64_t size = 16 << 20;
  std::vector<Ref<Buffer>> buffers;
  std::vector<std::byte*> pointers;
  for (int i = 0; i < 3; ++i) {
    buffers.push_back(Buffer::allocate(size * sizeof(float)));
    pointers.push_back(buffers.back()->data());
    std::fill_n(reinterpret_cast<float*>(pointers.back()), size, 1.0f);
  }
  CompiledKernel kernel(
      elementwise(2, [](kir::Builder& b, std::vector<kir::Value> x) { return b.add(x[0], x[1]); }));
  const kir::KernelFunction plain = compiled(kernel, StoreMode::cached);
  const kir::KernelFunction streaming = compiled(kernel, StoreMode::streaming);
  const double seconds = std::min(best_seconds(4, [&] { run(plain, size, pointers); }),
                                  best_seconds(4, [&] { run(streaming, size, pointers); }));
  return 3.0 * size * sizeof(float) / seconds;
}

/// Four chains of multiply-adds an element, so that none waits for another's result.
double arithmetic_limit() {
  constexpr int64_t size = 4096;  // stays in the first cache
  constexpr int steps = 64;
  constexpr int chains = 4;
  CompiledKernel kernel(elementwise(1, [](kir::Builder& b, std::vector<kir::Value> x) {
    std::vector<kir::Value> sums;
    for (int c = 0; c < chains; ++c) sums.push_back(b.mul(x[0], b.constant(float32, 1.0 + 0.125 * c)));
    for (int s = 0; s < steps; ++s) {
      for (kir::Value& sum : sums) sum = b.fma(sum, x[0], x[0]);
    }
    return b.add(b.add(sums[0], sums[1]), b.add(sums[2], sums[3]));
  }));
  const kir::KernelFunction function = compiled(kernel, StoreMode::cached);
  const int64_t elements = size * num_threads();
  std::vector<float> in(static_cast<size_t>(elements), 0.5f), out(in.size());
  const double seconds = best_seconds(20, [&] {
    run(function, elements,
        {reinterpret_cast<std::byte*>(in.data()), reinterpret_cast<std::byte*>(out.data())});
  });
  return 2.0 * steps * chains * static_cast<double>(elements) / seconds;
}

}  // namespace

Limits limits() {
  static const Limits measured{memory_limit(), arithmetic_limit()};
  return measured;
}

}  // namespace lazuli::profiler
