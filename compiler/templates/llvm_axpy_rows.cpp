// Generated kernels for products with few rows: sums of rows of weights.

#include <algorithm>
#include <cstddef>
#include <string>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/templates/llvm_rows.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 16>;

class AxpyEmitter : public RowsEmitter {
 public:
  using RowsEmitter::RowsEmitter;
  using Fields = AxpyRows<float>;

  void emit() {
    x_ = b_.pointer(offsetof(Fields, x));
    x_row_bytes_ = scaled(offsetof(Fields, x_row_stride), bytes_);
    x_k_bytes_ = scaled(offsetof(Fields, x_k_stride), bytes_);
    w_ = b_.pointer(offsetof(Fields, w));
    w_row_bytes_ = scaled(offsetof(Fields, w_row_stride), w_bytes_);
    columns_ = b_.integer(offsetof(Fields, columns));
    y_ = b_.pointer(offsetof(Fields, y));
    y_row_bytes_ = scaled(offsetof(Fields, y_row_stride), bytes_);
    k_ = b_.integer(offsetof(Fields, k));
    if (shape_.ahead) {
      ahead_ = b_.pointer(offsetof(Fields, ahead));
      Value* rows = b_.ir.CreateUDiv(b_.i64(near_bytes), b_.times(columns_, w_bytes_));
      near_ = b_.ir.CreateMul(b_.intrinsic(llvm::Intrinsic::umax, {rows, b_.i64(1)}), w_row_bytes_);
    }
    if (shape_.pairs) {
      emit_narrow();
      b_.ir.CreateRetVoid();
      return;
    }
    llvm::BasicBlock* narrow = b_.block("narrow");
    llvm::BasicBlock* wide = b_.block("wide");
    b_.ir.CreateCondBr(b_.ir.CreateICmpSLE(columns_, b_.i64(narrow_columns)), narrow, wide);
    b_.ir.SetInsertPoint(narrow);
    emit_narrow();
    b_.ir.CreateRetVoid();
    b_.ir.SetInsertPoint(wide);
    emit_wide();
    b_.ir.CreateRetVoid();
  }

 private:
  /// Few columns: a few vectors of sums stay in registers over all depths.
  void emit_narrow() {
    const int registers = b_.target().vector_registers - 4;
    const auto power_of_two = [](int most) { return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1; };
    const int widest = power_of_two(registers / (shape_.x_rows + 1));
    llvm::BasicBlock* one_pass = b_.block("one_pass");
    llvm::BasicBlock* passes = b_.block("passes");
    llvm::BasicBlock* done = b_.block("narrow_done");
    // Rows that are in cache need not be read in the order of memory.
    Value* fits = b_.ir.CreateICmpSLE(columns_, b_.i64(int64_t{widest} * lanes_));
    b_.ir.CreateCondBr(shape_.ahead ? b_.ir.getTrue() : fits, one_pass, passes);
    b_.ir.SetInsertPoint(one_pass);
    depth_begin_ = b_.i64(0);
    depth_end_ = k_;
    by_parity_ = shape_.weights == bfloat16 && !shape_.pairs;
    emit_columns(widest, shape_.x_rows);
    by_parity_ = false;
    b_.ir.CreateBr(done);

    // More sums than there are registers: as many columns as fit for a few rows of x, so that w is first read
    // in the order of memory, and a few rows of w at a time, so that the others find it in the L1 cache.
    b_.ir.SetInsertPoint(passes);
    const int wide = std::min(8, power_of_two(registers / 2));
    const int rows_at_once = std::max(1, registers / wide - 1);
    b_.loop(
        b_.i64(0), k_, rows_a_pass,
        [&](Value* first) {
          depth_begin_ = first;
          depth_end_ = b_.intrinsic(llvm::Intrinsic::smin, {b_.ir.CreateAdd(first, b_.i64(rows_a_pass)), k_});
          emit_columns(wide, rows_at_once);
        },
        "pass");
    b_.ir.CreateBr(done);
    b_.ir.SetInsertPoint(done);
  }

  /// All columns, `widest` vectors and fewer at a time, by `rows` rows of x.
  void emit_columns(int widest, int rows) {
    const auto all_rows = [&](Value* j, int vectors, const Tail* tail) {
      for (int r = 0; r < shape_.x_rows; r += rows) {
        sum_depths(j, vectors, r, std::min(r + rows, shape_.x_rows), tail);
      }
    };
    Value* first = b_.i64(0);
    for (int vectors = widest; vectors >= 1; vectors /= 2) {
      const int64_t chunk = int64_t{vectors} * lanes_;
      Value* end = b_.ir.CreateAnd(columns_, b_.i64(-chunk));
      b_.loop(
          first, end, chunk, [&](Value* j) { all_rows(j, vectors, nullptr); }, "chunk");
      first = end;
    }
    b_.loop(
        first, columns_, lanes_,
        [&](Value* j) {
          const Tail tail = b_.tail(b_.ir.CreateSub(columns_, j), lanes_);
          all_rows(j, 1, &tail);
        },
        "tail");
  }

