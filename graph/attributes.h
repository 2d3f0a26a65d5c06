#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <lazuli/array/array.h>

namespace lazuli {

/// Collects an operation's attributes: as bytes, equal for equal attributes only (for hashing and
/// comparing), or as text (for dumps). An operation describes itself once, by writing to it.
class AttributeWriter {
 public:
  enum class Form : uint8_t { bytes, text };
  explicit AttributeWriter(Form form) : form_(form) {}

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
  void begin(std::string_view name);
  void put(uint64_t word);

  Form form_;
  bool met_symbol_ = false;
  std::string result_;
};

}  // namespace lazuli
