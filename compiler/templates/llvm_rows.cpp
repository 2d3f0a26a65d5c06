// Generated kernels for products with few rows: dot products with rows of weights, and sums of rows.

#include <algorithm>
#include <cstddef>
#include <string>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_support.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 16>;

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
  Value* scaled(size_t offset, int64_t element_bytes) { return b_.times(b_.integer(offset), element_bytes); }

  mutable TemplateBuilder b_;
  RowsShape shape_;
  Dtype computed_;
  int64_t bytes_;
  int64_t w_bytes_;
  int lanes_;
};

class DotEmitter : public RowsEmitter {
 public:
  using RowsEmitter::RowsEmitter;
  using Fields = DotRows<float>;

  void emit() {
    k_ = b_.integer(offsetof(Fields, k));
    x_ = b_.pointer(offsetof(Fields, x));
    x_row_bytes_ = scaled(offsetof(Fields, x_row_stride), bytes_);
    w_ = b_.pointer(offsetof(Fields, w));
    w_row_bytes_ = scaled(offsetof(Fields, w_row_stride), w_bytes_);
    out_ = b_.pointer(offsetof(Fields, out));
    out_x_bytes_ = scaled(offsetof(Fields, out_x_stride), bytes_);
    out_w_bytes_ = scaled(offsetof(Fields, out_w_stride), bytes_);
    Value* w_rows = b_.integer(offsetof(Fields, w_rows));
    // Each element of x and w that is loaded is used by as many products as registers allow.
    const int registers = b_.target().vector_registers;
    const int most = registers / 2 + registers / 8;
    int block = 1;
    while (block < 4 && 2 * block * shape_.x_rows <= most) block *= 2;
    chains_ = 1;
    while (chains_ < 4 && 2 * chains_ * block * shape_.x_rows <= std::min(most, 16)) chains_ *= 2;
    Value* blocks = b_.ir.CreateAnd(w_rows, b_.i64(-block));
    b_.loop(
        b_.i64(0), blocks, block, [&](Value* first) { emit_block(first, block); }, "block");
    if (block > 1)
      b_.loop(
          blocks, w_rows, 1, [&](Value* first) { emit_block(first, 1); }, "single");
    b_.ir.CreateRetVoid();
  }

 private:
  void emit_block(Value* first, int block) {
    Values w;
    Values x;
    for (int j = 0; j < block; ++j) {
      w.push_back(b_.offset_bytes(w_, b_.ir.CreateMul(b_.ir.CreateAdd(first, b_.i64(j)), w_row_bytes_)));
    }
    for (int r = 0; r < shape_.x_rows; ++r) {
      x.push_back(b_.offset_bytes(x_, b_.ir.CreateMul(b_.i64(r), x_row_bytes_)));
    }
    const int products = shape_.x_rows * block;
    VectorBuilder::Carried sums;
    for (int i = 0; i < products * chains_; ++i) sums.push_back(b_.zero(vector()));
    const int64_t step = int64_t{lanes_} * chains_;
    Value* many = b_.ir.CreateAnd(k_, b_.i64(-step));
    sums = b_.loop(
        b_.i64(0), many, step, sums,
        [&](Value* p, VectorBuilder::Carried values) {
          for (int chain = 0; chain < chains_; ++chain) {
            Value* at = b_.ir.CreateAdd(p, b_.i64(int64_t{chain} * lanes_));
            multiply(w, x, at, nullptr, values, chain * products);
          }
          return values;
        },
        "depths");
    VectorBuilder::Carried totals;
    for (int i = 0; i < products; ++i) {
      Value* total = sums[i];
      for (int chain = 1; chain < chains_; ++chain) {
        total = b_.ir.CreateFAdd(total, sums[static_cast<size_t>(chain * products + i)]);
      }
      totals.push_back(total);
    }
    // The rest of the depths: whole vectors, then a masked one.
    Value* whole = b_.ir.CreateAnd(k_, b_.i64(-int64_t{lanes_}));
    if (chains_ > 1) {
      totals = b_.loop(
          many, whole, lanes_, totals,
          [&](Value* p, VectorBuilder::Carried values) {
            multiply(w, x, p, nullptr, values, 0);
            return values;
          },
          "vectors");
    }
    totals = b_.loop(
        whole, k_, lanes_, totals,
        [&](Value* p, VectorBuilder::Carried values) {
          const Tail tail = b_.tail(b_.ir.CreateSub(k_, p), lanes_);
          multiply(w, x, p, &tail, values, 0);
          return values;
        },
        "tail");
    for (int r = 0; r < shape_.x_rows; ++r) {
      for (int j = 0; j < block; ++j) {
        Value* sum = b_.reduce_lanes(totals[static_cast<size_t>(r * block + j)],
                                     [&](Value* a, Value* c) { return b_.ir.CreateFAdd(a, c); });
        Value* place = b_.offset_bytes(out_, b_.ir.CreateMul(b_.i64(r), out_x_bytes_));
        place = b_.offset_bytes(place, b_.ir.CreateMul(b_.ir.CreateAdd(first, b_.i64(j)), out_w_bytes_));
        b_.store_raw(sum, place);
      }
    }
  }