  static constexpr int64_t rows_a_pass = 8;

  /// Columns from j for rows [first_row, end_row) of x.
  void sum_depths(Value* j, int vectors, int first_row, int end_row, const Tail* tail) {
    Values places;
    Values x;
    VectorBuilder::Carried sums;
    for (int r = first_row; r < end_row; ++r) {
      x.push_back(b_.offset_bytes(x_, b_.ir.CreateMul(b_.i64(r), x_row_bytes_)));
      Value* row = b_.element(b_.offset_bytes(y_, b_.ir.CreateMul(b_.i64(r), y_row_bytes_)), j, bytes_);
      for (int v = 0; v < vectors; ++v) {
        places.push_back(b_.offset_bytes(row, int64_t{v} * lanes_ * bytes_));
        sums.push_back(b_.load(computed_, places.back(), lanes_, tail));
      }
    }
    // Two vectors of bfloat16 are taken by parity, which a shift and a mask do, and so are their sums.
    const bool by_parity = by_parity_ && vectors % 2 == 0;
    for (size_t i = 0; by_parity && i < sums.size(); i += 2) {
      Value* both = b_.concatenate(sums[i], sums[i + 1]);
      sums[i] = b_.every_other(both, 0);
      sums[i + 1] = b_.every_other(both, 1);
    }
    Value* w = b_.element(w_, j, w_bytes_);
    sums = b_.loop(
        depth_begin_, depth_end_, 1, sums,
        [&](Value* p, VectorBuilder::Carried values) {
          const int64_t row_count = shape_.pairs ? 2 : 1;
          Value* row = b_.offset_bytes(w, b_.ir.CreateMul(b_.times(p, row_count), w_row_bytes_));
          Value* x_offset = b_.ir.CreateMul(p, x_k_bytes_);
          const Values weights = shape_.pairs ? load_pairs(row, vectors, tail)
                                 : by_parity  ? load_by_parity(row, vectors)
                                              : load(row, vectors, tail);
          if (first_row == 0 && shape_.ahead) {
            const int64_t columns = int64_t{vectors} * lanes_;
            Value* done = b_.ir.CreateAdd(b_.ir.CreateMul(j, k_), b_.times(p, columns));
            fetch_ahead(b_.times(done, row_count * w_bytes_), columns * row_count * w_bytes_);
            if (!shape_.pairs) fetch_near(b_.offset_bytes(row, near_), columns * w_bytes_);
          }
          for (int r = 0; r < end_row - first_row; ++r) {
            Value* factor = b_.broadcast(scalar(), b_.offset_bytes(x[r], x_offset), lanes_);
            for (int v = 0; v < vectors; ++v) {
              Value*& sum = values[static_cast<size_t>(r * vectors + v)];
              sum = multiply_add(factor, weights[v], sum);
            }
          }
          return values;
        },
        "depth");
    for (size_t i = 0; by_parity && i < sums.size(); i += 2) {
      Value* both = b_.interleave(sums[i], sums[i + 1]);
      sums[i] = b_.slice(both, 0, lanes_);
      sums[i + 1] = b_.slice(both, lanes_, lanes_);
    }
    for (size_t i = 0; i < places.size(); ++i) b_.store(computed_, sums[i], places[i], tail);
  }

  Values load_by_parity(Value* row, int vectors) {
    Values weights;
    for (int v = 0; v < vectors; v += 2) {
      Value* place = b_.offset_bytes(row, int64_t{v} * lanes_ * w_bytes_);
      for (Value* half : b_.load_bfloat16_by_parity(place, lanes_)) weights.push_back(half);
    }
    return weights;
  }

  Values load(Value* row, int vectors, const Tail* tail) {
    Values weights;
    for (int v = 0; v < vectors; ++v) {
      Value* place = b_.offset_bytes(row, int64_t{v} * lanes_ * w_bytes_);
      weights.push_back(b_.load(shape_.weights, place, lanes_, tail));
    }
    return weights;
  }

