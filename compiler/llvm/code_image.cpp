#include <lazuli/compiler/llvm/code_image.h>

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace lazuli {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("machine code: " + what);
}

template <typename T>
T read_at(std::string_view bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) fail("the object file is cut short");
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::string_view string_at(std::string_view table, uint64_t offset) {
  if (offset >= table.size()) fail("a name lies outside its table");
  const std::string_view rest = table.substr(offset);
  return rest.substr(0, rest.find('\0'));
}

std::string_view slice(std::string_view bytes, uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size) fail("the object file is cut short");
  return bytes.substr(offset, size);
}

/// Turns one ELF object into an image.
class Linker {
 public:
  explicit Linker(std::string_view object) : object_(object) {}

  CodeImage link() {
    read_sections();
    lay_out();
    for (size_t i = 0; i < sections_.size(); ++i) {
      if (sections_[i].sh_type == SHT_RELA && placed_[sections_[i].sh_info] >= 0) relocate(sections_[i]);
    }
    find_symbols();
    image_.section_offsets = std::move(placed_);
    return std::move(image_);
  }

 private:
  void read_sections() {
    const auto header = read_at<Elf64_Ehdr>(object_, 0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_type != ET_REL) {
      fail("not a relocatable 64-bit ELF object");
    }
    if (header.e_machine != EM_X86_64) fail("no linker for this instruction set");
    for (uint32_t i = 0; i < header.e_shnum; ++i) {
      sections_.push_back(read_at<Elf64_Shdr>(object_, header.e_shoff + uint64_t{i} * sizeof(Elf64_Shdr)));
    }
    const Elf64_Shdr& names = sections_.at(header.e_shstrndx);
    names_ = slice(object_, names.sh_offset, names.sh_size);
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type != SHT_SYMTAB) continue;
      const std::string_view table = slice(object_, section.sh_offset, section.sh_size);
      for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.size(); at += sizeof(Elf64_Sym)) {
        symbols_.push_back(read_at<Elf64_Sym>(table, at));
      }
      const Elf64_Shdr& strings = sections_.at(section.sh_link);
      symbol_names_ = slice(object_, strings.sh_offset, strings.sh_size);
    }
  }

  /// Code first, constants after it on lines of their own, so that neither is fetched as the other.
  void lay_out() {
    placed_.assign(sections_.size(), -1);
    for (const bool code : {true, false}) {
      pad_to(64);
      for (size_t i = 0; i < sections_.size(); ++i) {
        const Elf64_Shdr& section = sections_[i];
        if ((section.sh_flags & SHF_ALLOC) == 0 || section.sh_size == 0) continue;
        if (((section.sh_flags & SHF_EXECINSTR) != 0) != code) continue;
        if (string_at(names_, section.sh_name) == ".eh_frame") continue;  // nothing unwinds through kernels
        if ((section.sh_flags & SHF_WRITE) != 0 || section.sh_type == SHT_NOBITS) {
          fail("it has writable data, in section " + std::string(string_at(names_, section.sh_name)));
        }
        pad_to(std::max<uint64_t>(section.sh_addralign, 1));
        placed_[i] = static_cast<int64_t>(image_.bytes.size());
        image_.bytes += slice(object_, section.sh_offset, section.sh_size);
      }
    }
  }

  void relocate(const Elf64_Shdr& table) {
    const int64_t section = placed_[table.sh_info];
    const uint64_t section_size = sections_[table.sh_info].sh_size;
    const std::string_view entries = slice(object_, table.sh_offset, table.sh_size);
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= entries.size(); at += sizeof(Elf64_Rela)) {
      const auto entry = read_at<Elf64_Rela>(entries, at);
      const Elf64_Sym& symbol = symbols_.at(ELF64_R_SYM(entry.r_info));
      const uint32_t type = ELF64_R_TYPE(entry.r_info);
      const uint64_t width = type == R_X86_64_PC64 ? 8 : 4;
      if (entry.r_offset > section_size || section_size - entry.r_offset < width) {
        fail("a relocation lies outside its section");
      }
      const int64_t place = section + static_cast<int64_t>(entry.r_offset);
      const bool imported = symbol.st_shndx == SHN_UNDEF;
      int64_t value = 0;
      switch (type) {
        case R_X86_64_PC32:
        case R_X86_64_PLT32:
        case R_X86_64_PC64:
          value = imported ? stub(symbol) : address(symbol);
          break;
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:
          if (!imported) fail("it takes the address of one of its own functions from a table");
          value = slot(symbol);
          break;
        default:
          fail("relocation type " + std::to_string(type) + " is not position independent");
      }
      const int64_t relative = value + entry.r_addend - place;
      std::memcpy(image_.bytes.data() + place, &relative, width);
    }
  }

  int64_t address(const Elf64_Sym& symbol) const {
    if (symbol.st_shndx >= placed_.size() || placed_[symbol.st_shndx] < 0) {
      fail("it refers to a section that is not loaded");
    }
    return placed_[symbol.st_shndx] + static_cast<int64_t>(symbol.st_value);
  }

  /// The 8 bytes that will hold an imported function's address.
  uint32_t slot(const Elf64_Sym& symbol) {
    const std::string name(string_at(symbol_names_, symbol.st_name));
    for (const auto& [known, offset] : image_.imports) {
      if (known == name) return offset;
    }
    if (resolve_import(name) == nullptr) fail("it calls '" + name + "', which generated code may not");
    pad_to(8);
    const auto offset = static_cast<uint32_t>(image_.bytes.size());
    image_.bytes.append(8, '\0');
    image_.imports.emplace_back(name, offset);
    return offset;
  }

  /// A jump through an import's slot, which a call can reach wherever the function lies.
  uint32_t stub(const Elf64_Sym& symbol) {
    const uint32_t target = slot(symbol);
    const auto [found, added] = stubs_.try_emplace(target, 0);
    if (added) {
      pad_to(16);
      found->second = static_cast<uint32_t>(image_.bytes.size());
      const auto relative = static_cast<int32_t>(target) - static_cast<int32_t>(found->second + 6);
      image_.bytes += "\xff\x25";  // jmp *relative(%rip)
      image_.bytes.append(reinterpret_cast<const char*>(&relative), 4);
    }
    return found->second;
  }

  void find_symbols() {
    for (const Elf64_Sym& symbol : symbols_) {
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || ELF64_ST_BIND(symbol.st_info) != STB_GLOBAL) continue;
      if (symbol.st_shndx == SHN_UNDEF) continue;
      image_.symbols.emplace_back(string_at(symbol_names_, symbol.st_name),
                                  static_cast<uint32_t>(address(symbol)));
    }
  }

  void pad_to(uint64_t alignment) {
    if (alignment > 4096) fail("a section wants more than a page's alignment");
    while (image_.bytes.size() % alignment != 0) image_.bytes += '\xcc';  // int3
  }

  std::string_view object_;
  std::vector<Elf64_Shdr> sections_;
  std::vector<Elf64_Sym> symbols_;
  std::string_view names_;
  std::string_view symbol_names_;
  std::vector<int64_t> placed_;  // where each section lies in the image; -1 if it does not
  std::unordered_map<uint32_t, uint32_t> stubs_;
  CodeImage image_;
};

