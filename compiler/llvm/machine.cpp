#include <lazuli/compiler/llvm/machine.h>

#include <mutex>
#include <stdexcept>

#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Utils/Cloning.h>

namespace lazuli {

void initialize_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
}

MachineCompiler::MachineCompiler(const Target& target) {
  initialize_llvm();
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.triple, error);
  if (found == nullptr) throw std::runtime_error("LLVM has no target for " + target.triple + ": " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;  // an fma stands where the kernel says so, nowhere else
  options.ExceptionModel = llvm::ExceptionHandling::None;
  machine_.reset(found->createTargetMachine(target.triple, target.cpu, target.features, options,
                                            llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                            llvm::CodeGenOptLevel::Default, /*JIT=*/false));
  if (machine_ == nullptr) throw std::runtime_error("LLVM cannot make code for " + target.cpu);
}

MachineCompiler::~MachineCompiler() = default;

void MachineCompiler::prepare(llvm::Module& module) const {
  module.setTargetTriple(machine_->getTargetTriple().str());
  module.setDataLayout(machine_->createDataLayout());
}

void MachineCompiler::optimize(llvm::Module& module) const {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine_.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::EarlyCSEPass());
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes.run(function, functions);
  }
}

namespace {

void emit(llvm::TargetMachine& machine, llvm::Module& module, llvm::raw_pwrite_stream& out,
          llvm::CodeGenFileType type) {
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, out, nullptr, type, /*DisableVerify=*/true)) {
    throw std::runtime_error("LLVM cannot emit this kind of file for the target");
  }
  passes.run(module);
}

}  // namespace

llvm::SmallVector<char, 0> MachineCompiler::emit_object(llvm::Module& module) const {
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream out(object);
  emit(*machine_, module, out, llvm::CodeGenFileType::ObjectFile);
  return object;
}

std::string MachineCompiler::emit_assembly(llvm::Module& module) const {
  const std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);  // code generation changes the module
  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream out(text);
  emit(*machine_, *copy, out, llvm::CodeGenFileType::AssemblyFile);
  return std::string(text.begin(), text.end());
}

}  // namespace lazuli
