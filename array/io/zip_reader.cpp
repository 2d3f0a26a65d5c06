#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>

#include <lazuli/array/io/header_error.h>
#include <lazuli/array/io/zip.h>
#include <lazuli/array/io/zip_layout.h>

namespace lazuli {

using io::fail;
using io::in_quotes;

using namespace zip;

namespace {

/// Little-endian numbers at places of a file that are checked first.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> file) : file_(file) {}
  uint64_t size() const { return file_.size(); }
  bool holds(uint64_t at, uint64_t count) const { return at <= size() && count <= size() - at; }
  uint64_t number(uint64_t at, size_t width) const {
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(file_[at + i]);
    return value;
  }
  std::string text(uint64_t at, uint64_t count) const {
    return std::string(reinterpret_cast<const char*>(file_.data()) + at, count);
  }

 private:
  std::span<const std::byte> file_;
};

struct Directory {
  uint64_t start = 0;
  uint64_t size = 0;
  uint64_t count = 0;
};

/// The record at the end of the file, in front of a comment of up to 64 KB.
uint64_t find_end(const Bytes& file) {
  if (file.size() < end_size) fail("not a ZIP archive: {} bytes are too few", file.size());
  const uint64_t last = file.size() - end_size;
  const uint64_t first = last > 0xffff ? last - 0xffff : 0;
  for (uint64_t at = last + 1; at-- > first;) {
    if (file.number(at, 4) == end_signature && file.number(at + 20, 2) == file.size() - at - end_size) {
      return at;
    }
  }
  fail("not a ZIP archive, or cut short: it has no end record");
}

Directory find_directory(const Bytes& file) {
  const uint64_t end = find_end(file);
  Directory directory{file.number(end + 16, 4), file.number(end + 12, 4), file.number(end + 10, 2)};
  if (file.number(end + 4, 2) != file.number(end + 6, 2)) fail("archives of several parts are not supported");
  uint64_t limit = end;
  const bool is_zip64 =
      end >= locator_size && file.number(end - locator_size, 4) == locator_signature &&
      (directory.start == full_32 || directory.size == full_32 || directory.count == full_16);
  if (is_zip64) {
    const uint64_t at = file.number(end - locator_size + 8, 8);
    if (!file.holds(at, end64_size) || file.number(at, 4) != end64_signature) {
      fail("the ZIP64 end record is not where it should be");
    }
    directory = {file.number(at + 48, 8), file.number(at + 40, 8), file.number(at + 32, 8)};
    limit = at;
  }
  if (directory.start > limit || directory.size > limit - directory.start) {
    fail("the directory lies outside of the file");
  }
  if (directory.count > directory.size / entry_size) {
    fail("a directory of {} bytes cannot have {} members", directory.size, directory.count);
  }
  return directory;
}

/// Sizes that do not fit 32 bits stand in an extra field, in order.
void read_zip64_field(const Bytes& file, uint64_t at, uint64_t length, std::span<uint64_t*> wanted) {
  const uint64_t end = at + length;
  while (end - at >= 4) {
    const uint64_t id = file.number(at, 2);
    const uint64_t size = file.number(at + 2, 2);
    at += 4;
    if (size > end - at) fail("an extra field of the directory is cut off");
    if (id == zip64_field) {
      uint64_t place = at;
      for (uint64_t* value : wanted) {
        if (place + 8 > at + size) fail("a ZIP64 size is missing");
        *value = file.number(place, 8);
        place += 8;
      }
      return;
    }
    at += size;
  }
  if (!wanted.empty()) fail("a ZIP64 size is missing");
}

/// Finds the data behind a member's own header.
void locate_data(const Bytes& file, uint64_t header, uint64_t limit, ZipMember& member) {
  if (header > limit || limit - header < local_size || file.number(header, 4) != local_signature) {
    fail("member {}: its header is not where it should be", in_quotes(member.name));
  }
  const uint64_t before = local_size + file.number(header + 26, 2) + file.number(header + 28, 2);
  if (before > limit - header || member.stored_size > limit - header - before) {
    fail("member {}: its {} bytes lie outside of the file", in_quotes(member.name), member.stored_size);
  }
  member.data_start = header + before;
}

void check_overlaps(const std::vector<ZipMember>& members) {
  std::vector<const ZipMember*> order;
  order.reserve(members.size());
  for (const ZipMember& member : members) order.push_back(&member);
  std::sort(order.begin(), order.end(), [](const ZipMember* a, const ZipMember* b) {
    return std::pair(a->data_start, a->stored_size) < std::pair(b->data_start, b->stored_size);
  });
  uint64_t at = 0;
  for (const ZipMember* member : order) {
    if (member->data_start < at)
      fail("member {}: its bytes belong to another one too", in_quotes(member->name));
    at = member->data_start + member->stored_size;
  }
}

uint32_t checksum_of(const void* data, uint64_t size) {
  return static_cast<uint32_t>(crc32_z(0, static_cast<const Bytef*>(data), size));
}

}  // namespace

