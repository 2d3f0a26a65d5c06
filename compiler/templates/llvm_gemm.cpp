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
        size_(tile_size(target, shape.operands)),
        bytes_(shape.operands == float64 ? 8 : 4) {}

  /// In the full width, or one vector of columns after another: where that is all there are, and where the
  /// last columns need a mask for which no register is left.
  void emit() {
    load_arguments();
    llvm::BasicBlock* wide = b_.block("wide");
    llvm::BasicBlock* narrow = b_.block("narrow");
    const bool only_whole = !shape_.packed && !b_.target().masks;
    b_.ir.CreateCondBr(only_whole ? b_.ir.CreateICmpSLT(columns_, b_.i64(size_.columns()))
                                  : b_.ir.CreateICmpSLE(columns_, b_.i64(size_.lanes)),
                       narrow, wide);
    b_.ir.SetInsertPoint(wide);
    emit_all_rows(size_.column_vectors, !shape_.packed && !only_whole);
    b_.ir.CreateRetVoid();

    b_.ir.SetInsertPoint(narrow);
    Value* const b_start = b_start_;
    Value* const c = c_;
    Value* const columns = columns_;
    b_.loop(
        b_.i64(0), columns, size_.lanes,
        [&](Value* first) {
          b_start_ = b_.element(b_start, first, bytes_);
          c_ = b_.element(c, first, bytes_);
          columns_ =
              b_.intrinsic(llvm::Intrinsic::smin, {b_.ir.CreateSub(columns, first), b_.i64(size_.lanes)});
          emit_all_rows(1, !shape_.packed);
        },
        "vectors");
    b_.ir.CreateRetVoid();
  }

 private:
  /// A body for each number of rows, behind a switch. `masked`: nothing behind the last column of b may be
  /// read.
  void emit_all_rows(int vectors, bool masked) {
    vectors_ = vectors;
    Value* rows = b_.integer(offsetof(Fields, rows));
    llvm::BasicBlock* full = b_.block("rows");
    llvm::BasicBlock* done = b_.block("rows_done");
    llvm::SwitchInst* choice = b_.ir.CreateSwitch(rows, full, static_cast<unsigned>(size_.rows));
    for (int count = size_.rows; count > 0; --count) {
      llvm::BasicBlock* body = count == size_.rows ? full : b_.block("rows");
      if (count != size_.rows) choice->addCase(b_.i64(count), body);
      b_.ir.SetInsertPoint(body);
      emit_rows(count, masked);
      b_.ir.CreateBr(done);
    }
    b_.ir.SetInsertPoint(done);
  }

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
      runs_ = b_.integer(offsetof(Fields, runs));
      a_to_next_run_ = b_.ir.CreateSub(b_.times(b_.integer(offsetof(Fields, a_run_stride)), bytes_),
                                       b_.ir.CreateMul(k_, a_step_));
      b_to_next_run_ = b_.ir.CreateSub(b_.times(b_.integer(offsetof(Fields, b_run_stride)), bytes_),
                                       b_.ir.CreateMul(k_, b_step_));
      ahead_ = b_.pointer(offsetof(Fields, ahead));
      Value* is_null = b_.ir.CreateIsNull(ahead_);
      ahead_ = b_.ir.CreateSelect(is_null, a_, ahead_);  // what is there already
    } else {
      a_step_ = b_.i64(size_.rows * bytes_);
    }
  }

  llvm::Type* scalar() const { return shape_.operands == float64 ? b_.ir.getDoubleTy() : b_.ir.getFloatTy(); }
  llvm::Type* vector() const { return VectorBuilder::widen(scalar(), size_.lanes); }
  Value* c_row(int row) { return b_.offset_bytes(c_, b_.ir.CreateMul(b_.i64(row), c_row_bytes_)); }

  /// How far ahead panels are fetched.
  static constexpr int64_t prefetched_depths = 16;

  /// Rows of a are reached in threes from one pointer, as an address may hold a stride once or twice.
  static constexpr int rows_a_pointer = 3;

  void emit_rows(int rows, bool masked) {
    const int vectors = vectors_;
    for (int row = 0; row < rows; ++row) {
      for (int v = 0; v < vectors; ++v) {
        b_.prefetch(b_.offset_bytes(c_row(row), int64_t{v} * size_.lanes * bytes_));
      }
    }
    const Tail last = masked ? columns_tail(vectors - 1) : Tail{};

    VectorBuilder::Carried carried;
    for (int i = 0; i < rows * vectors; ++i) carried.push_back(b_.zero(vector()));
    const int pointers = shape_.packed ? 1 : (rows + rows_a_pointer - 1) / rows_a_pointer;
    const size_t first_pointer = carried.size();
    carried.push_back(b_start_);
    for (int i = 0; i < pointers; ++i) {
      carried.push_back(
          i == 0 ? a_ : b_.offset_bytes(a_, b_.ir.CreateMul(b_.i64(i * rows_a_pointer), a_row_bytes_)));
    }
    const auto step = [&](Value* depth, VectorBuilder::Carried values) {
      Value* b = values[first_pointer];
      if (!shape_.packed) fetch_ahead(depth);
      if (shape_.packed) {
        // Panels are streams, but the hardware's prefetching ends with each page.
        for (int v = 0; v < vectors; ++v) {
          b_.prefetch_read(b_.offset_bytes(b, (prefetched_depths * vectors + v) * size_.lanes * bytes_));
        }
        b_.prefetch_read(b_.offset_bytes(values[first_pointer + 1], prefetched_depths * size_.rows * bytes_));
      }
      Values columns;
      for (int v = 0; v < vectors; ++v) {
        columns.push_back(b_.load_raw(scalar(), b_.offset_bytes(b, int64_t{v} * size_.lanes * bytes_),
                                      size_.lanes, masked && v == vectors - 1 ? &last : nullptr));
      }
      for (int row = 0; row < rows; ++row) {
        Value* x = b_.broadcast(scalar(), a_element(values, first_pointer + 1, row), size_.lanes);
        for (int v = 0; v < vectors; ++v) {
          Value*& sum = values[static_cast<size_t>(row * vectors + v)];
          sum = multiply_add(x, columns[v], sum);
        }
      }
      values[first_pointer] = b_.offset_bytes(b, b_step_);
      for (int i = 0; i < pointers; ++i) {
        Value*& a = values[first_pointer + 1 + static_cast<size_t>(i)];
        a = b_.offset_bytes(a, a_step_);
      }
      return values;
    };
    const auto run = [&](const VectorBuilder::Carried& values) {
      return b_.loop(
          b_.i64(0), k_, 1, values,
          [&](Value* depth, const VectorBuilder::Carried& at) { return step(depth, at); }, "depth");
    };
    if (shape_.packed) {
      carried = run(carried);
    } else {
      carried = b_.loop(
          b_.i64(0), runs_, 1, carried,
          [&](Value*, const VectorBuilder::Carried& values) {
            VectorBuilder::Carried next = run(values);
            for (int i = 0; i < pointers; ++i) {
              Value*& a = next[first_pointer + 1 + static_cast<size_t>(i)];
              a = b_.offset_bytes(a, a_to_next_run_);
            }
            next[first_pointer] = b_.offset_bytes(next[first_pointer], b_to_next_run_);
            return next;
          },
          "runs");
    }
    store(rows, carried);
  }

  /// A line of one row at each depth, so that all rows' lines have been asked for when they are used up.
  void fetch_ahead(Value* depth) {
    const int64_t line = 64 / bytes_;
    Value* row = b_.ir.CreateAnd(depth, b_.i64(line - 1));
    Value* along = b_.times(b_.ir.CreateAnd(depth, b_.i64(-line)), bytes_);
    b_.VectorBuilder::prefetch(
        b_.offset_bytes(b_.offset_bytes(ahead_, b_.ir.CreateMul(row, a_row_bytes_)), along), 2);
  }

  Value* multiply_add(Value* a, Value* b, Value* sum) {
    if (shape_.operands != bfloat16) return b_.fma(a, b, sum);
    return b_.add_pair_products(a, b, sum, size_.lanes);
  }

  /// The columns of a vector that are there. Mask registers are filled from an integer, which takes no vector
  /// register.
  Tail columns_tail(int vector) {
    Value* count = b_.ir.CreateSub(columns_, b_.i64(int64_t{vector} * size_.lanes));
    if (!b_.target().masks) return b_.tail(count, size_.lanes);
    Value* bits = b_.ir.CreateSub(b_.ir.CreateShl(b_.i64(1), count), b_.i64(1));
    llvm::Type* mask = VectorBuilder::widen(b_.ir.getInt1Ty(), size_.lanes);
    bits = b_.ir.CreateTrunc(bits, b_.ir.getIntNTy(static_cast<unsigned>(size_.lanes)));
    return {count, b_.ir.CreateBitCast(bits, mask)};
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
    b_.ir.CreateCondBr(b_.ir.CreateICmpEQ(columns_, b_.i64(int64_t{vectors_} * size_.lanes)), whole, part);
    b_.ir.SetInsertPoint(whole);
    store_columns(rows, sums, false);
    b_.ir.CreateBr(done);
    b_.ir.SetInsertPoint(part);
    store_columns(rows, sums, true);
    b_.ir.CreateBr(done);
    b_.ir.SetInsertPoint(done);
  }

  void store_columns(int rows, const VectorBuilder::Carried& sums, bool masked) {
    const int vectors = vectors_;
    llvm::SmallVector<Tail, 4> tails;
    for (int v = 0; v < vectors && masked; ++v) tails.push_back(columns_tail(v));
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
  int vectors_ = 0;  ///< of columns, in the body being emitted

  Value* k_ = nullptr;
  Value* a_ = nullptr;
  Value* b_start_ = nullptr;
  Value* c_ = nullptr;
  Value* columns_ = nullptr;
  Value* accumulate_ = nullptr;
  Value* c_row_bytes_ = nullptr;
  Value* b_step_ = nullptr;
  Value* a_row_bytes_ = nullptr;
  Value* runs_ = nullptr;
  Value* a_to_next_run_ = nullptr;
  Value* b_to_next_run_ = nullptr;
  Value* ahead_ = nullptr;
  Value* a_step_ = nullptr;
};

}  // namespace

bool generates_for(const Target& target) {
  return target.triple.starts_with("x86_64") && target.vector_bits >= 256 && target.fma;
}

TileSize tile_size(const Target& target, Dtype operands) {
  // As many rows as leave registers for the columns of b and one broadcast element of a.
  TileSize size;
  size.column_vectors = 2;
  size.lanes = target.vector_bits / (operands == float64 ? 64 : 32);
  size.rows = (target.vector_registers - size.column_vectors - 1) / size.column_vectors;
  return size;
}

std::string gemm_key(const GemmShape& shape) {
  return "template gemm " + std::string(dtype_name(shape.operands)) + (shape.packed ? " packed" : "");
}

void build_gemm(llvm::Module& module, const Target& target, const GemmShape& shape) {
  GemmEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
