#pragma once

// Private to compiler/templates/llvm_*.cpp: this header shows LLVM's types.

#include <cstddef>

#include <lazuli/compiler/llvm/builder.h>

namespace lazuli::templates {

/// The function `void kernel(const Arguments*)` and a builder at its entry.
class TemplateBuilder : public VectorBuilder {
 public:
  TemplateBuilder(llvm::Module& module, const Target& target);

  /// Fields of the arguments, by their offsets.
  llvm::Value* integer(size_t offset) { return load_field(offset, ir.getInt64Ty()); }
  llvm::Value* pointer(size_t offset) { return load_field(offset, ir.getPtrTy()); }

  /// The scalar of that type at an address, in every lane.
  llvm::Value* broadcast(llvm::Type* type, llvm::Value* address, int lanes);
  /// base + index * element_bytes
  llvm::Value* element(llvm::Value* base, llvm::Value* index, int64_t element_bytes);
  /// sum + a[0] b[0] + a[1] b[1] in every lane, whose 32 bits are pairs of bfloat16.
  llvm::Value* add_pair_products(llvm::Value* a, llvm::Value* b, llvm::Value* sum, int lanes);
  /// Fetches what is to be written, or read.
  void prefetch(llvm::Value* address) { fetch_ahead(address, true); }
  void prefetch_read(llvm::Value* address) { fetch_ahead(address, false); }

 private:
  void fetch_ahead(llvm::Value* address, bool to_write);
  llvm::Value* load_field(size_t offset, llvm::Type* type);
  static llvm::Function& make_function(llvm::Module& module, const Target& target);
};

}  // namespace lazuli::templates
