// Generated tiles of convolutions whose taps share what they load. A row of a is the elements under one tap
// of one place, and those under the tap before of the next place. With two vectors of columns, three taps and
// twelve places there are 20 loads for 72 multiply-adds, where a tile of 6 by 4 of a product takes 30.

#include <cstddef>
#include <string>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_tile.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace lazuli::templates {

namespace {

/// T is float or double; both have the same layout but for their pointers' targets.
using Fields = TapTile<float>;

class TapTileEmitter : private TileEmitter {
 public:
  TapTileEmitter(llvm::Module& module, const Target& target, const TapShape& shape)
      : TileEmitter(module, target, shape.operands, tap_tile_size(target, shape).lanes),
        size_(tap_tile_size(target, shape)),
        taps_(static_cast<int>(shape.form.taps)),
        step_(static_cast<int>(shape.form.step)) {}

  /// As many vectors wide as there are columns.
  void emit() {
    load_arguments();
    for (int vectors = size_.column_vectors; vectors > 1; --vectors) {
      llvm::BasicBlock* wide = b_.block("wide");
      llvm::BasicBlock* narrower = b_.block("narrower");
      b_.ir.CreateCondBr(b_.ir.CreateICmpSLE(columns_, b_.i64((vectors - 1) * lanes_)), narrower, wide);
      b_.ir.SetInsertPoint(wide);
      emit_all_rows(vectors);
      b_.ir.CreateRetVoid();
      b_.ir.SetInsertPoint(narrower);
    }
    emit_all_rows(1);
    b_.ir.CreateRetVoid();
  }

 private:
  void load_arguments() {
    k_ = b_.integer(offsetof(Fields, k));
    a_ = b_.pointer(offsetof(Fields, a));
    a_row_bytes_ = b_.times(b_.integer(offsetof(Fields, a_row_stride)), bytes_);
    runs_ = b_.integer(offsetof(Fields, runs));
    runs_ = b_.ir.CreateSelect(b_.ir.CreateICmpSGT(k_, b_.i64(0)), runs_, b_.i64(0));
    a_run_bytes_ = b_.times(b_.integer(offsetof(Fields, a_run_stride)), bytes_);
    weights_ = b_.pointer(offsetof(Fields, b));
    c_ = b_.pointer(offsetof(Fields, c));
    c_row_bytes_ = b_.times(b_.integer(offsetof(Fields, c_row_stride)), bytes_);
    columns_ = b_.integer(offsetof(Fields, columns));
    accumulate_ = b_.ir.CreateICmpNE(b_.integer(offsetof(Fields, accumulate)), b_.i64(0));
    missing_before_ = b_.integer(offsetof(Fields, missing_before));
    missing_after_ = b_.integer(offsetof(Fields, missing_after));
    zeros_ = b_.pointer(offsetof(Fields, zeros));
  }

  /// A body for each number of rows, behind a switch.
  void emit_all_rows(int vectors) {
    vectors_ = vectors;
    Value* rows = b_.integer(offsetof(Fields, rows));
    llvm::BasicBlock* full = b_.block("rows");
    llvm::BasicBlock* done = b_.block("rows_done");
    llvm::SwitchInst* choice = b_.ir.CreateSwitch(rows, full, static_cast<unsigned>(size_.rows));
    for (int count = size_.rows; count > 0; --count) {
      llvm::BasicBlock* body = count == size_.rows ? full : b_.block("rows");
      if (count != size_.rows) choice->addCase(b_.i64(count), body);
      b_.ir.SetInsertPoint(body);
      emit_rows(count);
      b_.ir.CreateBr(done);
    }
    b_.ir.SetInsertPoint(done);
  }

  /// Rows of a that may be missing at either end have pointers of their own, with the bytes to the next run;
  /// others are reached in threes from one pointer, as an address may hold a stride once or twice.
  static constexpr int rows_a_pointer = 3;
  struct Pointer {
    Value* start = nullptr;
    Value* run_bytes = nullptr;
  };
  int ends() const { return taps_ / 2; }
  int elements(int rows) const { return (rows - 1) * step_ + taps_; }
  /// The place of a row's (or a tap's) vector among those of all.
  size_t vector_of(int row, int vector) const {
    return static_cast<size_t>(row) * static_cast<size_t>(vectors_) + static_cast<size_t>(vector);
  }
  bool is_end(int row, int rows) const { return row < ends() || row >= elements(rows) - ends(); }

  llvm::SmallVector<Pointer, 16> pointers(int rows) {
    llvm::SmallVector<Pointer, 16> result;
    for (int row = 0; row < elements(rows); ++row) {
      Value* at = b_.offset_bytes(a_, b_.times(a_row_bytes_, row));
      if (!is_end(row, rows)) {
        if ((row - ends()) % rows_a_pointer == 0) result.push_back({at, a_run_bytes_});
        continue;
      }
      Value* is_missing = row < ends()
                              ? b_.ir.CreateICmpSGT(missing_before_, b_.i64(row))
                              : b_.ir.CreateICmpSGT(missing_after_, b_.i64(elements(rows) - 1 - row));
      result.push_back({b_.ir.CreateSelect(is_missing, zeros_, at),
                        b_.ir.CreateSelect(is_missing, b_.i64(0), a_run_bytes_)});
    }
    return result;
  }
  /// The address of a row's element, the depth's so many behind where the pointers are.
  Value* element(const Carried& values, int row, int rows, int behind) {
    const auto number = [&](int pointer) {
      return values[first_pointer(rows) + static_cast<size_t>(pointer)];
    };
    const int middle = elements(rows) - 2 * ends();
    const int middle_pointers = (middle + rows_a_pointer - 1) / rows_a_pointer;
    Value* address = nullptr;
    if (row < ends()) {
      address = number(row);
    } else if (is_end(row, rows)) {
      address = number(row - middle + middle_pointers);
    } else {
      const int at = row - ends();
      address = number(ends() + at / rows_a_pointer);
      if (at % rows_a_pointer > 0)
        address = b_.offset_bytes(address, b_.times(a_row_bytes_, at % rows_a_pointer));
    }
    return b_.offset_bytes(address, int64_t{behind} * bytes_);
  }

