#include <lazuli/compiler/llvm/machine.h>

#include <mutex>
#include <stdexcept>

#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <lazuli/compiler/llvm/code_passes.h>
#include <lazuli/compiler/llvm/loaded_constants.h>

namespace lazuli {

namespace {

thread_local bool catches_fatal_errors = false;

/// LLVM is built without exceptions but with unwind tables: what is thrown here passes through its frames,
/// whose objects are not destroyed.
void on_fatal_error(void* /*data*/, const char* reason, bool /*with_diagnostics*/) {
  if (catches_fatal_errors) throw FatalLlvmError(std::string("LLVM: ") + reason);
}

}  // namespace

CatchFatalErrors::CatchFatalErrors() : before_(catches_fatal_errors) {
  catches_fatal_errors = true;
}

CatchFatalErrors::~CatchFatalErrors() {
  catches_fatal_errors = before_;
}

void initialize_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    // The other architecture that there is a target description for; part of every LLVM that distributions
    // build.
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    llvm::install_fatal_error_handler(on_fatal_error);
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
  load_constants(module);
}

namespace {

void emit(llvm::TargetMachine& machine, llvm::Module& module, llvm::raw_pwrite_stream& out,
          llvm::CodeGenFileType type) {
  auto passes = std::make_unique<llvm::legacy::PassManager>();
  CodePasses needed(*passes, module);
  if (machine.addPassesToEmitFile(needed, out, nullptr, type, /*DisableVerify=*/true)) {
    throw std::runtime_error("LLVM cannot emit this kind of file for the target");
  }
  try {
    passes->run(module);
  } catch (const FatalLlvmError&) {
    static_cast<void>(passes.release());  // left as it is
    throw;
  }
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
