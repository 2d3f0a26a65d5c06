#include <lazuli/compiler/llvm/kernel_source.h>

#include <filesystem>
#include <fstream>

#include <llvm/BinaryFormat/Dwarf.h>
#include <llvm/IR/DebugInfoMetadata.h>
#include <llvm/IR/Metadata.h>
#include <llvm/IR/Module.h>

namespace lazuli {
namespace {

/// On which line of `kir::to_text` each instruction stands.
std::vector<unsigned> lines_of(const kir::Kernel& kernel) {
  std::vector<unsigned> lines(kernel.instructions.size(), 1);
  auto line = static_cast<unsigned>(1 + kernel.accesses.size());
  for (const kir::Block& block : kernel.blocks) {
    ++line;  // the block's own
    for (uint32_t i = block.begin; i < block.end; ++i) lines[i] = ++line;
  }
  return lines;
}

}  // namespace

KernelSource::KernelSource(llvm::Function& function, const kir::Kernel& kernel, const std::string& directory,
                           const std::string& name)
    : builder_(*function.getParent()), lines_(lines_of(kernel)) {
  const std::string file_name = name + ".kir";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  std::ofstream(std::filesystem::path(directory) / file_name) << kir::to_text(kernel);

  llvm::Module& module = *function.getParent();
  module.addModuleFlag(llvm::Module::Warning, "Debug Info Version", llvm::DEBUG_METADATA_VERSION);
  module.addModuleFlag(llvm::Module::Warning, "Dwarf Version", 4);
  llvm::DIFile* file = builder_.createFile(file_name, std::filesystem::absolute(directory, error).string());
  builder_.createCompileUnit(llvm::dwarf::DW_LANG_C, file, "lazuli", /*isOptimized=*/true, "", 0);
  llvm::DISubroutineType* type = builder_.createSubroutineType(builder_.getOrCreateTypeArray({}));
  subprogram_ = builder_.createFunction(
      file, name, "", file, 1, type, 1, llvm::DINode::FlagZero,
      llvm::DISubprogram::toSPFlags(/*IsLocalToUnit=*/false, /*IsDefinition=*/true, /*IsOptimized=*/true));
  function.setSubprogram(subprogram_);
}

void KernelSource::at(llvm::IRBuilder<>& ir, kir::ValueId instruction) const {
  const unsigned line = instruction == kir::no_value ? 1 : lines_[instruction];
  ir.SetCurrentDebugLocation(llvm::DILocation::get(ir.getContext(), line, 1, subprogram_));
}

void KernelSource::finish() {
  builder_.finalize();
}

}  // namespace lazuli
