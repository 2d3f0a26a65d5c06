// Generated GEMM tiles.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_tile.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 32>;
/// Of a row of b's vectors, masks where one may not be read as a whole.
using Tails = llvm::SmallVector<Tail, 4>;

/// T is float or double; both have the same layout but for their pointers' targets.
using Fields = GemmTile<float>;

class GemmEmitter : private TileEmitter {
 public:
  GemmEmitter(llvm::Module& module, const Target& target, const GemmShape& shape)
      : TileEmitter(module, target, shape.operands, tile_size(target, shape.operands, shape.wide).lanes),
        shape_(shape),
        size_(tile_size(target, shape.operands, shape.wide)) {}

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

  bool distance_is_known() const { return depths_follow() || is_packed(); }
  int64_t a_depth_bytes() const { return is_packed() ? size_.rows * bytes_ : bytes_; }
  int64_t b_depth_bytes() const { return size_.columns() * bytes_; }  ///< of a panel

  void load_arguments() {
    k_ = b_.integer(offsetof(Fields, k));
    a_ = b_.pointer(offsetof(Fields, a));
    b_start_ = b_.pointer(offsetof(Fields, b));
    c_ = b_.pointer(offsetof(Fields, c));
    columns_ = b_.integer(offsetof(Fields, columns));
    accumulate_ = b_.ir.CreateICmpNE(b_.integer(offsetof(Fields, accumulate)), b_.i64(0));
    c_row_bytes_ = b_.times(b_.integer(offsetof(Fields, c_row_stride)), bytes_);
    runs_ = is_packed() ? b_.i64(1) : b_.integer(offsetof(Fields, runs));
    runs_ = b_.ir.CreateSelect(b_.ir.CreateICmpSGT(k_, b_.i64(0)), runs_, b_.i64(0));
    if (is_packed()) return;
    b_step_ = b_.times(b_.integer(offsetof(Fields, b_k_stride)), bytes_);
    a_row_bytes_ = shape_.form == GemmForm::rows
                       ? b_.i64(bytes_)
                       : b_.times(b_.integer(offsetof(Fields, a_row_stride)), bytes_);
    a_step_ = b_.times(b_.integer(offsetof(Fields, a_k_stride)), bytes_);
    a_run_bytes_ = b_.times(b_.integer(offsetof(Fields, a_run_stride)), bytes_);
    b_run_bytes_ = b_.times(b_.integer(offsetof(Fields, b_run_stride)), bytes_);
    ahead_ = b_.pointer(offsetof(Fields, ahead));
  }

  /// How far ahead panels are fetched.
  static constexpr int64_t prefetched_depths = 16;

  /// Rows of a are reached in threes from one pointer, as an address may hold a stride once or twice.
  static constexpr int rows_a_pointer = 3;

  /// The sums, where b is, and from where rows of a are reached.
  struct State {
    VectorBuilder::Carried values;
    size_t b = 0;
    size_t pointers = 0;  ///< the first of them
    int pointer_count = 0;
  };

  void emit_rows(int rows, bool masked) {
    const int vectors = vectors_;
    prefetch_results(rows, vectors);
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
    // Pointers begin anew with each run; panels are one.
    state.values = b_.loop(
        b_.i64(0), runs_, 1, state.values,
        [&](Value*, const VectorBuilder::Carried& values) {
          State run = state;
          run.values = values;
          emit_unrolled_depths(run, rows, tails);
          for (size_t i = state.b; i < values.size(); ++i) run.values[i] = values[i];
          if (is_packed()) return run.values;
          advance(run, a_run_bytes_);
          Value*& b = run.values[run.b];
          b = b_.offset_bytes(b, b_run_bytes_);
          return run.values;
        },
        "runs");
    store(rows, vectors, state.values);
  }

  void emit_unrolled_depths(State& state, int rows, const Tails& tails) {
    const auto sum_count = static_cast<size_t>(rows) * static_cast<size_t>(vectors_);
    TileEmitter::emit_unrolled_depths(k_, state.values, sum_count,
                                      [&](VectorBuilder::Carried& values, int i, Value* left) {
                                        if (shape_.form == GemmForm::depths_ahead && i == 0)
                                          fetch_ahead(b_.ir.CreateSub(k_, left), rows);
                                        State next = state;
                                        next.values = values;
                                        emit_depth(next, i, rows, tails);
                                        advance_depth(next, i);
                                        values = next.values;
                                      });
  }

  /// From one depth to the next. Where it is known how far depths are apart, pointers move once for all that
  /// are unrolled.
  void advance_depth(State& state, int i) {
    Value*& b = state.values[state.b];
    if (!is_packed()) b = b_.offset_bytes(b, b_step_);
    if (!distance_is_known()) return advance(state, a_step_);
    if (i + 1 < unrolled_depths) return;
    advance(state, b_.i64(unrolled_depths * a_depth_bytes()));
    if (is_packed()) b = b_.offset_bytes(b, unrolled_depths * b_depth_bytes());
  }

  /// The products at a depth, the one so many behind where pointers are.
  void emit_depth(State& state, int behind, int rows, const Tails& tails) {
    const int vectors = vectors_;
    Value* b = state.values[state.b];
    if (is_packed()) {
      fetch_panels(state, behind);
      b = b_.offset_bytes(b, behind * b_depth_bytes());
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
  }

  /// Panels are streams, but the hardware's prefetching ends with each page.
  void fetch_panels(const State& state, int behind) {
    constexpr int64_t line = 64;
    for (int v = 0; v < vectors_; ++v) {
      b_.prefetch_read(b_.offset_bytes(state.values[state.b], (prefetched_depths + behind) * b_depth_bytes() +
                                                                  int64_t{v} * size_.lanes * bytes_));
    }
    // Lines of a that begin within this depth.
    const int64_t end = (behind + 1) * a_depth_bytes();
    for (int64_t at = (behind * a_depth_bytes() + line - 1) / line * line; at < end; at += line) {
      b_.prefetch_read(
          b_.offset_bytes(state.values[state.pointers], prefetched_depths * a_depth_bytes() + at));
    }
  }

  void advance(State& state, Value* bytes) {
    for (int i = 0; i < state.pointer_count; ++i) {
      Value*& a = state.values[state.pointers + static_cast<size_t>(i)];
      a = b_.offset_bytes(a, bytes);
    }
  }
  Value* a_element(const State& state, int row, int behind) {
    if (is_packed() || shape_.form == GemmForm::rows) {
      const int64_t depth = is_packed() ? behind * a_depth_bytes() : 0;
      return b_.offset_bytes(state.values[state.pointers], depth + int64_t{row} * bytes_);
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

  GemmShape shape_;
  TileSize size_;

  Value* b_start_ = nullptr;
  Value* b_step_ = nullptr;
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
