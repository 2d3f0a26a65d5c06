#include <lazuli/compiler/llvm/codegen.h>

#include <stdexcept>
#include <string>
#include <utility>

#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/Support/raw_ostream.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/code_passes.h>
#include <lazuli/compiler/llvm/emitter.h>
#include <lazuli/compiler/llvm/instructions.h>
#include <lazuli/compiler/llvm/loaded_constants.h>
#include <lazuli/compiler/llvm/machine.h>
#include <lazuli/compiler/llvm/move_bits.h>

namespace lazuli {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Opcode;
using kir::StrideClass;
using kir::ValueId;
using llvm::Value;

void generate_kernel(llvm::Module& module, const Target& target, const kir::Kernel& kernel,
                     const CodegenOptions& options) {
  llvm::Function* function = create_kernel_function(module, target, options.symbol.c_str());
  const kir::Kernel moved = move_bits(kernel);
  KernelEmitter emitter(*function, target, moved, options);
  emitter.emit();
  if (emitter.addresses_are_simple()) keep_addresses(module);
  mark_for_loaded_constants(module);
  module.setModuleIdentifier(emitter.describe());
}

std::string kernel_object(const Target& target, const kir::Kernel& kernel, const CodegenOptions& options) {
  const MachineCompiler compiler(target);
  llvm::LLVMContext context;
  llvm::Module module("lazuli", context);
  compiler.prepare(module);
  generate_kernel(module, target, kernel, options);
  compiler.optimize(module);
  const llvm::SmallVector<char, 0> object = compiler.emit_object(module);
  return {object.begin(), object.end()};
}

std::string kernel_text(const Target& target, const kir::Kernel& kernel, CodeText what,
                        const CodegenOptions& options) {
  const MachineCompiler compiler(target);
  llvm::LLVMContext context;
  llvm::Module module("lazuli", context);
  compiler.prepare(module);
  generate_kernel(module, target, kernel, options);
  compiler.optimize(module);
  if (what == CodeText::assembly) return compiler.emit_assembly(module);
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

KernelEmitter::KernelEmitter(llvm::Function& function, const Target& target, const kir::Kernel& kernel,
                             const CodegenOptions& options)
    : kernel_(kernel),
      target_(target),
      options_(options),
      schedule_(make_schedule(kernel, target)),
      b_(function, target),
      index_(kernel.dims.size(), nullptr),
      values_(kernel.instructions.size()),
      transposed_(kernel.accesses.size(), nullptr) {
  if (!options.debug_directory.empty()) {
    source_.emplace(function, kernel, options.debug_directory,
                    options.name.empty() ? options.symbol : options.name);
    mark(kir::no_value);
  }
}

std::string KernelEmitter::describe() const {
  static constexpr const char* forms[] = {"elementwise", "rows", "columns"};
  std::string text = std::string(options_.symbol) + ", " + forms[static_cast<size_t>(schedule_.form)] + ", " +
                     std::to_string(schedule_.lanes) + " lanes, unrolled";
  for (const int unroll : schedule_.unroll) text += " " + std::to_string(unroll);
  return text +
         (options_.streaming ? ", streaming, "
          : joins_lines()    ? ", joined lines, "
                             : ", ") +
         target_.cpu;
}

bool KernelEmitter::addresses_are_simple() const {
  return llvm::StringRef(target_.triple).starts_with("x86_64") && !schedule_.has_transposed();
}

void KernelEmitter::emit() {
  load_arguments();
  for (const Block& block : kernel_.blocks) emit_level(block, 0);
  start_sums();
  if (schedule_.has_transposed()) {
    emit_transposed_outer();
  } else if (takes_short_rows_together()) {
    emit_short_rows_outer();
  } else if (schedule_.late && schedule_.late->rows > 1) {
    emit_late_groups_outer();
  } else if (schedule_.late) {
    emit_late_outer();
  } else if (schedule_.grouped) {
    emit_grouped_outer();
  } else {
    emit_outer();
  }
  put_sums_in_order();
  if ((options_.streaming || options_.joined) && llvm::StringRef(target_.triple).starts_with("x86_64")) {
    // Streaming stores are not ordered with what tells other threads that this one is done.
    b_.ir.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {});
  }
  b_.ir.CreateRetVoid();
  if (source_) source_->finish();
}

void KernelEmitter::load_arguments() {
  llvm::IRBuilder<>& ir = b_.ir;
  Value* arguments = b_.function().getArg(0);
  const auto load_pointer = [&](Value* from, size_t which) {
    return ir.CreateLoad(ir.getPtrTy(), b_.offset_bytes(from, static_cast<int64_t>(which * 8)));
  };
  const auto load_i64 = [&](Value* from, size_t which) {
    return ir.CreateLoad(ir.getInt64Ty(), b_.offset_bytes(from, static_cast<int64_t>(which * 8)));
  };
  static_assert(sizeof(kir::KernelArguments) == 24);
  Value* extents = load_pointer(arguments, 0);
  Value* pointers = load_pointer(arguments, 1);
  Value* strides = load_pointer(arguments, 2);

  const size_t rank = kernel_.dims.size();
  for (size_t d = 0; d < rank; ++d) extents_.push_back(load_i64(extents, d));
  size_t at = 0;
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    const Access& access = kernel_.accesses[a];
    const int64_t size = access.dtype.size();
    Value* pointer = load_pointer(pointers, a);
    if (access.kind == Access::Kind::scratch) {
      pointer = b_.offset_bytes(b_.function().getArg(1), ir.CreatePtrToInt(pointer, ir.getInt64Ty()));
    }
    pointers_.push_back(pointer);
    std::vector<Value*> bytes(rank, nullptr);
    for (size_t d = 0; d < rank; ++d) {
      if (access.strides[d] == StrideClass::unit) bytes[d] = b_.i64(size);
      if (access.strides[d] == StrideClass::any) bytes[d] = b_.times(load_i64(strides, at + d), size);
    }
    strides_.push_back(std::move(bytes));
    at += rank;
    std::vector<Value*> dynamic;
    for (size_t j = 0; j < access.dynamic_indices; ++j) {
      dynamic.push_back(b_.times(load_i64(strides, at + j), size));
    }
    dynamic_strides_.push_back(std::move(dynamic));
    at += access.dynamic_indices;
    for (const int d : schedule_.outer_dims) {
      if (access.strides[d] != StrideClass::zero) {
        moving_.push_back(a);
        break;
      }
    }
  }
}

