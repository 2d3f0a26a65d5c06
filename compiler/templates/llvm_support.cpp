#include <lazuli/compiler/templates/llvm_support.h>

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <lazuli/compiler/templates/generators.h>

namespace lazuli::templates {

llvm::Function& TemplateBuilder::make_function(llvm::Module& module, const Target& target) {
  llvm::LLVMContext& context = module.getContext();
  auto* type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), {llvm::PointerType::getUnqual(context)}, false);
  auto* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, generated_symbol, module);
  function->getArg(0)->setName("arguments");
  function->addParamAttr(0, llvm::Attribute::NoAlias);
  function->addParamAttr(0, llvm::Attribute::ReadOnly);
  target_attributes(*function, target);
  llvm::BasicBlock::Create(context, "entry", function);
  return *function;
}

TemplateBuilder::TemplateBuilder(llvm::Module& module, const Target& target)
    : VectorBuilder(make_function(module, target), target) {}

llvm::Value* TemplateBuilder::load_field(size_t offset, llvm::Type* type) {
  return ir.CreateLoad(type, offset_bytes(function().getArg(0), static_cast<int64_t>(offset)));
}

llvm::Value* TemplateBuilder::broadcast(llvm::Type* type, llvm::Value* address, int lanes) {
  const llvm::Align alignment(type->getScalarSizeInBits() / 8);
  return splat(ir.CreateAlignedLoad(type, address, alignment), lanes);
}

llvm::Value* TemplateBuilder::element(llvm::Value* base, llvm::Value* index, int64_t element_bytes) {
  return offset_bytes(base, times(index, element_bytes));
}

llvm::Value* TemplateBuilder::add_pair_products(llvm::Value* a, llvm::Value* b, llvm::Value* sum, int lanes) {
  llvm::Type* pairs = widen(llvm::Type::getBFloatTy(context()), lanes * 2);
  const auto dot = target().vector_bits == 512 ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512
                                               : llvm::Intrinsic::x86_avx512bf16_dpbf16ps_256;
  return ir.CreateIntrinsic(dot, {}, {sum, ir.CreateBitCast(a, pairs), ir.CreateBitCast(b, pairs)});
}

void TemplateBuilder::fetch_ahead(llvm::Value* address, bool to_write) {
  ir.CreateIntrinsic(llvm::Intrinsic::prefetch, {address->getType()},
                     {address, ir.getInt32(to_write ? 1 : 0), ir.getInt32(3), ir.getInt32(1)});
}

}  // namespace lazuli::templates
