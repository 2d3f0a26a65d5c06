#include <zlib.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>

#include <lazuli/array/io/zip.h>
#include <lazuli/array/io/zip_layout.h>

namespace lazuli {

using namespace zip;

namespace {

/// Takes content in: adds up its size and checksum, and deflates it where that is wanted.
class Intake final : public io::Writer {
 public:
  explicit Intake(bool deflates) : deflates_(deflates) {
    if (deflates_ && deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
                                  Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::runtime_error("zlib cannot start");
    }
  }
  ~Intake() override {
    if (deflates_) deflateEnd(&stream_);
  }
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  bool is_open() const override { return true; }
  bool good() const override { return true; }
  size_t tell() override { return size_; }
  void seek(int64_t, std::ios_base::seekdir) override {
    throw std::logic_error("archives are written from front to back");
  }
  std::string label() const override { return "member"; }

  void write(const char* data, size_t n) override {
    checksum_ = static_cast<uint32_t>(crc32_z(checksum_, reinterpret_cast<const Bytef*>(data), n));
    size_ += n;
    if (!deflates_) return;
    while (n > 0) {
      const size_t piece = std::min<size_t>(n, std::numeric_limits<uInt>::max());
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data));
      stream_.avail_in = static_cast<uInt>(piece);
      while (stream_.avail_in > 0) step(Z_NO_FLUSH);
      data += piece;
      n -= piece;
    }
  }
  void finish() {
    if (!deflates_) return;
    while (step(Z_FINISH) != Z_STREAM_END) {
    }
  }

  uint32_t checksum() const { return checksum_; }
  uint64_t size() const { return size_; }
  const std::vector<char>& deflated() const { return deflated_; }

 private:
  int step(int flush) {
    char room[1 << 16];
    stream_.next_out = reinterpret_cast<Bytef*>(room);
    stream_.avail_out = sizeof(room);
    const int status = deflate(&stream_, flush);
    if (status == Z_STREAM_ERROR) throw std::runtime_error("zlib cannot deflate");
    deflated_.insert(deflated_.end(), room, room + (sizeof(room) - stream_.avail_out));
    return status;
  }

  bool deflates_;
  z_stream stream_{};
  uint32_t checksum_ = 0;
  uint64_t size_ = 0;
  std::vector<char> deflated_;
};

/// A record that is being put together.
class Record {
 public:
  Record& number(uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  Record& text(const std::string& value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    return *this;
  }
  std::vector<char>& bytes() { return bytes_; }

 private:
  std::vector<char> bytes_;
};

uint64_t in_32_bits(uint64_t value) {
  return std::min(value, full_32);
}

constexpr int version_needed = 45;          // the first with ZIP64
constexpr uint16_t first_day = 1 << 5 | 1;  // 1 January 1980: files are the same each time

}  // namespace

void ZipWriter::write(std::span<const char> bytes) {
  io::write_checked(writer_, bytes.data(), bytes.size());
  at_ += bytes.size();
}

void ZipWriter::add(const std::string& name, bool deflates, const std::function<void(io::Writer&)>& produce) {
  if (name.size() > full_16) throw std::runtime_error("the name of a member has more than 65,535 bytes");
  Intake intake(deflates);
  produce(intake);
  intake.finish();
  Written written{{name, deflates, intake.checksum(), 0, deflates ? intake.deflated().size() : intake.size(),
                   intake.size()},
                  at_};
  ZipMember& member = written.member;

  Record extra;
  if (member.size >= full_32 || member.stored_size >= full_32) {
    extra.number(zip64_field, 2).number(16, 2).number(member.size, 8).number(member.stored_size, 8);
  }
  if (!deflates) {
    constexpr uint64_t alignment = 64;
    const uint64_t start = at_ + local_size + name.size() + extra.bytes().size() + 6;
    const uint64_t padding = (alignment - start % alignment) % alignment;
    extra.number(alignment_field, 2).number(2 + padding, 2).number(alignment, 2);
    extra.bytes().resize(extra.bytes().size() + padding, '\0');
  }
  const bool is_wide = member.size >= full_32 || member.stored_size >= full_32;
  Record header;
  header.number(local_signature, 4).number(version_needed, 2).number(utf8_flag, 2);
  header.number(deflates ? deflated_method : stored_method, 2).number(0, 2).number(first_day, 2);
  header.number(member.checksum, 4).number(is_wide ? full_32 : member.stored_size, 4);
  header.number(is_wide ? full_32 : member.size, 4).number(name.size(), 2);
  header.number(extra.bytes().size(), 2).text(name);
  write(header.bytes());
  write(extra.bytes());
  member.data_start = at_;
  if (deflates) {
    write(intake.deflated());
  } else {
    produce(writer_);
    at_ += member.size;
  }
  members_.push_back(std::move(written));
}

void ZipWriter::finish() {
  const uint64_t start = at_;
  for (const Written& written : members_) {
    const ZipMember& member = written.member;
    Record extra;
    for (const uint64_t value : {member.size, member.stored_size, written.header_start}) {
      if (value >= full_32) extra.number(value, 8);
    }
    Record entry;
    entry.number(entry_signature, 4).number(version_needed, 2).number(version_needed, 2);
    entry.number(utf8_flag, 2).number(member.is_deflated ? deflated_method : stored_method, 2);
    entry.number(0, 2).number(first_day, 2).number(member.checksum, 4);
    entry.number(in_32_bits(member.stored_size), 4).number(in_32_bits(member.size), 4);
    const size_t wide = extra.bytes().size();
    entry.number(member.name.size(), 2).number(wide > 0 ? wide + 4 : 0, 2);
    entry.number(0, 2).number(0, 2).number(0, 2).number(0, 4);
    entry.number(in_32_bits(written.header_start), 4).text(member.name);
    if (wide > 0) entry.number(zip64_field, 2).number(wide, 2);
    write(entry.bytes());
    write(extra.bytes());
  }
  const uint64_t size = at_ - start;
  const uint64_t count = members_.size();
  if (count >= full_16 || size >= full_32 || start >= full_32) {
    const uint64_t end64 = at_;
    Record end;
    end.number(end64_signature, 4).number(end64_size - 12, 8).number(version_needed, 2);
    end.number(version_needed, 2).number(0, 4).number(0, 4).number(count, 8).number(count, 8);
    end.number(size, 8).number(start, 8);
    end.number(locator_signature, 4).number(0, 4).number(end64, 8).number(1, 4);
    write(end.bytes());
  }
  Record end;
  end.number(end_signature, 4).number(0, 4).number(std::min(count, full_16), 2);
  end.number(std::min(count, full_16), 2).number(in_32_bits(size), 4).number(in_32_bits(start), 4);
  end.number(0, 2);
  write(end.bytes());
}

}  // namespace lazuli