// The outer points are walked by an odometer: an index for each dimension and a pointer for each access that
// moves, so that going to the next point costs additions, and the only divisions find the first one.

KernelEmitter::Carried KernelEmitter::start_odometer(Value* point) {
  const std::vector<int>& dims = schedule_.outer_dims;
  Carried state(dims.size());
  Value* rest = point;
  for (size_t n = dims.size(); n-- > 1;) {
    state[n] = b_.ir.CreateURem(rest, extents_[dims[n]]);
    rest = b_.ir.CreateUDiv(rest, extents_[dims[n]]);
  }
  state[0] = rest;
  for (const size_t a : moving_) {
    Value* pointer = pointers_[a];
    for (size_t n = 0; n < dims.size(); ++n) {
      Value* stride = strides_[a][dims[n]];
      if (stride != nullptr) pointer = b_.offset_bytes(pointer, b_.ir.CreateMul(state[n], stride));
    }
    state.push_back(pointer);
  }
  return state;
}

void KernelEmitter::use_odometer(const Carried& state) {
  const std::vector<int>& dims = schedule_.outer_dims;
  for (size_t n = 0; n < dims.size(); ++n) index_[dims[n]] = state[n];
  for (size_t m = 0; m < moving_.size(); ++m) pointers_[moving_[m]] = state[dims.size() + m];
}

