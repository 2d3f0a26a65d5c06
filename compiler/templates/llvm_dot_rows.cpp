// Generated kernels for products with few rows: dot products with rows of weights.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/templates/llvm_rows.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 16>;

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
    if (shape_.ahead) ahead_ = b_.pointer(offsetof(Fields, ahead));
    // Each element of x and w that is loaded is used by as many products as registers allow; where those are
    // few, each product has several sums, to hide the latency of a multiply-add.
    int block = 4;
    while (block > 1 && (shape_.x_rows + 1) * block + 1 > b_.target().vector_registers) --block;
    const int products = shape_.x_rows * block;
    chains_ = products >= 8 ? 1 : products >= 4 ? 2 : 4;
    // A step goes over a whole line at least, so that each is asked for once.
    step_vectors_ = std::max<int>(chains_, 64 / static_cast<int>(lanes_ * w_bytes_));
    if (shape_.weights != bfloat16 || shape_.pairs) return emit_rows(w_rows, block);
    llvm::BasicBlock* by_parity = b_.block("by_parity");
    llvm::BasicBlock* in_order = b_.block("in_order");
    Value* elements = b_.times(k_, shape_.x_rows);
    b_.ir.CreateCondBr(b_.ir.CreateICmpSLE(elements, b_.i64(most_copied)), by_parity, in_order);
    b_.ir.SetInsertPoint(by_parity);
    Value* const x = x_;
    Value* const x_row_bytes = x_row_bytes_;
    copy_by_parity();
    by_parity_ = true;
    emit_rows(w_rows, block);
    by_parity_ = false;
    b_.ir.SetInsertPoint(in_order);
    x_ = x;
    x_row_bytes_ = x_row_bytes;
    emit_rows(w_rows, block);
  }

 private:
  /// All rows of w, and the end of the function.
  void emit_rows(Value* w_rows, int block) {
    Value* blocks = b_.ir.CreateSub(w_rows, b_.ir.CreateSRem(w_rows, b_.i64(block)));
    // Long rows are streams, several of which can be read at a time. Short ones are read one after another,
    // as they lie in memory: the hardware would not see that they are one stream.
    if (shape_.ahead) return emit_blocks(blocks, w_rows, block, block);
    llvm::BasicBlock* long_rows = b_.block("long_rows");
    llvm::BasicBlock* short_rows = b_.block("short_rows");
    b_.ir.CreateCondBr(b_.ir.CreateICmpSLE(b_.times(k_, w_bytes_), b_.i64(short_row_bytes)), short_rows,
                       long_rows);
    b_.ir.SetInsertPoint(long_rows);
    emit_blocks(blocks, w_rows, block, block);
    b_.ir.SetInsertPoint(short_rows);
    emit_blocks(blocks, w_rows, block, 1);
  }

  /// x as whole steps of the depths meet it where they take weights by parity: of each two vectors first the
  /// even places, then the odd ones. What is left of the depths stays as it is.
  void copy_by_parity() {
    Value* copy = b_.stack(b_.ir.getFloatTy(), most_copied, 64);
    Value* row_bytes = b_.times(k_, bytes_);
    const int64_t pair = int64_t{lanes_} * 2;
    for (int r = 0; r < shape_.x_rows; ++r) {
      Value* from = b_.offset_bytes(x_, b_.ir.CreateMul(b_.i64(r), x_row_bytes_));
      Value* to = b_.offset_bytes(copy, b_.ir.CreateMul(b_.i64(r), row_bytes));
      b_.loop(
          b_.i64(0), whole_steps(), pair,
          [&](Value* at) {
            Value* both = b_.load(computed_, b_.element(from, at, bytes_), static_cast<int>(pair));
            Value* place = b_.element(to, at, bytes_);
            b_.store(computed_, b_.every_other(both, 0), place);
            b_.store(computed_, b_.every_other(both, 1), b_.offset_bytes(place, lanes_ * bytes_));
          },
          "parity");
      b_.loop(
          whole_steps(), k_, 1,
          [&](Value* at) {
            b_.store(computed_, b_.load(computed_, b_.element(from, at, bytes_), 1),
                     b_.element(to, at, bytes_));
          },
          "rest");
    }
    x_ = copy;
    x_row_bytes_ = row_bytes;
  }

  /// The depths that whole steps go over.
  Value* whole_steps() { return b_.ir.CreateAnd(k_, b_.i64(-int64_t{lanes_} * step_vectors_)); }

  /// Rows of w, so many at once, and the end of the function.
  void emit_blocks(Value* blocks, Value* w_rows, int block, int at_once) {
    b_.loop(
        b_.i64(0), blocks, block, [&](Value* first) { emit_block(first, block, at_once); }, "block");
    if (block > 1)
      b_.loop(
          blocks, w_rows, 1, [&](Value* first) { emit_block(first, 1, 1); }, "single");
    b_.ir.CreateRetVoid();
  }

  /// Rows [first, first + block) of w, so many at once (which divide the block).
  void emit_block(Value* first, int block, int at_once) {
    VectorBuilder::Carried totals(static_cast<size_t>(shape_.x_rows * block));
    for (int j = 0; j < block; j += at_once) {
      const VectorBuilder::Carried some = sum_depths(b_.ir.CreateAdd(first, b_.i64(j)), at_once);
      for (int i = 0; i < shape_.x_rows * at_once; ++i) {
        totals[static_cast<size_t>(i / at_once * block + j + i % at_once)] = some[static_cast<size_t>(i)];
      }
    }
    const auto place = [&](int product) {
      Value* row = b_.offset_bytes(out_, b_.ir.CreateMul(b_.i64(product / block), out_x_bytes_));
      return b_.offset_bytes(row,
                             b_.ir.CreateMul(b_.ir.CreateAdd(first, b_.i64(product % block)), out_w_bytes_));
    };
    if (computed_ == float32 && block == 4) return store_fours(totals, place);
    const auto add = [&](Value* a, Value* c) { return b_.ir.CreateFAdd(a, c); };
    for (int i = 0; i < shape_.x_rows * block; ++i) {
      b_.store_raw(b_.reduce_lanes(totals[static_cast<size_t>(i)], add), place(i));
    }
  }

  /// The products of all rows of x with `block` rows of w, still apart by lanes: [row of x][row of w].
  VectorBuilder::Carried sum_depths(Value* first, int block) {
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
    const int vectors = step_vectors_;
    const int64_t step = int64_t{lanes_} * vectors;
    Value* many = whole_steps();
    sums = b_.loop(
        b_.i64(0), many, step, sums,
        [&](Value* p, VectorBuilder::Carried values) {
          for (int v = 0; v < vectors; v += by_parity_ ? 2 : 1) {
            Value* at = b_.ir.CreateAdd(p, b_.i64(int64_t{v} * lanes_));
            if (by_parity_) {
              multiply_by_parity(w, x, at, values, v % chains_ * products, (v + 1) % chains_ * products);
            } else {
              multiply(w, x, at, nullptr, values, v % chains_ * products);
            }
          }
          fetch_for_depths(first, block, p, step);
          for (Value* row : w)
            fetch_near(b_.offset_bytes(b_.element(row, p, w_bytes_), near_bytes), step * w_bytes_);
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
    if (vectors > 1) {
      totals = b_.loop(
          many, whole, lanes_, totals,
          [&](Value* p, VectorBuilder::Carried values) {
            multiply(w, x, p, nullptr, values, 0);
            fetch_for_depths(first, block, p, lanes_);
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
    return totals;
  }

  void fetch_for_depths(Value* first, int block, Value* depth, int64_t depths) {
    Value* done = b_.ir.CreateAdd(b_.ir.CreateMul(first, k_), b_.times(depth, block));
    fetch_ahead(b_.times(done, w_bytes_), block * depths * w_bytes_);
  }

  /// Stores the sums of the lanes of `totals`, four of which belong to neighbouring rows of w.
  template <typename Place>
  void store_fours(const VectorBuilder::Carried& totals, const Place& place) {
    Values fours;  // of the products 4 i to 4 i + 3
    size_t done = 0;
    for (; lanes_ == 16 && done + 16 <= totals.size(); done += 16) {
      Values all(totals.begin() + static_cast<std::ptrdiff_t>(done),
                 totals.begin() + static_cast<std::ptrdiff_t>(done + 16));
      for (int distance = 1; distance < 16; distance *= 2) {
        Values next;
        for (size_t i = 0; i < all.size(); i += 2) next.push_back(add_halves(all[i], all[i + 1], distance));
        all = next;
      }
      for (int i = 0; i < 16; i += 4) fours.push_back(b_.slice(all[0], i, 4));
    }
    for (; done < totals.size(); done += 4) {
      Value* sums = add_within_parts(&totals[done]);
      for (int count = lanes_; count > 4; count /= 2) {
        sums = b_.ir.CreateFAdd(b_.slice(sums, 0, count / 2), b_.slice(sums, count / 2, count / 2));
      }
      fours.push_back(sums);
    }
    llvm::BasicBlock* together = b_.block("together");
    llvm::BasicBlock* apart = b_.block("apart");
    llvm::BasicBlock* stored = b_.block("stored");
    b_.ir.CreateCondBr(b_.ir.CreateICmpEQ(out_w_bytes_, b_.i64(bytes_)), together, apart);
    b_.ir.SetInsertPoint(together);
    for (size_t i = 0; i < fours.size(); ++i) b_.store_raw(fours[i], place(static_cast<int>(4 * i)));
    b_.ir.CreateBr(stored);
    b_.ir.SetInsertPoint(apart);
    for (size_t i = 0; i < fours.size(); ++i) {
      for (int j = 0; j < 4; ++j) b_.store_raw(b_.lane(fours[i], j), place(static_cast<int>(4 * i) + j));
    }
    b_.ir.CreateBr(stored);
    b_.ir.SetInsertPoint(stored);
  }

  /// Lane l of the result is the sum of lanes l and l ^ distance: of `a` where l has no bit `distance`, else
  /// of `c`. After four such steps lane l has the sum of the lanes of vector l of sixteen. Most are a blend
  /// and one shuffle; blends have more ports.
  Value* add_halves(Value* a, Value* c, int distance) {
    llvm::SmallVector<int, 16> own;
    llvm::SmallVector<int, 16> other;
    for (int l = 0; l < lanes_; ++l) {
      const int from = (l & distance) != 0 ? lanes_ : 0;
      own.push_back(from + l);
      other.push_back(from + (l ^ distance));
    }
    return b_.ir.CreateFAdd(b_.ir.CreateShuffleVector(a, c, own), b_.ir.CreateShuffleVector(a, c, other));
  }

  /// Four float vectors become one, which holds in each 128 bits the sums of those of the four.
  Value* add_within_parts(Value* const* vectors) {
    const auto add_pairs = [&](Value* a, Value* c) {
      llvm::SmallVector<int, 32> even;
      llvm::SmallVector<int, 32> odd;
      for (int part = 0; part < lanes_; part += 4) {
        for (const int from : {part, lanes_ + part}) {
          for (const int i : {0, 2}) {
            even.push_back(from + i);
            odd.push_back(from + i + 1);
          }
        }
      }
      return b_.ir.CreateFAdd(b_.ir.CreateShuffleVector(a, c, even), b_.ir.CreateShuffleVector(a, c, odd));
    };
    return add_pairs(add_pairs(vectors[0], vectors[1]), add_pairs(vectors[2], vectors[3]));
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
        sum = multiply_add(activations, weights[j], sum);
      }
    }
  }

  /// Adds the products at depths [at, at + 2 * lanes): those at even places to sums [even, ...), at odd ones
  /// to sums [odd, ...). A mask or a shift makes a float of each half of a word, where vectors of halves, one
  /// place after the other, would have to be widened first.
  void multiply_by_parity(const Values& w, const Values& x, Value* at, VectorBuilder::Carried& sums, int even,
                          int odd) {
    llvm::SmallVector<std::array<Value*, 2>, 4> weights;
    for (Value* row : w) weights.push_back(b_.load_bfloat16_by_parity(b_.element(row, at, w_bytes_), lanes_));
    for (size_t half = 0; half < 2; ++half) {
      const int first = half == 0 ? even : odd;
      for (size_t r = 0; r < x.size(); ++r) {
        Value* place =
            b_.offset_bytes(b_.element(x[r], at, bytes_), static_cast<int64_t>(half) * lanes_ * bytes_);
        Value* activations = b_.load(computed_, place, lanes_);
        for (size_t j = 0; j < w.size(); ++j) {
          Value*& sum = sums[static_cast<size_t>(first) + r * w.size() + j];
          sum = b_.fma(activations, weights[j][half], sum);
        }
      }
    }
  }

  static constexpr int64_t short_row_bytes = 1024;
  /// Elements of x that are put into another order: so many stay in the first-level cache.
  static constexpr int64_t most_copied = 8192;

  int chains_ = 1;
  int step_vectors_ = 1;    ///< of a row of w in each step
  bool by_parity_ = false;  ///< see `copy_by_parity`
  Value* k_ = nullptr;
  Value* x_ = nullptr;
  Value* x_row_bytes_ = nullptr;
  Value* w_ = nullptr;
  Value* w_row_bytes_ = nullptr;
  Value* out_ = nullptr;
  Value* out_x_bytes_ = nullptr;
  Value* out_w_bytes_ = nullptr;
};

}  // namespace

std::string dot_rows_key(const RowsShape& shape) {
  return rows_key("dot_rows", shape);
}
void build_dot_rows(llvm::Module& module, const Target& target, const RowsShape& shape) {
  DotEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
