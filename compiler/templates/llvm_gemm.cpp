// Generated GEMM tiles.

#include <algorithm>
#include <cstddef>
#include <string>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_support.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 32>;

/// T is float or double; both have the same layout but for their pointers' targets.
using Fields = GemmTile<float>;

class GemmEmitter {
 public:
  GemmEmitter(llvm::Module& module, const Target& target, const GemmShape& shape)
      : b_(module, target),
        shape_(shape),
        size_(tile_size(target, shape.is_double)),
        bytes_(shape.is_double ? 8 : 4) {}

  /// A body for each number of rows, behind a switch.
  void emit() {
    load_arguments();
    Value* rows = b_.integer(offsetof(Fields, rows));
    llvm::BasicBlock* full = b_.block("rows");
    llvm::SwitchInst* choice = b_.ir.CreateSwitch(rows, full, static_cast<unsigned>(size_.rows));
    for (int count = size_.rows; count > 0; --count) {
      llvm::BasicBlock* body = count == size_.rows ? full : b_.block("rows");
      if (count != size_.rows) choice->addCase(b_.i64(count), body);
      b_.ir.SetInsertPoint(body);
      emit_rows(count);
      b_.ir.CreateRetVoid();
    }
  }

 private:
  void load_arguments() {
    k_ = b_.integer(offsetof(Fields, k));
    a_ = b_.pointer(offsetof(Fields, a));
    b_start_ = b_.pointer(offsetof(Fields, b));
    c_ = b_.pointer(offsetof(Fields, c));
    columns_ = b_.integer(offsetof(Fields, columns));
    accumulate_ = b_.ir.CreateICmpNE(b_.integer(offsetof(Fields, accumulate)), b_.i64(0));
    c_row_bytes_ = b_.times(b_.integer(offsetof(Fields, c_row_stride)), bytes_);
    b_step_ = b_.times(b_.integer(offsetof(Fields, b_k_stride)), bytes_);
    if (!shape_.packed) {
      a_row_bytes_ = b_.times(b_.integer(offsetof(Fields, a_row_stride)), bytes_);
      a_step_ = b_.times(b_.integer(offsetof(Fields, a_k_stride)), bytes_);
    } else {
      a_step_ = b_.i64(size_.rows * bytes_);
    }
  }

  llvm::Type* scalar() const { return shape_.is_double ? b_.ir.getDoubleTy() : b_.ir.getFloatTy(); }
  llvm::Type* vector() const { return VectorBuilder::widen(scalar(), size_.lanes); }
  Value* c_row(int row) { return b_.offset_bytes(c_, b_.ir.CreateMul(b_.i64(row), c_row_bytes_)); }

  /// Rows of a are reached in threes from one pointer, as an address may hold a stride once or twice.
  static constexpr int rows_a_pointer = 3;

  void emit_rows(int rows) {
    const int vectors = size_.column_vectors;
    for (int row = 0; row < rows; ++row) {
      for (int v = 0; v < vectors; ++v)
        b_.prefetch(b_.offset_bytes(c_row(row), int64_t{v} * size_.lanes * bytes_));
    }

    VectorBuilder::Carried carried;
    for (int i = 0; i < rows * vectors; ++i) carried.push_back(b_.zero(vector()));
    const int pointers = shape_.packed ? 1 : (rows + rows_a_pointer - 1) / rows_a_pointer;
    const size_t first_pointer = carried.size();
    carried.push_back(b_start_);
    for (int i = 0; i < pointers; ++i) {
      carried.push_back(
          i == 0 ? a_ : b_.offset_bytes(a_, b_.ir.CreateMul(b_.i64(i * rows_a_pointer), a_row_bytes_)));
    }
    const auto step = [&](VectorBuilder::Carried values) {
      Value* b = values[first_pointer];
      Values columns;
      for (int v = 0; v < vectors; ++v) {
        columns.push_back(
            b_.load_raw(scalar(), b_.offset_bytes(b, int64_t{v} * size_.lanes * bytes_), size_.lanes));
      }
      for (int row = 0; row < rows; ++row) {
        Value* x = b_.broadcast(scalar(), a_element(values, first_pointer + 1, row), size_.lanes);
        for (int v = 0; v < vectors; ++v) {
          Value*& sum = values[static_cast<size_t>(row * vectors + v)];
          sum = b_.fma(x, columns[v], sum);
        }
      }
      values[first_pointer] = b_.offset_bytes(b, b_step_);
      for (int i = 0; i < pointers; ++i) {
        Value*& a = values[first_pointer + 1 + static_cast<size_t>(i)];
        a = b_.offset_bytes(a, a_step_);
      }
      return values;
    };
    carried = b_.loop(
        b_.i64(0), k_, 1, carried, [&](Value*, const VectorBuilder::Carried& values) { return step(values); },
        "depth");
    store(rows, carried);
  }

