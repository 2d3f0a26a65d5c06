#include <algorithm>
#include <bit>

#include <llvm/IR/IntrinsicsX86.h>

#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Access;
using llvm::Value;

// Results whose rows do not begin at lines, of an input that is read in transposed tiles, whose vectors then
// go a part to one line and the rest to the next. Each row keeps the vector that was made last; with the next
// one it makes a whole line, which is written past the caches. Where rows begin within their lines is known
// for all tiles: 16 rows on, a row begins at the same place of a line.

namespace {

constexpr int64_t line_bytes = 64;

}  // namespace

/// Whether rows of the result are put together to lines.
bool KernelEmitter::joins_lines() const {
  if (!options_.joined || target_.vector_bytes() != line_bytes || !computes_tiles_in_registers())
    return false;
  int64_t outputs = 0;
  for (const Access& access : kernel_.accesses) {
    if (access.kind != Access::Kind::output) continue;
    ++outputs;
    const bool fits = schedule_.lanes * access.dtype.size() == line_bytes && access.dynamic_indices == 0;
    if (!fits || access.strides[schedule_.vector_dim] != kir::StrideClass::unit) return false;
  }
  return outputs == 1 && schedule_.lanes == 16;
}

/// Room for the last vectors of up to `most_rows` rows.
void KernelEmitter::prepare_joined(int64_t most_rows) {
  const auto is_output = [](const Access& access) { return access.kind == Access::Kind::output; };
  joined_access_ = static_cast<size_t>(
      std::find_if(kernel_.accesses.begin(), kernel_.accesses.end(), is_output) - kernel_.accesses.begin());
  joined_rows_ = b_.stack(b_.ir.getInt8Ty(), most_rows * line_bytes, line_bytes);
  joined_order_ = b_.stack(b_.ir.getInt32Ty(), int64_t{schedule_.lanes} * schedule_.lanes, line_bytes);
}

/// For each row of a tile the order in which lanes of its last vector and the next one make a line, at the
/// current point.
void KernelEmitter::start_joined() {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = schedule_.lanes;
  const int64_t size = kernel_.accesses[joined_access_].dtype.size();
  Value* stride = strides_[joined_access_][schedule_.outer_dims.back()];
  Value* row = ir.CreatePtrToInt(
      b_.offset_bytes(pointers_[joined_access_], b_.times(b_.function().getArg(4), size)), ir.getInt64Ty());
  llvm::SmallVector<llvm::Constant*, 16> each;
  for (int lane = 0; lane < lanes; ++lane) each.push_back(ir.getInt32(static_cast<uint32_t>(lane + lanes)));
  for (int n = 0; n < lanes; ++n) {
    Value* before = ir.CreateLShr(ir.CreateAnd(row, b_.i64(line_bytes - 1)),
                                  b_.i64(std::countr_zero(static_cast<uint64_t>(size))));
    Value* order = ir.CreateSub(llvm::ConstantVector::get(each),
                                b_.splat(ir.CreateTrunc(before, ir.getInt32Ty()), lanes));
    b_.store_raw(order, b_.offset_bytes(joined_order_, n * line_bytes));
    if (stride != nullptr) row = ir.CreateAdd(row, stride);
  }
}

/// A row's vector whose first element lies at `place`: the first of a row as it is, others with the last one.
void KernelEmitter::store_joined_line(Value* place, Value* vector) {
  llvm::IRBuilder<>& ir = b_.ir;
  Value* slot = b_.offset_bytes(joined_rows_, b_.times(joined_row_, line_bytes));
  slot = b_.offset_bytes(slot, tile_vector_ * line_bytes);
  if (joined_first_) {
    b_.store_raw(vector, place);
  } else {
    llvm::Type* element = vector->getType()->getScalarType();
    Value* last = b_.load_raw(element, slot, schedule_.lanes);
    Value* line = ir.CreateIntrinsic(llvm::Intrinsic::ptrmask, {place->getType(), ir.getInt64Ty()},
                                     {place, b_.i64(-line_bytes)});
    b_.store_raw(join(last, vector, tile_vector_), line, nullptr, true);
  }
  b_.store_raw(vector, slot);
}

/// Lanes of a row's last vector and of the next, as the order of row `n` of a tile has them.
Value* KernelEmitter::join(Value* last, Value* next, int n) {
  llvm::IRBuilder<>& ir = b_.ir;
  Value* order =
      b_.load_raw(ir.getInt32Ty(), b_.offset_bytes(joined_order_, n * line_bytes), schedule_.lanes);
  llvm::Type* floats = VectorBuilder::widen(ir.getFloatTy(), schedule_.lanes);
  Value* joined = ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512_vpermi2var_ps_512, {},
                                     {ir.CreateBitCast(last, floats), order, ir.CreateBitCast(next, floats)});
  return ir.CreateBitCast(joined, next->getType());
}

/// Writes what `rows` rows have kept, up to column `end`.
void KernelEmitter::finish_joined(Value* rows, Value* end) {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = schedule_.lanes;
  const int64_t size = kernel_.accesses[joined_access_].dtype.size();
  llvm::Type* element = b_.memory_type(kernel_.accesses[joined_access_].dtype);
  Value* stride = strides_[joined_access_][schedule_.outer_dims.back()];
  Value* begin = b_.offset_bytes(pointers_[joined_access_], b_.times(end, size));
  b_.loop(
      b_.i64(0), rows, lanes,
      [&](Value* row) {
        for (int n = 0; n < lanes; ++n) {
          Value* at = ir.CreateAdd(row, b_.i64(n));
          Value* place = stride == nullptr ? begin : b_.offset_bytes(begin, ir.CreateMul(at, stride));
          Value* before = ir.CreateAnd(ir.CreatePtrToInt(place, ir.getInt64Ty()), b_.i64(line_bytes - 1));
          Value* line = b_.offset_bytes(place, ir.CreateNeg(before));
          Value* last = b_.load_raw(element, b_.offset_bytes(joined_rows_, b_.times(at, line_bytes)), lanes);
          const Tail tail =
              b_.tail(ir.CreateLShr(before, b_.i64(std::countr_zero(static_cast<uint64_t>(size)))), lanes);
          b_.store_raw(join(last, last, n), line, &tail);
        }
      },
      "last_lines");
}

}  // namespace lazuli