  /// The elements of this row and the next one, side by side in each lane.
  Values load_pairs(Value* row, int vectors, const Tail* tail) {
    Values weights;
    Value* next = b_.offset_bytes(row, w_row_bytes_);
    const int together = std::min(vectors, 2);  // whole registers, where there are so many columns
    const int elements = together * lanes_;
    for (int v = 0; v < vectors; v += together) {
      const auto half = [&](Value* from) {
        return b_.load_raw(b_.ir.getInt16Ty(), b_.offset_bytes(from, int64_t{v} * lanes_ * w_bytes_),
                           elements, tail);
      };
      Value* first = half(row);
      Value* second = half(next);
      for (int part = 0; part < together; ++part) {
        llvm::SmallVector<int, 32> order;
        for (int i = part * lanes_; i < (part + 1) * lanes_; ++i) {
          order.push_back(i);
          order.push_back(elements + i);
        }
        weights.push_back(b_.ir.CreateBitCast(b_.ir.CreateShuffleVector(first, second, order), vector()));
      }
    }
    return weights;
  }

  /// Many columns: rows of w are read one after another, a few at a time, so that memory streams; the sums
  /// pass through the cache.
  void emit_wide() {
    // Rows of w taken together: their factors, one for each row of x, stay in registers.
    int block = std::clamp((b_.target().vector_registers - 6) / shape_.x_rows, 1, 4);
    if (block == 3) block = 2;
    Value* blocks = b_.ir.CreateAnd(k_, b_.i64(-block));
    b_.loop(
        b_.i64(0), blocks, block, [&](Value* first) { emit_block(first, block); }, "block");
    if (block > 1)
      b_.loop(
          blocks, k_, 1, [&](Value* first) { emit_block(first, 1); }, "single");
  }

  void emit_block(Value* first, int block) {
    Values w;
    Values factors;
    Values y;
    for (int p = 0; p < block; ++p) {
      w.push_back(b_.offset_bytes(w_, b_.ir.CreateMul(b_.ir.CreateAdd(first, b_.i64(p)), w_row_bytes_)));
    }
    for (int r = 0; r < shape_.x_rows; ++r) {
      y.push_back(b_.offset_bytes(y_, b_.ir.CreateMul(b_.i64(r), y_row_bytes_)));
      Value* row = b_.offset_bytes(x_, b_.ir.CreateMul(b_.i64(r), x_row_bytes_));
      for (int p = 0; p < block; ++p) {
        Value* place = b_.offset_bytes(row, b_.ir.CreateMul(b_.ir.CreateAdd(first, b_.i64(p)), x_k_bytes_));
        factors.push_back(b_.broadcast(scalar(), place, lanes_));
      }
    }
    Value* whole = b_.ir.CreateAnd(columns_, b_.i64(-int64_t{lanes_}));
    b_.loop(
        b_.i64(0), whole, lanes_, [&](Value* j) { add(w, factors, y, j, nullptr); }, "columns");
    b_.loop(
        whole, columns_, lanes_,
        [&](Value* j) {
          const Tail tail = b_.tail(b_.ir.CreateSub(columns_, j), lanes_);
          add(w, factors, y, j, &tail);
        },
        "tail");
  }

  void add(const Values& w, const Values& factors, const Values& y, Value* j, const Tail* tail) {
    Values weights;
    for (Value* row : w)
      weights.push_back(b_.load(shape_.weights, b_.element(row, j, w_bytes_), lanes_, tail));
    for (size_t r = 0; r < y.size(); ++r) {
      Value* place = b_.element(y[r], j, bytes_);
      Value* sum = b_.load(computed_, place, lanes_, tail);
      for (size_t p = 0; p < w.size(); ++p) sum = b_.fma(factors[r * w.size() + p], weights[p], sum);
      b_.store(computed_, sum, place, tail);
    }
  }

  Value* x_ = nullptr;
  Value* x_row_bytes_ = nullptr;
  Value* x_k_bytes_ = nullptr;
  Value* depth_begin_ = nullptr;
  Value* depth_end_ = nullptr;
  Value* k_ = nullptr;
  Value* near_ = nullptr;  ///< bytes to the row that is needed soon
  Value* w_ = nullptr;
  Value* w_row_bytes_ = nullptr;
  Value* columns_ = nullptr;
  Value* y_ = nullptr;
  Value* y_row_bytes_ = nullptr;
  bool by_parity_ = false;  ///< whether columns of bfloat16 go two vectors at a time, even and odd ones
};

}  // namespace

std::string axpy_rows_key(const RowsShape& shape) {
  return rows_key("axpy_rows", shape);
}
void build_axpy_rows(llvm::Module& module, const Target& target, const RowsShape& shape) {
  AxpyEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