  /// Adds the products at depths [at, at + lanes) to sums [first, ...).
  void multiply(const Values& w, const Values& x, Value* at, const Tail* tail, VectorBuilder::Carried& sums,
                int first) {
    Values weights;
    for (Value* row : w)
      weights.push_back(b_.load(shape_.weights, b_.element(row, at, w_bytes_), lanes_, tail));
    for (size_t r = 0; r < x.size(); ++r) {
      Value* activations = b_.load(computed_, b_.element(x[r], at, bytes_), lanes_, tail);
      for (size_t j = 0; j < w.size(); ++j) {
        Value*& sum = sums[static_cast<size_t>(first) + r * w.size() + j];
        sum = b_.fma(activations, weights[j], sum);
      }
    }
  }

  int chains_ = 1;
  Value* k_ = nullptr;
  Value* x_ = nullptr;
  Value* x_row_bytes_ = nullptr;
  Value* w_ = nullptr;
  Value* w_row_bytes_ = nullptr;
  Value* out_ = nullptr;
  Value* out_x_bytes_ = nullptr;
  Value* out_w_bytes_ = nullptr;
};

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
    Value* k = b_.integer(offsetof(Fields, k));
    // Rows of w taken together: their factors, one for each row of x, stay in registers.
    const int registers = b_.target().vector_registers;
    const int block = std::clamp((registers - 6) / shape_.x_rows, 1, 4) == 3
                          ? 2
                          : std::clamp((registers - 6) / shape_.x_rows, 1, 4);
    Value* blocks = b_.ir.CreateAnd(k, b_.i64(-block));
    b_.loop(
        b_.i64(0), blocks, block, [&](Value* first) { emit_block(first, block); }, "block");
    if (block > 1)
      b_.loop(
          blocks, k, 1, [&](Value* first) { emit_block(first, 1); }, "single");
    b_.ir.CreateRetVoid();
  }

 private:
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
  Value* w_ = nullptr;
  Value* w_row_bytes_ = nullptr;
  Value* columns_ = nullptr;
  Value* y_ = nullptr;
  Value* y_row_bytes_ = nullptr;
};

std::string rows_key(const char* kind, const RowsShape& shape) {
  return "template " + std::string(kind) + ' ' + std::string(dtype_name(shape.weights)) + " rows " +
         std::to_string(shape.x_rows);
}

}  // namespace

std::string dot_rows_key(const RowsShape& shape) {
  return rows_key("dot_rows", shape);
}
void build_dot_rows(llvm::Module& module, const Target& target, const RowsShape& shape) {
  DotEmitter(module, target, shape).emit();
}

std::string axpy_rows_key(const RowsShape& shape) {
  return rows_key("axpy_rows", shape);
}
void build_axpy_rows(llvm::Module& module, const Target& target, const RowsShape& shape) {
  AxpyEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
