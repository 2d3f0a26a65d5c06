#pragma once

// Private to compiler/templates/llvm_*_rows.cpp: this header shows LLVM's types.

#include <string>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_support.h>

namespace lazuli::templates {

/// What both kinds share: x and results in float (or double), weights in their storage.
class RowsEmitter {
 public:
  RowsEmitter(llvm::Module& module, const Target& target, const RowsShape& shape)
      : b_(module, target),
        shape_(shape),
        computed_(shape.weights == float64 ? float64 : float32),
        bytes_(computed_.size()),
        w_bytes_(shape.weights.size()),
        lanes_(target.vector_bits / 8 / static_cast<int>(bytes_)) {}

 protected:
  llvm::Type* scalar() const { return b_.compute_type(computed_); }
  llvm::Type* vector() const { return b_.compute_type(computed_, lanes_); }
  llvm::Value* scaled(size_t offset, int64_t element_bytes) {
    return b_.times(b_.integer(offset), element_bytes);
  }

  llvm::Value* multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* sum) {
    return shape_.pairs ? b_.add_pair_products(a, b, sum, lanes_) : b_.fma(a, b, sum);
  }

  /// Asks for `bytes` that stand `offset` bytes into what is needed next.
  void fetch_ahead(llvm::Value* offset, int64_t bytes) {
    if (ahead_ == nullptr) return;
    llvm::Value* start = b_.offset_bytes(ahead_, offset);
    // Not into the first-level cache: too few lines can be on their way there.
    for (int64_t at = 0; at < bytes; at += 64) b_.VectorBuilder::prefetch(b_.offset_bytes(start, at), 2);
  }

  /// Asks for a line that is in the second-level cache by now and needed soon, where the processor fetches
  /// late: arithmetic that waits for that cache keeps it from seeing lines as far ahead.
  void fetch_near(llvm::Value* place, int64_t bytes) {
    if (ahead_ == nullptr || b_.target().bytes_ahead == 0) return;
    for (int64_t at = 0; at < bytes; at += 64) b_.VectorBuilder::prefetch(b_.offset_bytes(place, at), 3);
  }
  static constexpr int64_t near_bytes = 1 << 10;

  mutable TemplateBuilder b_;
  RowsShape shape_;
  Dtype computed_;
  int64_t bytes_;
  int64_t w_bytes_;
  int lanes_;
  llvm::Value* ahead_ = nullptr;  ///< null where nothing is fetched
};

inline std::string rows_key(const char* kind, const RowsShape& shape) {
  return "template " + std::string(kind) + ' ' + std::string(dtype_name(shape.weights)) + " rows " +
         std::to_string(shape.x_rows) + (shape.ahead ? " ahead" : "") + (shape.pairs ? " pairs" : "");
}

}  // namespace lazuli::templates
