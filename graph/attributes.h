#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <lazuli/array/array.h>

namespace lazuli {

/// What an attribute is, as files say it.
enum class AttributeKind : uint8_t { whole, real, text, dtype, extent, shape, wholes };

/// Collects an operation's attributes: as bytes, equal for equal attributes only (for hashing and
/// comparing), as text (for dumps), or as what stands in a file (for AttributeReader). An operation describes
/// itself once, by writing to it.
class AttributeWriter {
 public:
  enum class Form : uint8_t { bytes, text, file };
  /// In files symbolic extents are places in a DimTable, which begin at the symbol `dim_base`.
  explicit AttributeWriter(Form form, uint32_t dim_base = 0) : form_(form), dim_base_(dim_base) {}

  template <typename T>
  requires std::integral<T> || std::is_enum_v<T>
  void write(std::string_view name, T value) { write_integer(name, static_cast<int64_t>(value)); }
  void write(std::string_view name, double value);
  void write(std::string_view name, std::string_view value);
  void write(std::string_view name, const char* value) { write(name, std::string_view(value)); }
  void write(std::string_view name, Dtype value);
  void write(std::string_view name, Dim value);
  void write(std::string_view name, const Shape& value);
  void write(std::string_view name, std::span<const int> values);

  const std::string& result() const { return result_; }
  /// Whether an extent among them is symbolic.
  bool met_symbol() const { return met_symbol_; }

 private:
  void write_integer(std::string_view name, int64_t value);
  void begin(std::string_view name, AttributeKind kind);
  void put(uint64_t word);
  void put(Dim value);
  std::string text_of(Dim value) const;

  Form form_;
  uint32_t dim_base_;
  bool met_symbol_ = false;
  std::string result_;
};

}  // namespace lazuli
