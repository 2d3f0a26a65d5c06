#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// The modes of quantization whose elements are floating point numbers; `ops/quantized.h` says what they are.
namespace lazuli {

struct FloatFormat {
  int group_size;
  int bits;
};

/// The format of a mode; none for those that are no such mode. Throws std::invalid_argument `[name] ...`
/// where a group size or bits are given that it does not have.
std::optional<FloatFormat> float_format(const std::string& mode, std::optional<int> group_size,
                                        std::optional<int> bits, const std::string& name);

/// {codes, scales} of `w`.
std::vector<array> float_quantize(const array& w, FloatFormat format,
                                  const std::optional<array>& global_scale, const std::string& name,
                                  StreamOrDevice s);
/// What codes and scales stand for.
array float_dequantize(const array& w, const array& scales, FloatFormat format,
                       const std::optional<array>& global_scale, Dtype dtype, const std::string& name,
                       StreamOrDevice s);
/// Checks that codes and scales belong together and can be multiplied with `x`.
void check_float_product(const array& x, const array& w, const array& scales, FloatFormat format,
                         bool transpose, const std::string& name);
/// Whether there are products of such activations with codes; others take what the codes stand for.
bool takes_float_codes(Dtype dtype);
array float_quantized_matmul(const array& x, const array& w, const array& scales, FloatFormat format,
                             bool transpose, const std::string& name, StreamOrDevice s);
/// `x` rounded to the format's numbers; and `w`, which has scales where it is codes.
std::pair<array, array> rounded_operands(const array& x, const array& w, const std::optional<array>& w_scales,
                                         FloatFormat format, const std::optional<array>& global_scale_x,
                                         const std::optional<array>& global_scale_w, const std::string& name,
                                         StreamOrDevice s);

}  // namespace lazuli
