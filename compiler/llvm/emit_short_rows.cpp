#include <algorithm>

#include <llvm/IR/Intrinsics.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using kir::Instruction;
using kir::Opcode;
using kir::ValueId;
using llvm::Value;

// Reductions of short rows, each of which would spend more time putting its lanes together than reading. As
// many rows as a vector has lanes are reduced at once, a vector for each, and halves of those are combined
// two rows at a time until one vector holds a result for each row. Lanes meet in the same order as in a row
// by itself, so that a row's result does not depend on how rows fall to threads.

namespace {

/// Instructions of a block at each element up to which this pays.
constexpr int little_work = 4;

/// How far ahead rows are asked for, a line of every so many rows: that gets the processor's own prefetchers
/// past the ends of pages, which they do not cross. (Every line, or every other one, is no faster than none,
/// but for processors that fetch late: there nothing less does, and lines are asked for twice.)
constexpr int64_t bytes_ahead = 8 << 10;
constexpr size_t rows_a_prefetch = 4;

}  // namespace

bool KernelEmitter::takes_short_rows_together() const {
  if (schedule_.form != Schedule::Form::rows || schedule_.outer_dims.empty() || schedule_.by_parity)
    return false;
  if (schedule_.loops.size() != 1 || schedule_.lanes < 4 || options_.streaming) return false;
  const Block& rows = kernel_.blocks[0];
  if (!rows.per_element || work_of(rows) > little_work) return false;
  for (size_t n = 1; n < kernel_.blocks.size(); ++n) {
    if (kernel_.blocks[n].per_element) return false;
  }
  for (const kir::Access& access : kernel_.accesses) {
    const bool plain = access.kind == kir::Access::Kind::input || access.kind == kir::Access::Kind::output;
    if (!plain || access.dynamic_indices > 0 || access.dtype == complex64) return false;
  }
  bool reduces = false;
  for (ValueId id = rows.begin; id < rows.end; ++id) {
    const Opcode op = kernel_.instructions[id].op;
    if (is_store(op) || op == Opcode::reduce_argmin || op == Opcode::reduce_argmax) return false;
    if (is_reduce(op) && kernel_.instructions[id].type == bool_) return false;
    reduces = reduces || is_reduce(op);
  }
  return reduces;
}

/// Walks the outer points, as many at once as a vector has lanes where their rows are short.
void KernelEmitter::emit_short_rows_outer() {
  llvm::IRBuilder<>& ir = b_.ir;
  const int dim = schedule_.outer_dims.back();
  const int lanes = schedule_.lanes;
  Value* begin = b_.function().getArg(2);
  Value* end = b_.function().getArg(3);
  const std::vector<Value*> saved = pointers_;
  Value* longest = b_.i64(int64_t{lanes} * schedule_.unroll[0]);
  Value* are_short = ir.CreateICmpSLT(extents_[schedule_.vector_dim], longest);
  // Rows at once, in runs along the innermost outer dimension.
  llvm::BasicBlock* before = ir.GetInsertBlock();
  llvm::BasicBlock* head = b_.block("rows");
  llvm::BasicBlock* after = b_.block("done");
  ir.CreateCondBr(ir.CreateICmpSLT(begin, end), head, after);

  ir.SetInsertPoint(head);
  llvm::PHINode* point = ir.CreatePHI(ir.getInt64Ty(), 2, "row");
  point->addIncoming(begin, before);
  use_odometer(start_odometer(point));
  Value* first = index_[dim];
  Value* left =
      b_.intrinsic(llvm::Intrinsic::smin, {ir.CreateSub(extents_[dim], first), ir.CreateSub(end, point)});
  Value* together = ir.CreateSelect(are_short, ir.CreateAnd(left, b_.i64(-lanes)), b_.i64(0));
  b_.loop(
      b_.i64(0), together, lanes,
      [&](Value* row) {
        at_position(dim, row, [&] {
          index_[dim] = ir.CreateAdd(first, row);
          emit_short_rows();
          return Carried();
        });
      },
      "together");
  b_.loop(
      together, left, 1,
      [&](Value* row) {
        at_position(dim, row, [&] {
          index_[dim] = ir.CreateAdd(first, row);
          emit_point();
          return Carried();
        });
      },
      "alone");
  Value* next = ir.CreateAdd(point, left);
  point->addIncoming(next, ir.GetInsertBlock());
  ir.CreateCondBr(ir.CreateICmpSLT(next, end), head, after);
  ir.SetInsertPoint(after);
  pointers_ = saved;
}

