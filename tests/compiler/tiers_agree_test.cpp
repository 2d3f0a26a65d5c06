#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <lazuli/compiler/interpreter/interpreter.h>
#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/code_image.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>

#include "support/random_kernel.h"

// Random kernels give the same results interpreted and compiled. LAZULI_TEST_KERNELS says how many (10,000
// unless set); a failure names the seed of its kernel, and LAZULI_TEST_SEED runs from that one on.

namespace lazuli {
namespace {

using testing::RandomCase;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

std::string compare_tiers(const RandomCase& random, kir::KernelFunction compiled) {
  const InterpretedKernel interpreted(random.kernel);
  const auto expected = testing::run_case(
      random, [&](const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
                  int64_t outer_end, int64_t inner_begin, int64_t inner_end) {
        interpreted.run(arguments, scratch, outer_begin, outer_end, inner_begin, inner_end);
      });
  const auto actual = testing::run_case(
      random, [&](const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
                  int64_t outer_end, int64_t inner_begin, int64_t inner_end) {
        compiled(&arguments, scratch, outer_begin, outer_end, inner_begin, inner_end);
      });
  return testing::difference(random, expected, actual);
}

/// Runs `work(n)` for n in [0, count) on all threads; gives back what fails.
template <typename Work>
std::vector<std::string> in_parallel(uint64_t count, const Work& work) {
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  std::vector<std::string> failures;
  std::vector<std::thread> threads;
  for (int t = 0; t < num_threads(); ++t) {
    threads.emplace_back([&] {
      for (uint64_t n = next++; n < count; n = next++) {
        for (std::string& failure : work(n)) {
          const std::lock_guard lock(mutex);
          failures.push_back(std::move(failure));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failures;
}

void report(const std::vector<std::string>& failures, uint64_t kernels) {
  for (size_t i = 0; i < std::min<size_t>(failures.size(), 5); ++i) ADD_FAILURE() << failures[i];
  EXPECT_EQ(failures.size(), 0) << "of " << kernels;
}

TEST(TiersAgree, OnRandomKernels) {
  set_kernel_cache_directory({});  // what is compiled here should be
  const uint64_t kernels = from_environment("LAZULI_TEST_KERNELS", 10000);
  const uint64_t first_seed = from_environment("LAZULI_TEST_SEED", 1);
  constexpr uint64_t per_module = 25;  // what a module costs by itself is shared
  const uint64_t modules = (kernels + per_module - 1) / per_module;
  const auto failures = in_parallel(modules, [&](uint64_t n) {
    std::vector<RandomCase> cases;
    for (uint64_t i = n * per_module; i < std::min((n + 1) * per_module, kernels); ++i) {
      cases.push_back(testing::make_random_case(first_seed + i));
    }
    const auto code =
        JitEngine::instance().load_or_build("tiers " + std::to_string(n), [&](llvm::Module& module) {
          for (const RandomCase& random : cases) {
            CodegenOptions options;
            options.symbol = "kernel" + std::to_string(random.seed);
            generate_kernel(module, host_target(), kir::expand_math(random.kernel, host_target().math_form()),
                            options);
          }
        });
    std::vector<std::string> found;
    for (const RandomCase& random : cases) {
      void* function = code->symbol("kernel" + std::to_string(random.seed));
      std::string failure = compare_tiers(random, reinterpret_cast<kir::KernelFunction>(function));
      if (!failure.empty()) found.push_back(std::move(failure));
    }
    return found;
  });
  report(failures, kernels);
}

TEST(TiersAgree, OnOtherTargets) {
  std::vector<Target> targets;
#ifdef __x86_64__
  targets.push_back(target_for("x86-64"));
  targets.push_back(target_for("x86-64-v2"));
  if (host_target().vector_bits > 256) targets.push_back(target_for("x86-64-v3"));
#endif
  if (!host_target().masks) {
    // The code for machines with mask registers, which LLVM turns into what this one can run.
    Target wide = host_target();
    wide.vector_bits = 512;
    wide.masks = true;
    targets.push_back(wide);
  }
  const uint64_t kernels = from_environment("LAZULI_TEST_KERNELS", 10000) / 25;
  const auto failures = in_parallel(kernels, [&](uint64_t n) {
    std::vector<std::string> found;
    const RandomCase random = testing::make_random_case(1000000 + n);
    for (const Target& target : targets) {
      const auto code = load_image(
          link_object(kernel_object(target, kir::expand_math(random.kernel, host_target().math_form()))));
      std::string failure =
          compare_tiers(random, reinterpret_cast<kir::KernelFunction>(code->symbol("kernel")));
      if (!failure.empty())
        found.push_back(target.cpu + ", " + std::to_string(target.vector_bits) + " bits: " + failure);
    }
    return found;
  });
  report(failures, kernels);
}

}  // namespace
}  // namespace lazuli