  Value* a_element(const VectorBuilder::Carried& values, size_t first_pointer, int row) {
    if (shape_.packed) return b_.offset_bytes(values[first_pointer], int64_t{row} * bytes_);
    Value* base = values[first_pointer + static_cast<size_t>(row / rows_a_pointer)];
    const int rest = row % rows_a_pointer;
    return rest == 0 ? base : b_.offset_bytes(base, b_.times(a_row_bytes_, rest));
  }

  void store(int rows, const VectorBuilder::Carried& sums) {
    llvm::BasicBlock* whole = b_.block("whole");
    llvm::BasicBlock* part = b_.block("part");
    llvm::BasicBlock* done = b_.block("done");
    b_.ir.CreateCondBr(b_.ir.CreateICmpEQ(columns_, b_.i64(size_.columns())), whole, part);
    b_.ir.SetInsertPoint(whole);
    store_columns(rows, sums, false);
    b_.ir.CreateBr(done);
    b_.ir.SetInsertPoint(part);
    store_columns(rows, sums, true);
    b_.ir.CreateBr(done);
    b_.ir.SetInsertPoint(done);
  }

  void store_columns(int rows, const VectorBuilder::Carried& sums, bool masked) {
    const int vectors = size_.column_vectors;
    llvm::SmallVector<Tail, 4> tails;
    for (int v = 0; v < vectors && masked; ++v) {
      tails.push_back(b_.tail(b_.ir.CreateSub(columns_, b_.i64(int64_t{v} * size_.lanes)), size_.lanes));
    }
    llvm::BasicBlock* add = b_.block("add");
    llvm::BasicBlock* set = b_.block("set");
    llvm::BasicBlock* done = b_.block("stored");
    b_.ir.CreateCondBr(accumulate_, add, set);
    for (const bool accumulate : {true, false}) {
      b_.ir.SetInsertPoint(accumulate ? add : set);
      for (int row = 0; row < rows; ++row) {
        Value* address = c_row(row);
        for (int v = 0; v < vectors; ++v) {
          Value* place = b_.offset_bytes(address, int64_t{v} * size_.lanes * bytes_);
          const Tail* tail = masked ? &tails[static_cast<size_t>(v)] : nullptr;
          Value* sum = sums[static_cast<size_t>(row * vectors + v)];
          if (accumulate) sum = b_.ir.CreateFAdd(b_.load_raw(scalar(), place, size_.lanes, tail), sum);
          b_.store_raw(sum, place, tail);
        }
      }
      b_.ir.CreateBr(done);
    }
    b_.ir.SetInsertPoint(done);
  }

  mutable TemplateBuilder b_;
  GemmShape shape_;
  TileSize size_;
  int64_t bytes_;

  Value* k_ = nullptr;
  Value* a_ = nullptr;
  Value* b_start_ = nullptr;
  Value* c_ = nullptr;
  Value* columns_ = nullptr;
  Value* accumulate_ = nullptr;
  Value* c_row_bytes_ = nullptr;
  Value* b_step_ = nullptr;
  Value* a_row_bytes_ = nullptr;
  Value* a_step_ = nullptr;
};

}  // namespace

bool generates_for(const Target& target) {
  return target.triple.starts_with("x86_64") && target.vector_bits >= 256 && target.fma;
}

TileSize tile_size(const Target& target, bool is_double) {
  // As many rows as leave registers for the columns of b and one broadcast element of a.
  TileSize size;
  size.column_vectors = 2;
  size.lanes = target.vector_bits / (is_double ? 64 : 32);
  size.rows = (target.vector_registers - size.column_vectors - 1) / size.column_vectors;
  return size;
}

std::string gemm_key(const GemmShape& shape) {
  return std::string("template gemm ") + (shape.is_double ? "double" : "float") +
         (shape.packed ? " packed" : "");
}

void build_gemm(llvm::Module& module, const Target& target, const GemmShape& shape) {
  GemmEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
