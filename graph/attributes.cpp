#include <lazuli/graph/attributes.h>

#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace lazuli {

// In a file each attribute is its kind, the length of its name, the name, and its value in words of 64 bits.

void AttributeWriter::begin(std::string_view name, AttributeKind kind) {
  if (form_ == Form::bytes) return;  // an operation always writes the same attributes in the same order
  if (form_ == Form::file) {
    result_ += static_cast<char>(kind);
    result_ += static_cast<char>(name.size());
    result_ += name;
    return;
  }
  if (!result_.empty()) result_ += ", ";
  result_ += name;
  result_ += '=';
}

void AttributeWriter::put(uint64_t word) {
  char bytes[sizeof(word)];
  std::memcpy(bytes, &word, sizeof(word));
  result_.append(bytes, sizeof(word));
}

void AttributeWriter::put(Dim value) {
  met_symbol_ = met_symbol_ || value.is_symbolic();
  const uint32_t symbol =
      form_ == Form::file && value.is_symbolic() ? value.symbol() - dim_base_ : value.symbol();
  put((static_cast<uint64_t>(symbol) << 32) |
      (value.is_symbolic() ? 0 : static_cast<uint32_t>(value.hint())));
}

std::string AttributeWriter::text_of(Dim value) const {
  return value.is_symbolic() ? fmt::format("s{}", value.symbol()) : fmt::format("{}", value.hint());
}

void AttributeWriter::write_integer(std::string_view name, int64_t value) {
  begin(name, AttributeKind::whole);
  if (form_ == Form::text) {
    result_ += fmt::format("{}", value);
  } else {
    put(static_cast<uint64_t>(value));
  }
}

void AttributeWriter::write(std::string_view name, double value) {
  begin(name, AttributeKind::real);
  if (form_ == Form::text) {
    result_ += fmt::format("{}", value);
  } else {
    put(std::bit_cast<uint64_t>(value));
  }
}

void AttributeWriter::write(std::string_view name, std::string_view value) {
  begin(name, AttributeKind::text);
  if (form_ == Form::text) {
    result_ += fmt::format("\"{}\"", value);
  } else {
    put(uint64_t{value.size()});
    result_ += value;
  }
}

void AttributeWriter::write(std::string_view name, Dtype value) {
  begin(name, AttributeKind::dtype);
  if (form_ == Form::text) {
    result_ += dtype_name(value);
  } else {
    put(static_cast<uint64_t>(value.val()));
  }
}

void AttributeWriter::write(std::string_view name, Dim value) {
  begin(name, AttributeKind::extent);
  if (form_ == Form::text) {
    met_symbol_ = met_symbol_ || value.is_symbolic();
    result_ += text_of(value);
  } else {
    put(value);
  }
}

void AttributeWriter::write(std::string_view name, const Shape& value) {
  begin(name, AttributeKind::shape);
  if (form_ != Form::text) {
    put(uint64_t{value.size()});
    for (const Dim extent : value) put(extent);
    return;
  }
  result_ += '(';
  for (size_t i = 0; i < value.size(); ++i) {
    if (i > 0) result_ += ',';
    result_ += text_of(value[i]);
  }
  result_ += ')';
}

void AttributeWriter::write(std::string_view name, std::span<const int> values) {
  begin(name, AttributeKind::wholes);
  if (form_ == Form::text) {
    result_ += fmt::format("({})", fmt::join(values, ","));
  } else {
    put(uint64_t{values.size()});
    for (const int value : values) put(static_cast<uint64_t>(static_cast<int64_t>(value)));
  }
}

}  // namespace lazuli
