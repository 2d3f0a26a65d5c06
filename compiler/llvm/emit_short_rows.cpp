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
          emit_level(block, schedule_.vector_level);
          const auto own = next.begin() + row * reductions;
          const Carried added = accumulate(block, Carried(own, own + reductions), 1);
          std::copy(added.begin(), added.end(), own);
        });
        return next;
      });

  std::vector<std::pair<ValueId, Value*>> results;
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (!is_reduce(kernel_.instructions[id].op)) continue;
    llvm::SmallVector<Value*, 16> vectors;
    for (size_t row = 0; row < lanes; ++row) vectors.push_back(sums[row * reductions + results.size()]);
    results.emplace_back(id, combine_rows(id, vectors));
  }
  if (store_row_results(results)) return;
  each_row([&](size_t row) {
    for (const auto& [id, vector] : results) set_scalar(id, b_.lane(vector, static_cast<int>(row)));
    for (const Block& each : kernel_.blocks) emit_level(each, 1);
  });
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

/// Stores results as vectors where nothing else is left to do and they follow each other. False if not.
bool KernelEmitter::store_row_results(const std::vector<std::pair<ValueId, Value*>>& results) {
  const int dim = schedule_.outer_dims.back();
  const auto result_of = [&](ValueId id) {
    return std::find_if(results.begin(), results.end(),
                        [&](const auto& result) { return result.first == id; });
  };
  const auto each_instruction = [&](llvm::function_ref<bool(const Instruction&)> visit) {
    for (size_t n = 1; n < kernel_.blocks.size(); ++n) {
      for (ValueId id = kernel_.blocks[n].begin; id < kernel_.blocks[n].end; ++id) {
        if (!visit(kernel_.instructions[id])) return false;
      }
    }
    return true;
  };
  const bool only_stores = each_instruction([&](const Instruction& instruction) {
    return instruction.op == Opcode::store && result_of(instruction.operands[0]) != results.end() &&
           kernel_.accesses[instruction.imm].strides[static_cast<size_t>(dim)] == kir::StrideClass::unit;
  });
  if (!only_stores) return false;
  return each_instruction([&](const Instruction& instruction) {
    b_.store(kernel_.accesses[instruction.imm].dtype, result_of(instruction.operands[0])->second,
             pointers_[instruction.imm]);
    return true;
  });
}

}  // namespace lazuli
