#include <lazuli/ops/fp8.h>

#include <limits>
#include <stdexcept>
#include <string>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

constexpr uint32_t sign_bit = 0x80;
constexpr uint32_t not_a_number = 0x7f;
constexpr float largest = 448;
constexpr float smallest_normal = 0x1p-6f;
/// Distance of neighbours below that.
constexpr float smallest = 0x1p-9f;
constexpr uint32_t fraction_difference = 23 - 3;
constexpr uint32_t exponent_difference = 127 - 7;

void require_floating(Dtype dtype, const char* name) {
  if (issubdtype(dtype, floating)) return;
  throw std::invalid_argument("[" + std::string(name) + "] the dtype must be real floating point, not " +
                              std::string(dtype_name(dtype)));
}

}  // namespace

array to_fp8(array x, StreamOrDevice s) {
  const StreamContext on(s);
  require_floating(x.dtype(), "to_fp8");
  const auto word = [](uint32_t value) { return array(value); };
  const array value = astype(x, float32, s);
  const array bits = view(value, uint32, s);
  const array magnitude = minimum(abs(value, s), array(largest), s);
  // Half of what is cut off is added, and a little less where the last bit that stays is even.
  const array own = view(magnitude, uint32, s);
  const array odd = bitwise_and(right_shift(own, word(fraction_difference), s), word(1), s);
  const array rounded = add(add(own, word((1u << (fraction_difference - 1)) - 1), s), odd, s);
  const array normal =
      subtract(right_shift(rounded, word(fraction_difference), s), word(exponent_difference << 3), s);
  const array small = astype(round(multiply(magnitude, array(1 / smallest), s), s), uint32, s);
  array code = where(less(magnitude, array(smallest_normal), s), small, normal, s);
  code = where(isnan(value, s), word(not_a_number), code, s);
  const array sign = bitwise_and(right_shift(bits, word(24), s), word(sign_bit), s);
  return astype(bitwise_or(code, sign, s), uint8, s);
}

array from_fp8(array x, Dtype dtype, StreamOrDevice s) {
  const StreamContext on(s);
  require_floating(dtype, "from_fp8");
  if (x.dtype() != uint8) {
    throw std::invalid_argument("[from_fp8] the numbers must be uint8, not " +
                                std::string(dtype_name(x.dtype())));
  }
  const auto word = [](uint32_t value) { return array(value); };
  const array bits = astype(x, uint32, s);
  const array code = bitwise_and(bits, word(not_a_number), s);
  // Below the smallest normal number codes count; above, they are a float32's upper bits with another bias.
  const array normal = view(
      add(left_shift(code, word(fraction_difference), s), word(exponent_difference << 23), s), float32, s);
  array value =
      where(less(code, word(8), s), multiply(astype(code, float32, s), array(smallest), s), normal, s);
  value = where(equal(code, word(not_a_number), s), array(std::numeric_limits<float>::quiet_NaN()), value, s);
  value = where(greater_equal(bits, word(sign_bit), s), negative(value, s), value, s);
  return astype(value, dtype, s);
}

}  // namespace lazuli
