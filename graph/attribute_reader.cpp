#include <lazuli/graph/attribute_reader.h>

#include <bit>
#include <cstring>
#include <stdexcept>

namespace lazuli {

namespace {

class Words {
 public:
  explicit Words(std::string_view bytes) : bytes_(bytes) {}
  bool is_done() const { return bytes_.empty(); }
  std::string_view take(uint64_t size) {
    if (size > bytes_.size()) throw std::runtime_error("attributes are cut short");
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  uint64_t byte() { return static_cast<unsigned char>(take(1)[0]); }
  uint64_t word() {
    uint64_t value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }
  /// A number of words that follow.
  size_t count() {
    const uint64_t count = word();
    if (count > bytes_.size() / sizeof(uint64_t)) throw std::runtime_error("attributes are cut short");
    return count;
  }
  StoredAttribute::Extent extent() {
    const uint64_t value = word();
    const auto place = static_cast<int32_t>(value >> 32);
    return place != 0 ? StoredAttribute::Extent{true, place}
                      : StoredAttribute::Extent{false, static_cast<int32_t>(value)};
  }

 private:
  std::string_view bytes_;
};

StoredAttribute parse_one(Words& words) {
  StoredAttribute attribute;
  attribute.kind = static_cast<AttributeKind>(words.byte());
  attribute.name = words.take(words.byte());
  switch (attribute.kind) {
    case AttributeKind::whole:
    case AttributeKind::dtype:
      attribute.integer = static_cast<int64_t>(words.word());
      return attribute;
    case AttributeKind::real:
      attribute.number = std::bit_cast<double>(words.word());
      return attribute;
    case AttributeKind::text:
      attribute.text = words.take(words.word());
      return attribute;
    case AttributeKind::extent:
      attribute.extents.push_back(words.extent());
      return attribute;
    case AttributeKind::shape:
      for (size_t left = words.count(); left > 0; --left) attribute.extents.push_back(words.extent());
      return attribute;
    case AttributeKind::wholes:
      for (size_t left = words.count(); left > 0; --left) {
        const auto value = static_cast<int64_t>(words.word());
        if (value != static_cast<int>(value)) throw std::runtime_error("an attribute exceeds 32 bits");
        attribute.integers.push_back(static_cast<int>(value));
      }
      return attribute;
  }
  throw std::runtime_error("unknown kind of attribute");
}

}  // namespace

std::vector<StoredAttribute> parse_attributes(std::string_view bytes) {
  constexpr size_t most = 4096;
  std::vector<StoredAttribute> attributes;
  for (Words words(bytes); !words.is_done();) {
    attributes.push_back(parse_one(words));
    if (attributes.size() > most) throw std::runtime_error("too many attributes");
  }
  return attributes;
}

AttributeReader::AttributeReader(std::string_view name, std::string_view bytes,
                                 std::span<const ArraySpec> inputs, const std::function<Dim(int32_t)>& dim_at)
    : name_(name),
      inputs_(inputs),
      dim_at_(dim_at),
      attributes_(parse_attributes(bytes)),
      used_(attributes_.size(), false),
      left_(attributes_.size()) {}

const StoredAttribute& AttributeReader::next(std::string_view name, AttributeKind kind) {
  for (size_t i = 0; i < attributes_.size(); ++i) {
    if (used_[i] || attributes_[i].name != name) continue;
    if (attributes_[i].kind != kind) break;
    used_[i] = true;
    --left_;
    return attributes_[i];
  }
  throw std::runtime_error("attribute '" + std::string(name) + "' is missing, or of another kind");
}

void AttributeReader::require(bool condition, std::string_view what) const {
  if (!condition) throw std::runtime_error("its " + std::string(what) + " are wrong");
}

Dim AttributeReader::extent_of(const StoredAttribute::Extent& stored) const {
  return stored.is_place ? dim_at_(stored.value) : Dim(stored.value);
}

int AttributeReader::integer(std::string_view name, int low, int high) {
  const int64_t value = next(name, AttributeKind::whole).integer;
  if (value < low || value > high) {
    throw std::runtime_error("attribute '" + std::string(name) + "' cannot be " + std::to_string(value));
  }
  return static_cast<int>(value);
}

double AttributeReader::number(std::string_view name) {
  return next(name, AttributeKind::real).number;
}

Dtype AttributeReader::dtype(std::string_view name) {
  const int64_t value = next(name, AttributeKind::dtype).integer;
  if (value < 0 || value >= dtype_count) throw std::runtime_error("there is no such dtype");
  return dtype_from_value(static_cast<Dtype::Val>(value));
}

Dim AttributeReader::extent(std::string_view name) {
  return extent_of(next(name, AttributeKind::extent).extents[0]);
}

Shape AttributeReader::shape(std::string_view name) {
  Shape shape;
  for (const StoredAttribute::Extent& stored : next(name, AttributeKind::shape).extents) {
    const Dim extent = extent_of(stored);
    if (extent.hint() < 0) throw std::runtime_error("an extent is negative");
    shape.push_back(extent);
  }
  return shape;
}

std::vector<int> AttributeReader::integers(std::string_view name) {
  return next(name, AttributeKind::wholes).integers;
}

}  // namespace lazuli
