#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <lazuli/array/io/reader_writer.h>

/// ZIP archives, as far as .npz files need them: stored and deflated members, with ZIP64 sizes. The format is
/// described in PKWARE's APPNOTE.TXT. Throws std::runtime_error, without a prefix.
namespace lazuli {

struct ZipMember {
  std::string name;
  bool is_deflated = false;
  uint32_t checksum = 0;     ///< CRC-32 of the content
  uint64_t data_start = 0;   ///< in the file
  uint64_t stored_size = 0;  ///< in the file
  uint64_t size = 0;         ///< of the content
};

/// Reads and checks an archive's directory: afterwards each member's bytes lie within the file, belong to no
/// other, and can inflate to as many as it says.
std::vector<ZipMember> read_zip_directory(std::span<const std::byte> file);

/// A deflated member's content; its checksum is compared.
Ref<Buffer> inflate_member(std::span<const std::byte> file, const ZipMember& member);
/// Compares the checksum of a stored member.
void check_stored_member(std::span<const std::byte> file, const ZipMember& member);

/// Writes an archive from front to back.
class ZipWriter {
 public:
  explicit ZipWriter(io::Writer& writer) : writer_(writer) {}
  /// Adds a member, whose content `produce` writes. It is called twice for one that is stored, which begins
  /// at a multiple of 64 bytes.
  void add(const std::string& name, bool deflates, const std::function<void(io::Writer&)>& produce);
  /// Writes the directory.
  void finish();

 private:
  struct Written {
    ZipMember member;
    uint64_t header_start = 0;
  };
  void write(std::span<const char> bytes);

  io::Writer& writer_;
  uint64_t at_ = 0;
  std::vector<Written> members_;
};

}  // namespace lazuli