class MappedCode final : public JitCode {
 public:
  explicit MappedCode(const CodeImage& image) : symbols_(image.symbols) {
    static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = (image.bytes.size() + page - 1) / page * page;
    if (size_ == 0) fail("it is empty");
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail(std::string("mmap: ") + std::strerror(errno));
    base_ = static_cast<char*>(memory);
    std::memcpy(base_, image.bytes.data(), image.bytes.size());
    for (const auto& [name, offset] : image.imports) {
      void* target = resolve_import(name);
      std::memcpy(base_ + offset, &target, sizeof(target));
    }
    if (mprotect(base_, size_, PROT_READ | PROT_EXEC) != 0) {
      const int error = errno;
      munmap(base_, size_);
      fail(std::string("mprotect: ") + std::strerror(error));
    }
  }

  ~MappedCode() override { munmap(base_, size_); }

  void* symbol(std::string_view name) const override {
    for (const auto& [known, offset] : symbols_) {
      if (known == name) return base_ + offset;
    }
    return nullptr;
  }

  size_t size() const override { return size_; }

 private:
  std::vector<std::pair<std::string, uint32_t>> symbols_;
  char* base_ = nullptr;
  size_t size_ = 0;
};

void append_u32(std::string& out, size_t value) {
  const auto narrow = static_cast<uint32_t>(value);
  out.append(reinterpret_cast<const char*>(&narrow), sizeof(narrow));
}

