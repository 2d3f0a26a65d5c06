#include <lazuli/compiler/llvm/debugger.h>

#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

// GDB's interface to code made at run time: it has a breakpoint in the function, and reads the list whenever
// that is called. LLVM's library defines both, for a process may have but one of them.
extern "C" {
struct jit_code_entry {  // NOLINT: GDB's names
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};
struct jit_descriptor {  // NOLINT
  uint32_t version;
  uint32_t action_flag;  // 0 nothing, 1 added, 2 about to be removed
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};
extern jit_descriptor __jit_debug_descriptor;  // NOLINT
void __jit_debug_register_code();              // NOLINT
}

namespace lazuli {
namespace {

std::mutex& list_mutex() {
  static std::mutex* const mutex = new std::mutex;  // never destroyed: code may go while the process exits
  return *mutex;
}

/// Code with its place in the debugger's list.
class Announced final : public JitCode {
 public:
  Announced(std::shared_ptr<const JitCode> code, std::string object)
      : code_(std::move(code)), object_(std::move(object)) {
    entry_.symfile_addr = object_.data();
    entry_.symfile_size = object_.size();
    const std::lock_guard lock(list_mutex());
    entry_.prev_entry = nullptr;
    entry_.next_entry = __jit_debug_descriptor.first_entry;
    if (entry_.next_entry != nullptr) entry_.next_entry->prev_entry = &entry_;
    __jit_debug_descriptor.first_entry = &entry_;
    tell(1);
  }

  ~Announced() override {
    const std::lock_guard lock(list_mutex());
    if (entry_.prev_entry != nullptr) {
      entry_.prev_entry->next_entry = entry_.next_entry;
    } else {
      __jit_debug_descriptor.first_entry = entry_.next_entry;
    }
    if (entry_.next_entry != nullptr) entry_.next_entry->prev_entry = entry_.prev_entry;
    tell(2);
  }

  void* symbol(std::string_view name) const override { return code_->symbol(name); }
  size_t size() const override { return code_->size(); }

 private:
  void tell(uint32_t action) {
    __jit_debug_descriptor.version = 1;
    __jit_debug_descriptor.action_flag = action;
    __jit_debug_descriptor.relevant_entry = &entry_;
    __jit_debug_register_code();
    __jit_debug_descriptor.action_flag = 0;
    __jit_debug_descriptor.relevant_entry = nullptr;
  }

  std::shared_ptr<const JitCode> code_;
  std::string object_;
  jit_code_entry entry_{};
};

}  // namespace

const std::string& debug_directory() {
  static const std::string* const directory = [] {
    const char* value = std::getenv("LAZULI_DEBUG_KERNELS");
    return new std::string(value == nullptr ? "" : value);
  }();
  return *directory;
}

std::shared_ptr<const JitCode> announce_to_debugger(std::shared_ptr<const JitCode> code,
                                                    const std::byte* base, std::string_view object,
                                                    const std::vector<int64_t>& section_offsets) {
  // The object as it was, but for the addresses of its sections: debuggers relocate the rest themselves.
  std::string placed(object);
  Elf64_Ehdr header;
  std::memcpy(&header, placed.data(), sizeof(header));
  for (size_t i = 0; i < section_offsets.size(); ++i) {
    if (section_offsets[i] < 0) continue;
    Elf64_Shdr section;
    char* const at = placed.data() + header.e_shoff + i * sizeof(section);
    std::memcpy(&section, at, sizeof(section));
    section.sh_addr = reinterpret_cast<uintptr_t>(base) + static_cast<uint64_t>(section_offsets[i]);
    std::memcpy(at, &section, sizeof(section));
  }
  return std::make_shared<const Announced>(std::move(code), std::move(placed));
}

}  // namespace lazuli
