#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lazuli/compiler/llvm/jit.h>

namespace lazuli {

/// Machine code linked within itself: position independent, so that loading is copying. Calls out of it go
/// through slots of 8 bytes that loading fills with addresses.
struct CodeImage {
  std::string bytes;
  std::vector<std::pair<std::string, uint32_t>> symbols;  ///< functions and where they begin
  std::vector<std::pair<std::string, uint32_t>> imports;  ///< functions called and where their slots lie
  std::vector<int64_t> section_offsets;  ///< where the object's sections lie, -1 for none; not serialized
};

/// Links a relocatable ELF object. Throws std::runtime_error where it needs what an image cannot hold
/// (writable data, absolute addresses, functions that `resolve_import` does not know).
CodeImage link_object(std::string_view object);

/// The address of a function that generated code may call by name; null for others. These are few functions
/// of the C library whose meaning is fixed.
void* resolve_import(std::string_view name);

/// A byte string that `parse_image` reads back; the latter throws std::runtime_error if it is malformed.
std::string serialize_image(const CodeImage& image);
CodeImage parse_image(std::string_view bytes);

/// Copies the image into executable memory. Throws std::runtime_error where the system refuses.
std::shared_ptr<const JitCode> load_image(const CodeImage& image);

}  // namespace lazuli