std::vector<ZipMember> read_zip_directory(std::span<const std::byte> bytes) {
  const Bytes file(bytes);
  const Directory directory = find_directory(file);
  const uint64_t end = directory.start + directory.size;
  std::vector<ZipMember> members;
  uint64_t at = directory.start;
  for (uint64_t i = 0; i < directory.count; ++i) {
    if (end - at < entry_size || file.number(at, 4) != entry_signature) fail("the directory is damaged");
    const uint64_t flags = file.number(at + 8, 2);
    const uint64_t method = file.number(at + 10, 2);
    const uint64_t name_size = file.number(at + 28, 2);
    const uint64_t extra_size = file.number(at + 30, 2);
    const uint64_t whole = entry_size + name_size + extra_size + file.number(at + 32, 2);
    if (whole > end - at) fail("the directory is cut off");
    ZipMember member;
    member.name = file.text(at + entry_size, name_size);
    member.checksum = static_cast<uint32_t>(file.number(at + 16, 4));
    member.stored_size = file.number(at + 20, 4);
    member.size = file.number(at + 24, 4);
    uint64_t header = file.number(at + 42, 4);
    std::vector<uint64_t*> wide;
    for (uint64_t* value : {&member.size, &member.stored_size, &header}) {
      if (*value == full_32) wide.push_back(value);
    }
    read_zip64_field(file, at + entry_size + name_size, extra_size, wide);
    if ((flags & encrypted_flag) != 0) fail("member {} is encrypted", in_quotes(member.name));
    if (method != stored_method && method != deflated_method) {
      fail("member {}: unsupported compression method {}", in_quotes(member.name), method);
    }
    member.is_deflated = method == deflated_method;
    locate_data(file, header, directory.start, member);
    if (!member.is_deflated && member.size != member.stored_size) {
      fail("member {}: it is stored, but its two sizes differ", in_quotes(member.name));
    }
    if (member.is_deflated && member.size / largest_ratio > member.stored_size) {
      fail("member {}: {} bytes cannot inflate to {}", in_quotes(member.name), member.stored_size,
           member.size);
    }
    members.push_back(std::move(member));
    at += whole;
  }
  check_overlaps(members);
  return members;
}

void check_stored_member(std::span<const std::byte> file, const ZipMember& member) {
  if (checksum_of(file.data() + member.data_start, member.size) != member.checksum) {
    fail("member {}: its checksum is wrong", in_quotes(member.name));
  }
}

Ref<Buffer> inflate_member(std::span<const std::byte> file, const ZipMember& member) {
  Ref<Buffer> content = Buffer::allocate(member.size);
  z_stream stream{};
  // Negative: raw deflate data, as ZIP has it.
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::runtime_error("zlib cannot start");
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } const at_end{&stream};
  const std::byte* in = file.data() + member.data_start;
  uint64_t in_left = member.stored_size;
  uint64_t out_left = member.size;
  std::byte spare{};  // somewhere to point to
  stream.next_out = reinterpret_cast<Bytef*>(out_left > 0 ? content->data() : &spare);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in));
  int status = Z_OK;
  while (status == Z_OK) {
    constexpr uint64_t piece = std::numeric_limits<uInt>::max();
    const auto in_now = static_cast<uInt>(std::min(piece, in_left));
    const auto out_now = static_cast<uInt>(std::min(piece, out_left));
    stream.avail_in = in_now;
    stream.avail_out = out_now;
    status = inflate(&stream, Z_NO_FLUSH);
    in_left -= in_now - stream.avail_in;
    out_left -= out_now - stream.avail_out;
  }
  if (status != Z_STREAM_END || in_left != 0 || out_left != 0) {
    fail("member {}: its deflated data are damaged", in_quotes(member.name));
  }
  if (checksum_of(content->data(), member.size) != member.checksum) {
    fail("member {}: its checksum is wrong", in_quotes(member.name));
  }
  return content;
}

}  // namespace lazuli