KernelEmitter::Carried KernelEmitter::advance_odometer(Carried state) {
  const std::vector<int>& dims = schedule_.outer_dims;
  llvm::IRBuilder<>& ir = b_.ir;
  llvm::BasicBlock* done = llvm::BasicBlock::Create(b_.context(), "advanced");
  std::vector<std::pair<llvm::BasicBlock*, Carried>> ways;
  for (size_t n = dims.size(); n-- > 0;) {
    const int d = dims[n];
    state[n] = ir.CreateNSWAdd(state[n], b_.i64(1));
    for (size_t m = 0; m < moving_.size(); ++m) {
      Value*& pointer = state[dims.size() + m];
      Value* stride = strides_[moving_[m]][d];
      if (stride != nullptr) pointer = b_.offset_bytes(pointer, stride);
    }
    ways.emplace_back(ir.GetInsertBlock(), state);
    if (n == 0) {
      ir.CreateBr(done);
      break;
    }
    llvm::BasicBlock* carry = b_.block("carry");
    ir.CreateCondBr(ir.CreateICmpSLT(state[n], extents_[d]), done, carry);
    ir.SetInsertPoint(carry);
    for (size_t m = 0; m < moving_.size(); ++m) {
      Value*& pointer = state[dims.size() + m];
      Value* stride = strides_[moving_[m]][d];
      if (stride == nullptr) continue;
      pointer = b_.offset_bytes(pointer, ir.CreateNeg(ir.CreateMul(extents_[d], stride)));
    }
    state[n] = b_.i64(0);
  }
  done->insertInto(&b_.function());
  ir.SetInsertPoint(done);
  if (ways.size() == 1) return ways[0].second;
  Carried merged;
  for (size_t n = 0; n < state.size(); ++n) {
    llvm::PHINode* phi = ir.CreatePHI(state[n]->getType(), static_cast<unsigned>(ways.size()));
    for (const auto& [from, values] : ways) phi->addIncoming(values[n], from);
    merged.push_back(phi);
  }
  return merged;
}

void KernelEmitter::emit_outer() {
  if (schedule_.outer_dims.empty()) {
    emit_point();
    return;
  }
  const std::vector<Value*> saved = pointers_;
  b_.loop(
      b_.function().getArg(2), b_.function().getArg(3), 1, start_odometer(b_.function().getArg(2)),
      [&](Value*, const Carried& state) {
        use_odometer(state);
        emit_point();
        return advance_odometer(state);
      },
      "outer");
  pointers_ = saved;
}

void KernelEmitter::emit_point() {
  if (schedule_.form == Schedule::Form::rows) {
    for (size_t n = 0; n < kernel_.blocks.size(); ++n) {
      emit_level(kernel_.blocks[n], 1);
      if (kernel_.blocks[n].per_element) emit_row_block(n);
    }
    return;
  }
  for (const Block& block : kernel_.blocks) emit_level(block, 1);
  if (schedule_.form == Schedule::Form::columns) {
    emit_columns();
  } else if (schedule_.vector_dim >= 0) {
    emit_vector_loop();
  }
}

KernelEmitter::Carried KernelEmitter::at_position(int dim, Value* i, llvm::function_ref<Carried()> body) {
  const std::vector<Value*> saved = pointers_;
  index_[dim] = i;
  for (size_t a = 0; a < pointers_.size(); ++a) {
    if (strides_[a][dim] != nullptr) {
      pointers_[a] = b_.offset_bytes(pointers_[a], b_.ir.CreateMul(i, strides_[a][dim]));
    }
  }
  Carried result = body();
  pointers_ = saved;
  return result;
}

KernelEmitter::Carried KernelEmitter::emit_vector_range(Value* begin, Value* end, int unroll,
                                                        const Carried& initial,
                                                        llvm::function_ref<Carried(const Carried&)> body) {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = schedule_.lanes;
  Value* size = ir.CreateSub(end, begin);
  Carried carried = initial;
  Value* at = begin;
  // Whole steps; single vectors where a step has many (so that a short row is not all tail); what is left.
  const int fewest = schedule_.by_parity ? 2 : 1;
  for (const int vectors : {unroll, unroll >= 4 ? fewest : 0}) {
    if (vectors == 0) break;
    const int64_t step = int64_t{lanes} * vectors;
    Value* stop = ir.CreateAdd(begin, ir.CreateAnd(size, b_.i64(-step)));
    carried = b_.loop(
        at, stop, step, carried,
        [&](Value* i, const Carried& state) {
          width_ = {lanes, vectors, nullptr};
          return at_position(schedule_.vector_dim, i, [&] { return body(state); });
        },
        vectors == unroll ? "steps" : "singles");
    at = stop;
  }
  Carried result = b_.loop(
      at, end, lanes, carried,
      [&](Value* i, const Carried& state) {
        Value* left = ir.CreateSub(end, i);
        Value* full = b_.i64(lanes);
        const Tail tail = b_.tail(ir.CreateSelect(ir.CreateICmpSLT(left, full), left, full), lanes);
        width_ = {lanes, 1, &tail};
        Carried next = at_position(schedule_.vector_dim, i, [&] { return body(state); });
        width_ = {};
        return next;
      },
      "tails");
  width_ = {};
  return result;
}

