#pragma once

// Private to compiler/templates/llvm_*.cpp: this header shows LLVM's types.

#include <cstdint>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/templates/llvm_support.h>

namespace lazuli::templates {

/// What emitters of tiles share: sums over depths that stay in registers, [row][vector of columns], and are
/// stored or added to where the result is.
class TileEmitter {
 protected:
  using Value = llvm::Value;
  using Carried = VectorBuilder::Carried;

  TileEmitter(llvm::Module& module, const Target& target, Dtype operands, int lanes);

  llvm::Type* scalar() const { return operands_ == float64 ? b_.ir.getDoubleTy() : b_.ir.getFloatTy(); }
  llvm::Type* vector() const { return VectorBuilder::widen(scalar(), lanes_); }
  Value* c_row(int row) { return b_.offset_bytes(c_, b_.ir.CreateMul(b_.i64(row), c_row_bytes_)); }

  /// Depths that follow each other within the loop over them: between multiply-adds there is then little but
  /// loads. It is what another thread on the same core leaves room for.
  static constexpr int unrolled_shift = 2;
  static constexpr int unrolled_depths = 1 << unrolled_shift;

  /// All depths of a run, of which there are `k`, one at least: `depth` emits number i of `unrolled_depths`,
  /// where `left` were left before the first of them. After each the run may end, so that all are in blocks
  /// of their own: in one block, LLVM would load what later depths need before the first is done, and lack
  /// registers. Only the sums, the first `sum_count` of the values, are of use afterwards.
  void emit_unrolled_depths(Value* k, Carried& values, size_t sum_count,
                            llvm::function_ref<void(Carried& values, int i, Value* left)> depth);

  void prefetch_results(int rows, int vectors);
  /// The columns of a vector that are there. Mask registers are filled from an integer, which takes no vector
  /// register.
  Tail columns_tail(int vector);
  void store(int rows, int vectors, const Carried& sums);

  mutable TemplateBuilder b_;
  Dtype operands_;
  int lanes_;
  int64_t bytes_;  ///< of an element

  int vectors_ = 0;  ///< of columns, in the body being emitted
  Value* k_ = nullptr;
  /// The left operand: rows, and runs of depths, so many bytes apart.
  Value* a_ = nullptr;
  Value* a_row_bytes_ = nullptr;
  Value* runs_ = nullptr;
  Value* a_run_bytes_ = nullptr;
  /// The result.
  Value* c_ = nullptr;
  Value* c_row_bytes_ = nullptr;
  Value* columns_ = nullptr;
  Value* accumulate_ = nullptr;

 private:
  void store_columns(int rows, int vectors, const Carried& sums, bool masked);
};

}  // namespace lazuli::templates
