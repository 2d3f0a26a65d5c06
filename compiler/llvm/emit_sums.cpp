#include <functional>

#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Access;
using kir::Role;
using llvm::Value;

// Rows to which all points of a run add. They stay in the caches while rows of the inputs come and go.

/// Zeros, for the points to add to.
void KernelEmitter::start_sums() {
  Value* size = b_.i64(1);
  for (size_t d = 0; d < kernel_.dims.size(); ++d) {
    if (kernel_.dims[d] == Role::reduce) size = b_.ir.CreateMul(size, extents_[d]);
  }
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    const Access& access = kernel_.accesses[a];
    if (access.kind != Access::Kind::sums) continue;
    // Dense, however many dimensions a row has.
    emit_vector_range(b_.i64(0), size, 1, {}, [&](const Carried&) {
      b_.store(access.dtype, b_.zero(b_.compute_type(access.dtype, width_.lanes)), pointers_[a], width_.tail);
      return Carried();
    });
  }
}

/// Where steps take even and odd positions apart, sums lie in that order, too.
void KernelEmitter::put_sums_in_order() {
  if (!schedule_.by_parity) return;
  const int lanes = schedule_.lanes;
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    const Access& access = kernel_.accesses[a];
    if (access.kind != Access::Kind::sums) continue;
    llvm::Type* element = b_.memory_type(access.dtype);
    const std::function<Carried(size_t)> nest = [&](size_t n) {
      const int dim = schedule_.loops[n];
      const bool innermost = dim == schedule_.vector_dim;
      const int64_t step = innermost ? 2 * lanes : 1;
      b_.loop(b_.i64(0), b_.ir.CreateAnd(extents_[dim], b_.i64(-step)), step, [&](Value* i) {
        at_position(dim, i, [&] {
          if (!innermost) return nest(n + 1);
          Value* odd_place = b_.offset_bytes(pointers_[a], int64_t{lanes} * access.dtype.size());
          Value* even = b_.load_raw(element, pointers_[a], lanes);
          Value* odd = b_.load_raw(element, odd_place, lanes);
          b_.store_raw(b_.interleave(even, odd), pointers_[a]);
          return Carried();
        });
      });
      return Carried();
    };
    nest(0);
  }
}

}  // namespace lazuli