  /// Values are the sums, where the weights are, and the pointers.
  size_t sum_count(int rows) const { return static_cast<size_t>(rows) * static_cast<size_t>(vectors_); }
  size_t first_pointer(int rows) const { return sum_count(rows) + 1; }

  void emit_rows(int rows) {
    prefetch_results(rows, vectors_);
    Carried values;
    for (size_t i = 0; i < sum_count(rows); ++i) values.push_back(b_.zero(vector()));
    values.push_back(weights_);
    const llvm::SmallVector<Pointer, 16> starts = pointers(rows);
    for (const Pointer& pointer : starts) values.push_back(pointer.start);
    const int64_t weight_bytes = int64_t{taps_} * size_.columns() * bytes_;
    values = b_.loop(
        b_.i64(0), runs_, 1, values,
        [&](Value*, const Carried& before) {
          Carried run = before;
          emit_unrolled_depths(k_, run, sum_count(rows), [&](Carried& at, int i, Value*) {
            emit_depth(at, rows, i);
            if (i + 1 < unrolled_depths) return;
            Value*& weights = at[sum_count(rows)];
            weights = b_.offset_bytes(weights, unrolled_depths * weight_bytes);
            for (size_t p = first_pointer(rows); p < at.size(); ++p)
              at[p] = b_.offset_bytes(at[p], unrolled_depths * bytes_);
          });
          // Pointers begin anew with each run.
          run[sum_count(rows)] = b_.offset_bytes(before[sum_count(rows)], b_.times(k_, weight_bytes));
          for (size_t p = 0; p < starts.size(); ++p) {
            const size_t at = first_pointer(rows) + p;
            run[at] = b_.offset_bytes(before[at], starts[p].run_bytes);
          }
          return run;
        },
        "runs");
    store(rows, vectors_, values);
  }

  void emit_depth(Carried& values, int rows, int behind) {
    Value* const weights = values[sum_count(rows)];
    const int64_t vector_bytes = int64_t{lanes_} * bytes_;
    llvm::SmallVector<Value*, 16> columns;
    for (int tap = 0; tap < taps_; ++tap) {
      for (int v = 0; v < vectors_; ++v) {
        const int64_t number = int64_t{behind * taps_ + tap} * size_.column_vectors + v;
        columns.push_back(b_.load_raw(scalar(), b_.offset_bytes(weights, number * vector_bytes), lanes_));
      }
    }
    for (int element_row = 0; element_row < elements(rows); ++element_row) {
      Value* x = b_.broadcast(scalar(), element(values, element_row, rows, behind), lanes_);
      for (int tap = 0; tap < taps_; ++tap) {
        const int row = (element_row - tap) / step_;
        if (element_row < tap || (element_row - tap) % step_ != 0 || row >= rows) continue;
        for (int v = 0; v < vectors_; ++v) {
          Value*& sum = values[vector_of(row, v)];
          sum = b_.fma(x, columns[vector_of(tap, v)], sum);
        }
      }
    }
  }

  TileSize size_;
  int taps_;
  int step_;

  Value* weights_ = nullptr;
  Value* missing_before_ = nullptr;
  Value* missing_after_ = nullptr;
  Value* zeros_ = nullptr;
};

}  // namespace

bool generates_tap_tile(const Target& target, const TapForm& form) {
  // In steps of 2 and two vectors wide, elements are used so seldom that LLVM loads too many of them ahead.
  const bool fits = form.step == 1 || (form.step == most_tap_steps && form.vectors == most_tap_vectors);
  return generates_for(target) && target.masks && target.vector_registers >= 32 && fits &&
         form.taps > form.step && form.taps <= most_shared_taps;
}

TileSize tap_tile_size(const Target& target, const TapShape& shape) {
  const int vectors = static_cast<int>(shape.form.vectors);
  TileSize size;
  size.column_vectors = vectors;
  size.lanes = target.vector_bits / (shape.operands == float64 ? 64 : 32);
  size.rows = (target.vector_registers - 1 - static_cast<int>(shape.form.taps) * vectors) / vectors;
  return size;
}

std::string tap_tile_key(const TapShape& shape) {
  std::string key = "template taps " + std::string(dtype_name(shape.operands));
  for (const int64_t number : {shape.form.taps, shape.form.step, shape.form.vectors}) {
    key += " " + std::to_string(number);
  }
  return key;
}

void build_tap_tile(llvm::Module& module, const Target& target, const TapShape& shape) {
  TapTileEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