/// As many rows as lanes, from the current point on.
void KernelEmitter::emit_short_rows() {
  const int dim = schedule_.outer_dims.back();
  const auto lanes = static_cast<size_t>(schedule_.lanes);
  const Block& block = kernel_.blocks[0];
  const auto each_row = [&](llvm::function_ref<void(size_t)> body) {
    const std::vector<Value*> pointers = pointers_;
    Value* first = index_[dim];
    for (size_t row = 0; row < lanes; ++row) {
      index_[dim] = b_.ir.CreateAdd(first, b_.i64(static_cast<int64_t>(row)));
      body(row);
      for (size_t a = 0; a < pointers_.size(); ++a) {
        if (strides_[a][dim] != nullptr) pointers_[a] = b_.offset_bytes(pointers_[a], strides_[a][dim]);
      }
    }
    pointers_ = pointers;
    index_[dim] = first;
  };

  width_ = {schedule_.lanes, 1, nullptr};
  const Carried one = initial_accumulators(block, 1);
  width_ = {};
  const size_t reductions = one.size();
  Carried initial;
  for (size_t row = 0; row < lanes; ++row) initial.append(one.begin(), one.end());
  const Carried sums =
      emit_vector_range(b_.i64(0), extents_[schedule_.vector_dim], 1, initial, [&](const Carried& state) {
        Carried next = state;
        each_row([&](size_t row) {
          const Width width = width_;
          width_ = {};
          emit_level(block, 1);
          width_ = width;
          if (target_.bytes_ahead > 0 || row % rows_a_prefetch == 0) fetch_short_rows();
          emit_level(block, schedule_.vector_level);
          const auto own = next.begin() + row * reductions;
          const Carried added = accumulate(block, Carried(own, own + reductions), 1);
          std::copy(added.begin(), added.end(), own);
        });
        return next;
      });

  RowResults results;
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (!is_reduce(kernel_.instructions[id].op)) continue;
    llvm::SmallVector<Value*, 16> vectors;
    for (size_t row = 0; row < lanes; ++row) vectors.push_back(sums[row * reductions + results.size()]);
    results.emplace(id, combine_rows(id, vectors));
  }
  const auto one_by_one = [&] {
    each_row([&](size_t row) {
      for (const auto& [id, vector] : results) set_scalar(id, b_.lane(vector, static_cast<int>(row)));
      for (const Block& each : kernel_.blocks) emit_level(each, 1);
    });
  };
  Value* dense = row_results_are_dense(results);
  if (dense == nullptr) return one_by_one();
  b_.if_then(dense, [&] { store_row_results(results); });
  b_.if_then(b_.ir.CreateNot(dense), one_by_one);
}

/// Asks for what inputs hold some rows on from the step at hand.
void KernelEmitter::fetch_short_rows() {
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    const kir::Access& access = kernel_.accesses[a];
    const bool moves =
        access.strides[static_cast<size_t>(schedule_.outer_dims.back())] != kir::StrideClass::zero;
    const bool along = access.strides[static_cast<size_t>(schedule_.vector_dim)] == kir::StrideClass::unit;
    if (access.kind != kir::Access::Kind::input || !moves || !along) continue;
    const bool late = target_.bytes_ahead > 0;
    ask_for(b_.offset_bytes(pointers_[a], late ? target_.bytes_ahead : bytes_ahead), 1, into_second_cache);
    if (late) ask_for(b_.offset_bytes(pointers_[a], bytes_ahead_from_second_cache), 1, into_first_cache);
  }
}

/// The lanes of each vector put together by a reduction, in one vector: halves meet halves, as where a vector
/// is reduced by itself.
Value* KernelEmitter::combine_rows(ValueId id, llvm::SmallVector<Value*, 16> vectors) {
  const Instruction& instruction = kernel_.instructions[id];
  const int lanes = schedule_.lanes;
  for (int half = lanes / 2; half >= 1; half /= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int first = 0; first < 2 * lanes; first += 2 * half) {
      for (int n = first; n < first + half; ++n) {
        low.push_back(n);
        high.push_back(n + half);
      }
    }
    for (size_t n = 0; n < vectors.size() / 2; ++n) {
      Value* a = b_.ir.CreateShuffleVector(vectors[2 * n], vectors[2 * n + 1], low);
      Value* b = b_.ir.CreateShuffleVector(vectors[2 * n], vectors[2 * n + 1], high);
      vectors[n] = combine(instruction.op, operand_type(instruction), a, b);
    }
    vectors.resize(vectors.size() / 2);
  }
  return vectors[0];
}

/// Whether results follow each other in memory, where all that is left to do is to store them; null where
/// there is more.
Value* KernelEmitter::row_results_are_dense(const RowResults& results) {
  const int dim = schedule_.outer_dims.back();
  Value* dense = b_.ir.getTrue();
  for (size_t n = 1; n < kernel_.blocks.size(); ++n) {
    for (ValueId id = kernel_.blocks[n].begin; id < kernel_.blocks[n].end; ++id) {
      const Instruction& instruction = kernel_.instructions[id];
      if (instruction.op != Opcode::store || !results.contains(instruction.operands[0])) return nullptr;
      Value* stride = strides_[instruction.imm][static_cast<size_t>(dim)];
      if (stride == nullptr) return nullptr;
      const int64_t size = kernel_.accesses[instruction.imm].dtype.size();
      dense = b_.ir.CreateAnd(dense, b_.ir.CreateICmpEQ(stride, b_.i64(size)));
    }
  }
  return dense;
}

void KernelEmitter::store_row_results(const RowResults& results) {
  for (size_t n = 1; n < kernel_.blocks.size(); ++n) {
    for (ValueId id = kernel_.blocks[n].begin; id < kernel_.blocks[n].end; ++id) {
      const Instruction& store = kernel_.instructions[id];
      b_.store(kernel_.accesses[store.imm].dtype, results.at(store.operands[0]), pointers_[store.imm]);
    }
  }
}

}  // namespace lazuli