using Names = std::vector<std::pair<std::string, uint32_t>>;

void append_names(std::string& out, const Names& names) {
  append_u32(out, names.size());
  for (const auto& [name, offset] : names) {
    append_u32(out, offset);
    append_u32(out, name.size());
    out += name;
  }
}

Names read_names(std::string_view bytes, uint64_t& at, size_t image_size) {
  Names names;
  const auto count = read_at<uint32_t>(bytes, at);
  at += 4;
  for (uint32_t i = 0; i < count; ++i) {
    const auto offset = read_at<uint32_t>(bytes, at);
    const auto length = read_at<uint32_t>(bytes, at + 4);
    names.emplace_back(slice(bytes, at + 8, length), offset);
    at += 8 + uint64_t{length};
    if (offset >= image_size) fail("a symbol lies outside the image");
  }
  return names;
}

template <typename F>
void* as_pointer(F* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

CodeImage link_object(std::string_view object) {
  return Linker(object).link();
}

void* resolve_import(std::string_view name) {
  static const std::unordered_map<std::string_view, void*> functions = {
      {"memcpy", as_pointer(&std::memcpy)},
      {"memmove", as_pointer(&std::memmove)},
      {"memset", as_pointer(&std::memset)},
      {"fmod", as_pointer<double(double, double)>(&std::fmod)},
      {"fmodf", as_pointer<float(float, float)>(&fmodf)},
      // What older x86-64 has no instruction for.
      {"fma", as_pointer<double(double, double, double)>(&std::fma)},
      {"fmaf", as_pointer<float(float, float, float)>(&fmaf)},
      {"floor", as_pointer<double(double)>(&std::floor)},
      {"floorf", as_pointer<float(float)>(&floorf)},
      {"ceil", as_pointer<double(double)>(&std::ceil)},
      {"ceilf", as_pointer<float(float)>(&ceilf)},
      {"trunc", as_pointer<double(double)>(&std::trunc)},
      {"truncf", as_pointer<float(float)>(&truncf)},
      {"rint", as_pointer<double(double)>(&std::rint)},
      {"rintf", as_pointer<float(float)>(&rintf)},
  };
  const auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

std::string serialize_image(const CodeImage& image) {
  std::string out;
  append_u32(out, image.bytes.size());
  out += image.bytes;
  append_names(out, image.symbols);
  append_names(out, image.imports);
  return out;
}

CodeImage parse_image(std::string_view bytes) {
  CodeImage image;
  const auto size = read_at<uint32_t>(bytes, 0);
  image.bytes = slice(bytes, 4, size);
  uint64_t at = 4 + uint64_t{size};
  image.symbols = read_names(bytes, at, size);
  image.imports = read_names(bytes, at, size);
  for (const auto& [name, offset] : image.imports) {
    if (size - offset < 8 || resolve_import(name) == nullptr) fail("an import cannot be resolved");
  }
  if (at != bytes.size()) fail("bytes are left over");
  return image;
}

std::shared_ptr<const JitCode> load_image(const CodeImage& image) {
  return std::make_shared<const MappedCode>(image);
}

}  // namespace lazuli
