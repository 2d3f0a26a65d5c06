#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>

#include "table.h"

namespace lazuli::bench {

/// Where an evaluated array's elements begin.
const void* data_of(const array& a);

/// Work that other libraries are asked to do as well. Everything is row-major, float32 unless `is_bfloat16`.
struct PeerWork {
  enum class Kind : uint8_t {
    matmul,                 ///< extents batch, m, n, k, transpose_a, transpose_b; inputs a and b, as stored
    convolution,            ///< see `convolution_extents`; inputs x and w
    convolution_gradients,  ///< of both; inputs x, w and the cotangent of the result
    softmax,                ///< extents rows, columns; of rows
    log_softmax,
    layer_norm,  ///< extents rows, columns; inputs x, weight and bias
    silu_gate,   ///< x * sigmoid(x) * y + z over extents[0] elements
    fft,         ///< extents rows, length, is_real; complex64 or float32 to complex64
  };
  Kind kind = Kind::matmul;
  std::vector<int64_t> extents;
  std::vector<const void*> inputs;
  bool is_bfloat16 = false;
};

/// Extents of a convolution over `rank` axes: batch, channels, features, groups, stride, padding, rank, then
/// in, kernel and out along each axis.
std::vector<int64_t> convolution_extents(int64_t batch, int64_t channels, int64_t features, int64_t groups,
                                         int64_t stride, int64_t padding, const std::vector<int64_t>& in,
                                         const std::vector<int64_t>& kernel, const std::vector<int64_t>& out);

/// What the libraries that were found when this was built offer for this work, on as many threads as Lazuli
/// uses; `wanted` by a library's name, 0 where it is not among them. They live in a module of their own,
/// which is loaded when it is first asked for.
struct WantedOfPeer {
  std::string name;
  double times = 0;
};
std::vector<Peer> peers_of(const PeerWork& work, const std::vector<WantedOfPeer>& wanted = {});

/// What the module exports: adds a runnable for each library that does the work.
struct PeerRun {
  std::string name;
  std::function<void()> run;
};
using MakePeers = void (*)(const PeerWork& work, int threads, std::vector<PeerRun>& runs);

}  // namespace lazuli::bench
