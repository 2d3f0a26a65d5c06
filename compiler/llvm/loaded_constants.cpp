#include <lazuli/compiler/llvm/loaded_constants.h>

#include <llvm/ADT/DenseMap.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>

namespace lazuli {
namespace {

constexpr const char* loads_constants = "lazuli.loads_constants";

/// Floating-point numbers in 512 bits: integers stand where selection wants to see them (counts of shifts,
/// masks), and few others there are.
bool fits(const llvm::Constant& constant) {
  const llvm::Type* type = constant.getType();
  return llvm::isa<llvm::ConstantDataVector>(constant) && type->isFPOrFPVectorTy() &&
         type->getPrimitiveSizeInBits() == 512 && !constant.isNullValue();
}

bool is_fma(const llvm::Instruction& instruction) {
  const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
  return call != nullptr && call->getIntrinsicID() == llvm::Intrinsic::fma;
}

/// Whether selection has something better for a product with this number.
bool is_simple_factor(const llvm::Use& use) {
  const auto& instruction = *llvm::cast<llvm::Instruction>(use.getUser());
  const bool factor =
      instruction.getOpcode() == llvm::Instruction::FMul || (is_fma(instruction) && use.getOperandNo() < 2);
  const auto* number =
      llvm::dyn_cast_or_null<llvm::ConstantFP>(llvm::cast<llvm::Constant>(use)->getSplatValue());
  return factor && number != nullptr &&
         (number->isExactlyValue(1) || number->isExactlyValue(-1) || number->isExactlyValue(2));
}

/// As selection does with constants: last of two that may change places.
void put_constants_last(llvm::Instruction& instruction) {
  if (!instruction.isCommutative() && !is_fma(instruction)) return;
  llvm::Value* first = instruction.getOperand(0);
  llvm::Value* second = instruction.getOperand(1);
  if (!llvm::isa<llvm::Constant>(first) || llvm::isa<llvm::Constant>(second)) return;
  instruction.setOperand(0, second);
  instruction.setOperand(1, first);
}

class Loader {
 public:
  explicit Loader(llvm::Module& module) : module_(module) {}

  void run(llvm::Function& function) {
    loaded_.clear();
    for (llvm::BasicBlock& block : function) {
      for (llvm::Instruction& instruction : block) {
        if (llvm::isa<llvm::PHINode, llvm::ShuffleVectorInst, llvm::InsertElementInst>(instruction)) continue;
        put_constants_last(instruction);
        for (llvm::Use& use : instruction.operands()) {
          auto* constant = llvm::dyn_cast<llvm::Constant>(use);
          if (constant == nullptr || !fits(*constant) || is_simple_factor(use)) continue;
          use.set(load(function, *constant));
        }
      }
    }
  }

 private:
  llvm::Value* load(llvm::Function& function, llvm::Constant& constant) {
    llvm::Value*& value = loaded_[&constant];
    if (value != nullptr) return value;
    llvm::Constant* number = constant.getSplatValue();
    llvm::GlobalVariable* memory = in_memory(number != nullptr ? *number : constant);
    llvm::IRBuilder<> ir(function.getEntryBlock().getTerminator());
    llvm::LoadInst* load =
        ir.CreateAlignedLoad(memory->getValueType(), memory, memory->getAlign().valueOrOne());
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(module_.getContext(), {}));
    value = load;
    if (number != nullptr) {
      const auto* type = llvm::cast<llvm::FixedVectorType>(constant.getType());
      value = ir.CreateVectorSplat(type->getNumElements(), load);
    }
    return value;
  }

  llvm::GlobalVariable* in_memory(llvm::Constant& constant) {
    llvm::GlobalVariable*& memory = memory_[&constant];
    if (memory != nullptr) return memory;
    llvm::Type* type = constant.getType();
    memory = new llvm::GlobalVariable(module_, type, /*isConstant=*/true, llvm::GlobalValue::PrivateLinkage,
                                      &constant, "constant");
    memory->setAlignment(llvm::Align(type->getPrimitiveSizeInBits() / 8));
    memory->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);  // equal ones may be one
    return memory;
  }

  llvm::Module& module_;
  llvm::DenseMap<llvm::Constant*, llvm::GlobalVariable*> memory_;
  llvm::DenseMap<llvm::Constant*, llvm::Value*> loaded_;
};

}  // namespace

void mark_for_loaded_constants(llvm::Module& module) {
  module.getOrInsertNamedMetadata(loads_constants);
}

void load_constants(llvm::Module& module) {
  if (module.getNamedMetadata(loads_constants) == nullptr) return;
  Loader loader(module);
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) loader.run(function);
  }
}

}  // namespace lazuli
