#include <lazuli/graph/attributes.h>

#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace lazuli {

void AttributeWriter::begin(std::string_view name) {
  if (form_ == Form::bytes) return;  // an operation always writes the same attributes in the same order
  if (!result_.empty()) result_ += ", ";
  result_ += name;
  result_ += '=';
}

void AttributeWriter::put(uint64_t word) {
  char bytes[sizeof(word)];
  std::memcpy(bytes, &word, sizeof(word));
  result_.append(bytes, sizeof(word));
}

void AttributeWriter::write_integer(std::string_view name, int64_t value) {
  begin(name);
  if (form_ == Form::bytes) {
    put(static_cast<uint64_t>(value));
  } else {
    result_ += fmt::format("{}", value);
  }
}

void AttributeWriter::write(std::string_view name, double value) {
  begin(name);
  if (form_ == Form::bytes) {
    put(std::bit_cast<uint64_t>(value));
  } else {
    result_ += fmt::format("{}", value);
  }
}

void AttributeWriter::write(std::string_view name, std::string_view value) {
  begin(name);
  if (form_ == Form::bytes) {
    put(value.size());
    result_ += value;
  } else {
    result_ += fmt::format("\"{}\"", value);
  }
}

void AttributeWriter::write(std::string_view name, Dtype value) {
  begin(name);
  if (form_ == Form::bytes) {
    put(static_cast<uint64_t>(value.val()));
  } else {
    result_ += dtype_name(value);
  }
}

void AttributeWriter::write(std::string_view name, Dim value) {
  begin(name);
  met_symbol_ = met_symbol_ || value.is_symbolic();
  if (form_ == Form::bytes) {
    put((static_cast<uint64_t>(value.symbol()) << 32) |
        (value.is_symbolic() ? 0 : static_cast<uint32_t>(value.hint())));
  } else {
    result_ += value.is_symbolic() ? fmt::format("s{}", value.symbol()) : fmt::format("{}", value.hint());
  }
}

void AttributeWriter::write(std::string_view name, const Shape& value) {
  if (form_ == Form::bytes) {
    put(value.size());
    for (Dim dim : value) write(name, dim);
    return;
  }
  begin(name);
  result_ += '(';
  for (size_t i = 0; i < value.size(); ++i) {
    if (i > 0) result_ += ',';
    result_ +=
        value[i].is_symbolic() ? fmt::format("s{}", value[i].symbol()) : fmt::format("{}", value[i].hint());
  }
  result_ += ')';
}

void AttributeWriter::write(std::string_view name, std::span<const int> values) {
  begin(name);
  if (form_ == Form::bytes) {
    put(values.size());
    for (int value : values) put(static_cast<uint64_t>(static_cast<int64_t>(value)));
  } else {
    result_ += fmt::format("({})", fmt::join(values, ","));
  }
}

}  // namespace lazuli
