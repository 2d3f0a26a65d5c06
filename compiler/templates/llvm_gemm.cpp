// Generated GEMM tiles.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_support.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 32>;
/// Of a row of b's vectors, masks where one may not be read as a whole.
using Tails = llvm::SmallVector<Tail, 4>;

/// T is float or double; both have the same layout but for their pointers' targets.
using Fields = GemmTile<float>;

class GemmEmitter {
 public:
  GemmEmitter(llvm::Module& module, const Target& target, const GemmShape& shape)
      : b_(module, target),
        shape_(shape),
        size_(tile_size(target, shape.operands, shape.wide)),
        bytes_(shape.operands == float64 ? 8 : 4) {}

  /// In the full width, in half of it where there are few columns, or one vector of columns after another:
  /// where that is all there are, and where the last columns need a mask for which no register is left.
  void emit() {
    load_arguments();
    const bool only_whole = !is_packed() && !b_.target().masks;
    const bool masked = !is_packed() && !only_whole;
    llvm::BasicBlock* narrow = b_.block("narrow");
    for (int vectors = size_.column_vectors; vectors > 1; vectors /= 2) {
      llvm::BasicBlock* wide = b_.block("wide");
      llvm::BasicBlock* narrower = vectors > 2 ? b_.block("narrower") : narrow;
      const int fewest = only_whole ? vectors * size_.lanes : vectors / 2 * size_.lanes + 1;
      b_.ir.CreateCondBr(b_.ir.CreateICmpSLT(columns_, b_.i64(fewest)), narrower, wide);
      b_.ir.SetInsertPoint(wide);
      emit_all_rows(vectors, masked);
      b_.ir.CreateRetVoid();
      b_.ir.SetInsertPoint(narrower);
    }
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
          emit_all_rows(1, !is_packed());
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

  bool is_packed() const { return shape_.form == GemmForm::panels; }
  bool depths_follow() const {
    return shape_.form == GemmForm::depths || shape_.form == GemmForm::depths_ahead;
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
    if (is_packed()) {
      a_step_ = b_.i64(size_.rows * bytes_);
      return;
    }
    a_row_bytes_ = shape_.form == GemmForm::rows
                       ? b_.i64(bytes_)
                       : b_.times(b_.integer(offsetof(Fields, a_row_stride)), bytes_);
    a_step_ = b_.times(b_.integer(offsetof(Fields, a_k_stride)), bytes_);
    runs_ = b_.integer(offsetof(Fields, runs));
    runs_ = b_.ir.CreateSelect(b_.ir.CreateICmpSGT(k_, b_.i64(0)), runs_, b_.i64(0));
    a_run_bytes_ = b_.times(b_.integer(offsetof(Fields, a_run_stride)), bytes_);
    b_run_bytes_ = b_.times(b_.integer(offsetof(Fields, b_run_stride)), bytes_);
    ahead_ = b_.pointer(offsetof(Fields, ahead));
  }

  llvm::Type* scalar() const { return shape_.operands == float64 ? b_.ir.getDoubleTy() : b_.ir.getFloatTy(); }
  llvm::Type* vector() const { return VectorBuilder::widen(scalar(), size_.lanes); }
  Value* c_row(int row) { return b_.offset_bytes(c_, b_.ir.CreateMul(b_.i64(row), c_row_bytes_)); }

  /// How far ahead panels are fetched.
  static constexpr int64_t prefetched_depths = 16;

  /// Rows of a are reached in threes from one pointer, as an address may hold a stride once or twice.
  static constexpr int rows_a_pointer = 3;

  /// Depths that follow each other within the loop over them: between multiply-adds there is then little but
  /// loads. It is what another thread on the same core leaves room for.
  static constexpr int unrolled_shift = 2;
  static constexpr int unrolled_depths = 1 << unrolled_shift;

  /// The sums, where b is, and from where rows of a are reached.
  struct State {
    VectorBuilder::Carried values;
    size_t b = 0;
    size_t pointers = 0;  ///< the first of them
    int pointer_count = 0;
  };

  void emit_rows(int rows, bool masked) {
    const int vectors = vectors_;
    for (int row = 0; row < rows; ++row) {
      for (int v = 0; v < vectors; ++v) {
        b_.prefetch(b_.offset_bytes(c_row(row), int64_t{v} * size_.lanes * bytes_));
      }
    }
    Tails tails(static_cast<size_t>(vectors));
    for (int v = vectors / 2; v < vectors && masked; ++v) tails[static_cast<size_t>(v)] = columns_tail(v);

    State state;
    for (int i = 0; i < rows * vectors; ++i) state.values.push_back(b_.zero(vector()));
    const bool one_pointer = is_packed() || shape_.form == GemmForm::rows;
    state.b = state.values.size();
    state.values.push_back(b_start_);
    state.pointers = state.values.size();
    state.pointer_count = one_pointer ? 1 : (rows + rows_a_pointer - 1) / rows_a_pointer;
    for (int i = 0; i < state.pointer_count; ++i) {
      state.values.push_back(
          i == 0 ? a_ : b_.offset_bytes(a_, b_.ir.CreateMul(b_.i64(i * rows_a_pointer), a_row_bytes_)));
    }
    if (is_packed()) {
      emit_depths(state, rows, tails);
    } else {
      // Pointers begin anew with each run.
      state.values = b_.loop(
          b_.i64(0), runs_, 1, state.values,
          [&](Value*, const VectorBuilder::Carried& values) {
            State run = state;
            run.values = values;
            emit_unrolled_depths(run, rows, tails);
            for (size_t i = state.b; i < values.size(); ++i) run.values[i] = values[i];
            advance(run, a_run_bytes_);
            Value*& b = run.values[run.b];
            b = b_.offset_bytes(b, b_run_bytes_);
            return run.values;
          },
          "runs");
    }
    store(rows, state.values);
  }

  void emit_depths(State& state, int rows, const Tails& tails) {
    state.values = b_.loop(
        b_.i64(0), k_, 1, state.values,
        [&](Value*, const VectorBuilder::Carried& values) {
          State next = state;
          next.values = values;
          emit_depth(next, 0, rows, tails);
          advance(next, a_step_);
          return next.values;
        },
        "depth");
  }

  /// All depths of a run, of which there is one at least. After each it may end, so that all are in blocks of
  /// their own: in one block, LLVM would load what later depths need before the first is done, and lack
  /// registers. Only the sums are of use afterwards.
  void emit_unrolled_depths(State& state, int rows, const Tails& tails) {
    llvm::BasicBlock* before = b_.ir.GetInsertBlock();
    llvm::BasicBlock* again = b_.block("depths");
    llvm::BasicBlock* done = b_.block("depths_done");
    b_.ir.CreateBr(again);

    b_.ir.SetInsertPoint(again);
    llvm::PHINode* left = b_.ir.CreatePHI(k_->getType(), 2, "left");
    left->addIncoming(k_, before);
    State next = state;
    for (Value*& value : next.values) {
      llvm::PHINode* phi = b_.ir.CreatePHI(value->getType(), 2);
      phi->addIncoming(value, before);
      value = phi;
    }
    const VectorBuilder::Carried carried = next.values;
    llvm::SmallVector<llvm::PHINode*, 32> sums;
    {
      const llvm::IRBuilderBase::InsertPointGuard guard(b_.ir);
      b_.ir.SetInsertPoint(done);
      for (int i = 0; i < rows * vectors_; ++i) sums.push_back(b_.ir.CreatePHI(vector(), unrolled_depths));
    }
    const auto end_if = [&](Value* is_last, llvm::BasicBlock* otherwise) {
      for (size_t i = 0; i < sums.size(); ++i) sums[i]->addIncoming(next.values[i], b_.ir.GetInsertBlock());
      b_.ir.CreateCondBr(is_last, done, otherwise);
    };
    if (shape_.form == GemmForm::depths_ahead) fetch_ahead(b_.ir.CreateSub(k_, left), rows);
    for (int i = 0; i < unrolled_depths; ++i) {
      emit_depth(next, i, rows, tails);
      if (shape_.form == GemmForm::rows || shape_.form == GemmForm::strided) advance(next, a_step_);
      if (i + 1 == unrolled_depths) break;
      llvm::BasicBlock* following = b_.block("depths");
      end_if(b_.ir.CreateICmpEQ(left, b_.i64(i + 1)), following);
      b_.ir.SetInsertPoint(following);
    }
    if (depths_follow()) advance(next, b_.i64(unrolled_depths * bytes_));
    Value* rest = b_.ir.CreateSub(left, b_.i64(unrolled_depths));
    left->addIncoming(rest, b_.ir.GetInsertBlock());
    for (size_t i = 0; i < carried.size(); ++i) {
      llvm::cast<llvm::PHINode>(carried[i])->addIncoming(next.values[i], b_.ir.GetInsertBlock());
    }
    end_if(b_.ir.CreateICmpEQ(rest, b_.i64(0)), again);
    b_.ir.SetInsertPoint(done);
    std::copy(sums.begin(), sums.end(), state.values.begin());
  }

  /// The products at a depth: where depths of a follow each other, the one so many behind where its pointers
  /// are.
  void emit_depth(State& state, int behind, int rows, const Tails& tails) {
    const int vectors = vectors_;
    Value*& b = state.values[state.b];
    if (is_packed()) {
      // Panels are streams, but the hardware's prefetching ends with each page.
      for (int v = 0; v < vectors; ++v) {
        b_.prefetch_read(b_.offset_bytes(b, (prefetched_depths * vectors + v) * size_.lanes * bytes_));
      }
      b_.prefetch_read(
          b_.offset_bytes(state.values[state.pointers], prefetched_depths * size_.rows * bytes_));
    }
    Values columns;
    for (int v = 0; v < vectors; ++v) {
      const Tail& tail = tails[static_cast<size_t>(v)];
      columns.push_back(b_.load_raw(scalar(), b_.offset_bytes(b, int64_t{v} * size_.lanes * bytes_),
                                    size_.lanes, tail.mask != nullptr ? &tail : nullptr));
    }
    for (int row = 0; row < rows; ++row) {
      Value* x = b_.broadcast(scalar(), a_element(state, row, behind), size_.lanes);
      for (int v = 0; v < vectors; ++v) {
        Value*& sum =
            state.values[static_cast<size_t>(row) * static_cast<size_t>(vectors) + static_cast<size_t>(v)];
        sum = multiply_add(x, columns[static_cast<size_t>(v)], sum);
      }
    }
    b = b_.offset_bytes(b, b_step_);
  }

  void advance(State& state, Value* bytes) {
    for (int i = 0; i < state.pointer_count; ++i) {
      Value*& a = state.values[state.pointers + static_cast<size_t>(i)];
      a = b_.offset_bytes(a, bytes);
    }
  }
  Value* a_element(const State& state, int row, int behind) {
    if (is_packed() || shape_.form == GemmForm::rows) {
      return b_.offset_bytes(state.values[state.pointers], int64_t{row} * bytes_);
    }
    Value* base = state.values[state.pointers + static_cast<size_t>(row / rows_a_pointer)];
    const int rest = row % rows_a_pointer;
    if (rest > 0) base = b_.offset_bytes(base, b_.times(a_row_bytes_, rest));
    return depths_follow() ? b_.offset_bytes(base, int64_t{behind} * bytes_) : base;
  }

  /// Some lines of rows further down with each few depths, so that all of them have been asked for when a
  /// line is used up.
  void fetch_ahead(Value* depth, int rows) {
    const int64_t line = 64 / bytes_;
    const int64_t times = line / unrolled_depths;
    const int64_t rows_at_once = (rows + times - 1) / times;
    Value* turn = b_.ir.CreateAnd(b_.ir.CreateLShr(depth, b_.i64(unrolled_shift)), b_.i64(times - 1));
    Value* along = b_.times(b_.ir.CreateAnd(depth, b_.i64(-line)), bytes_);
    Value* first = b_.offset_bytes(
        b_.offset_bytes(ahead_, b_.ir.CreateMul(b_.ir.CreateMul(turn, b_.i64(rows_at_once)), a_row_bytes_)),
        along);
    for (int64_t row = 0; row < rows_at_once; ++row) {
      b_.VectorBuilder::prefetch(b_.offset_bytes(first, b_.times(a_row_bytes_, row)), 2);
    }
  }

  Value* multiply_add(Value* a, Value* b, Value* sum) {
    if (shape_.operands != bfloat16) return b_.fma(a, b, sum);
    return b_.add_pair_products(a, b, sum, size_.lanes);
  }

  /// The columns of a vector that are there. Mask registers are filled from an integer, which takes no vector
  /// register.
  Tail columns_tail(int vector) {
    Value* count = b_.ir.CreateSub(columns_, b_.i64(int64_t{vector} * size_.lanes));
    count = b_.intrinsic(llvm::Intrinsic::smin, {count, b_.i64(size_.lanes)});
    count = b_.intrinsic(llvm::Intrinsic::smax, {count, b_.i64(0)});
    if (!b_.target().masks) return b_.tail(count, size_.lanes);
    Value* bits = b_.ir.CreateSub(b_.ir.CreateShl(b_.i64(1), count), b_.i64(1));
    llvm::Type* mask = VectorBuilder::widen(b_.ir.getInt1Ty(), size_.lanes);
    bits = b_.ir.CreateTrunc(bits, b_.ir.getIntNTy(static_cast<unsigned>(size_.lanes)));
    return {count, b_.ir.CreateBitCast(bits, mask)};
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
    Tails tails;
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
          Value* sum = sums[static_cast<size_t>(row) * static_cast<size_t>(vectors) + static_cast<size_t>(v)];
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
  Value* a_run_bytes_ = nullptr;
  Value* b_run_bytes_ = nullptr;
  Value* ahead_ = nullptr;
  Value* a_step_ = nullptr;
};

}  // namespace

bool generates_for(const Target& target) {
  return target.triple.starts_with("x86_64") && target.vector_bits >= 256 && target.fma;
}

TileSize tile_size(const Target& target, Dtype operands, bool wide) {
  // As many rows as leave registers for the columns of b and one broadcast element of a.
  constexpr int fewest_registers = 32;
  TileSize size;
  size.column_vectors = wide && target.vector_registers >= fewest_registers ? 4 : 2;
  size.lanes = target.vector_bits / (operands == float64 ? 64 : 32);
  size.rows = (target.vector_registers - size.column_vectors - 1) / size.column_vectors;
  return size;
}

std::string gemm_key(const GemmShape& shape) {
  constexpr std::array<std::string_view, gemm_forms> forms{"strided", "depths", "depths, ahead", "rows",
                                                           "panels"};
  return "template gemm " + std::string(dtype_name(shape.operands)) + (shape.wide ? " wide " : " ") +
         std::string(forms[static_cast<size_t>(shape.form)]);
}

void build_gemm(llvm::Module& module, const Target& target, const GemmShape& shape) {
  GemmEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
