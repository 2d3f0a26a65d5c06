#pragma once

#include <cstdint>

/// The inner loops of cumulative operations, in the widest vectors that may be used.
namespace lazuli::templates {

/// Loops of one operation on elements of type T. `stream` writes past the caches where `out` is aligned.
template <typename T>
struct ScanLoops {
  /// Combines with `carry`, one after the other: `out` gets each result, `carry` the last. in == out is fine.
  void (*scan)(const T* in, T* out, int64_t count, T* carry, bool stream) = nullptr;
  /// The combination of all.
  T (*total)(const T* in, int64_t count) = nullptr;
  /// carry[j] = carry[j] ∘ in[j], and out[j] is that, or what carry[j] was before (`exclusive`).
  void (*step)(const T* in, T* out, T* carry, int64_t count, bool exclusive, bool stream) = nullptr;
};

/// By ScanKind: sum, prod, max, min.
template <typename T>
struct ScanTable {
  ScanLoops<T> loops[4];
};

struct ScanKernels {
  ScanTable<float> float32;
  ScanTable<double> float64;
  ScanTable<int32_t> int32;
  ScanTable<int64_t> int64;
};

/// Those for the widest vectors that may be used, and each of them.
const ScanKernels& scan_kernels();
const ScanKernels& baseline_scan_kernels();
const ScanKernels& avx2_scan_kernels();
const ScanKernels& avx512_scan_kernels();

}  // namespace lazuli::templates
