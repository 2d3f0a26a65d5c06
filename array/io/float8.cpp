#include <lazuli/array/io/float8.h>

#include <array>
#include <cmath>
#include <limits>

namespace lazuli {

namespace {

float value_of(unsigned code, Float8 format) {
  if (format == Float8::e5m2) return float16_t::from_bits(static_cast<uint16_t>(code << 8));
  const float sign = code < 0x80 ? 1.0f : -1.0f;
  const unsigned exponent = code >> 3 & 0xf;
  const unsigned fraction = code & 7;
  if ((code & 0x7f) == 0x7f) return std::copysign(std::numeric_limits<float>::quiet_NaN(), sign);
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -9);
  return sign * std::ldexp(static_cast<float>(8 + fraction), static_cast<int>(exponent) - 10);
}

std::array<bfloat16_t, 256> make_table(Float8 format) {
  std::array<bfloat16_t, 256> table;
  for (unsigned code = 0; code < table.size(); ++code) table[code] = bfloat16_t(value_of(code, format));
  return table;
}

}  // namespace

array decode_float8(const array& codes, Float8 format) {
  static const std::array<bfloat16_t, 256> tables[] = {make_table(Float8::e4m3), make_table(Float8::e5m2)};
  const auto& table = tables[static_cast<size_t>(format)];
  const size_t size = codes.size();
  Ref<Buffer> numbers = Buffer::allocate(size * sizeof(bfloat16_t));
  auto* out = reinterpret_cast<bfloat16_t*>(numbers->data());
  const auto* in = codes.data<uint8_t>();
  for (size_t i = 0; i < size; ++i) out[i] = table[in[i]];
  return array(
      Node::of_data(std::move(numbers), 0, codes.shape(), row_major_strides(codes.shape()), bfloat16));
}

}  // namespace lazuli