void KernelEmitter::emit_vector_loop() {
  find_rows_ahead();
  const bool repairs_later = repairs_extrema_later();
  emit_vector_range(b_.function().getArg(4), b_.function().getArg(5), schedule_.unroll[0], {},
                    [&](const Carried&) {
                      fetch_rows_ahead();
                      const bool asks = options_.streaming && rows_ahead_.empty();
                      for (size_t n = 0; asks && n < kernel_.blocks.size(); ++n)
                        ask_ahead(n, Nearness::first_cache);
                      if (repairs_later && width_.tail == nullptr) {
                        emit_level_with_late_repairs(kernel_.blocks[0], schedule_.vector_level);
                        return Carried();
                      }
                      for (const Block& block : kernel_.blocks) emit_level(block, schedule_.vector_level);
                      return Carried();
                    });
}

void KernelEmitter::emit_level(const Block& block, int level) {
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (schedule_.level[id] == level && !is_reduce(kernel_.instructions[id].op)) emit_one(id);
  }
}

void KernelEmitter::emit_one(ValueId id) {
  mark(id);
  const Instruction& instruction = kernel_.instructions[id];
  const bool vector = schedule_.is_vector[id];
  if (is_store(instruction.op)) return emit_store(instruction);
  if (is_load(instruction.op)) return emit_load(id);
  if (instruction.op == Opcode::constant) {
    return set_scalar(id, b_.constant_bits(instruction.type, instruction.imm));
  }
  if (instruction.op == Opcode::index) {
    const auto dim = static_cast<int>(instruction.imm);
    Value* position = index_[dim] != nullptr ? index_[dim] : b_.i64(0);
    if (!vector) return set_scalar(id, position);
    Emitted& emitted = values_[id] = {{}, true};
    Value* numbers = b_.lane_numbers(b_.ir.getInt64Ty(), width_.lanes);
    for (int u = 0; u < width_.unroll; ++u) {
      Value* first = b_.ir.CreateAdd(position, b_.i64(int64_t{u} * width_.lanes));
      emitted.parts.push_back(b_.ir.CreateAdd(b_.splat(first, width_.lanes), numbers));
    }
    return;
  }
  const Dtype type = operand_type(instruction);
  llvm::SmallVector<Value*, 4> operands(instruction.operands.size());
  Emitted emitted{{}, vector};
  for (int u = 0; u < (vector ? width_.unroll : 1); ++u) {
    for (size_t n = 0; n < operands.size(); ++n) {
      operands[n] = vector ? part(instruction.operands[n], u) : scalar(instruction.operands[n]);
    }
    emitted.parts.push_back(emit_instruction(b_, instruction, type, operands));
  }
  values_[id] = std::move(emitted);
}

Dtype KernelEmitter::operand_type(const Instruction& instruction) const {
  const size_t which = instruction.op == Opcode::select ? 1 : 0;
  return instruction.operands.size() > which ? kernel_.instructions[instruction.operands[which]].type
                                             : instruction.type;
}

Value* KernelEmitter::scalar(ValueId id) const {
  const Emitted& emitted = values_[id];
  if (emitted.vector || emitted.parts.empty()) {
    throw std::logic_error("code generation: value " + std::to_string(id) + " is not known as a scalar");
  }
  return emitted.parts[0];
}

Value* KernelEmitter::part(ValueId id, int which) {
  const Emitted& emitted = values_[id];
  if (!emitted.vector) return b_.splat(scalar(id), width_.lanes);
  return emitted.parts[static_cast<size_t>(which)];
}

void KernelEmitter::set_scalar(ValueId id, Value* value) {
  values_[id] = {{value}, false};
}

}  // namespace lazuli
