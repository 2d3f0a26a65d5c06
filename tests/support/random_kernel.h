#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>

/// Random well-formed kernels with data, to compare the tiers with each other and with a plain definition.
namespace lazuli::testing {

struct RandomCase {
  /// The memory of one access.
  struct Buffer {
    std::vector<std::byte> bytes;
    size_t first =
        0;  ///< byte offset of the element at iteration point 0 (within scratch for a scratch access)
    bool exact = true;  ///< whether all ways of running the kernel leave the same bits here (any NaN being
                        ///< as good as another); else values agree within `tolerance`
  };

  uint64_t seed = 0;
  kir::Kernel kernel;
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;  ///< as in `KernelArguments`
  std::vector<Buffer> buffers;   ///< one an access
  size_t scratch_size = 0;
  double tolerance = 0;  ///< absolute and relative, for what a floating-point sum or product leads to

  int64_t outer() const;  ///< points of the parallel dimensions other than the vector dimension
  int64_t inner() const;  ///< points along the vector dimension, 1 where there is none
};

/// The same seed gives the same case.
RandomCase make_random_case(uint64_t seed);

using CaseRunner = std::function<void(const kir::KernelArguments&, std::byte* scratch, int64_t outer_begin,
                                      int64_t outer_end, int64_t inner_begin, int64_t inner_end)>;

/// Runs a case on copies of its buffers and gives back all of them. The iteration space is cut into pieces,
/// at places that depend on the seed, which run one after another.
std::vector<std::vector<std::byte>> run_case(const RandomCase& random, const CaseRunner& runner);

/// Empty if the two results agree; else where they do not, for a message.
std::string difference(const RandomCase& random, const std::vector<std::vector<std::byte>>& expected,
                       const std::vector<std::vector<std::byte>>& actual);

}  // namespace lazuli::testing
