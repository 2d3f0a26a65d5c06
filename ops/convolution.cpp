#include <lazuli/ops/convolution.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/ops/convolution_operation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::invalid_argument("[conv] " + what);
}

/// A parameter for every spatial axis.
std::vector<int> for_axes(const std::vector<int>& given, size_t rank, int usual, int least,
                          const char* name) {
  std::vector<int> result = given;
  if (given.empty()) result.assign(rank, usual);
  if (given.size() == 1) result.assign(rank, given[0]);
  if (result.size() != rank) {
    fail(std::string(name) + " has " + std::to_string(given.size()) + " elements for " +
         std::to_string(rank) + " spatial axes");
  }
  for (const int value : result) {
    if (value < least) fail(std::string(name) + " must be at least " + std::to_string(least));
  }
  return result;
}

void check(const array& input, const array& weight, int groups) {
  if (input.ndim() != weight.ndim() || input.ndim() < 3 || input.ndim() > 5) {
    fail("input " + shape_to_string(input.shape()) + " and weight " + shape_to_string(weight.shape()) +
         " must both have three to five dimensions");
  }
  if (groups < 1 || weight.shape(0) % groups != 0 || weight.shape(-1) * groups != input.shape(-1)) {
    fail("input " + shape_to_string(input.shape()) + " and weight " + shape_to_string(weight.shape()) +
         " do not fit with " + std::to_string(groups) + " groups");
  }
}

/// Whether it is a product of each place's channels with one matrix.
bool is_product(const array& weight, const ConvolutionForm& form) {
  const auto all = [](const std::vector<int>& values, int value) {
    return std::all_of(values.begin(), values.end(), [&](int v) { return v == value; });
  };
  for (size_t d = 1; d + 1 < weight.ndim(); ++d) {
    if (weight.shape()[d].hint() != 1) return false;
  }
  return form.groups == 1 && all(form.stride, 1) && all(form.padding, 0) && all(form.input_dilation, 1);
}

}  // namespace

array conv_general(array input, array weight, std::vector<int> stride, std::vector<int> padding_lo,
                   std::vector<int> padding_hi, std::vector<int> kernel_dilation,
                   std::vector<int> input_dilation, int groups, bool flip, StreamOrDevice s) {
  const StreamContext on(s);
  check(input, weight, groups);
  const Dtype dtype = promote_types(input.dtype(), weight.dtype());
  if (!issubdtype(dtype, floating)) {
    fail(std::string(dtype_name(dtype)) + " is not supported: real floating point only");
  }
  const size_t rank = input.ndim() - 2;
  ConvolutionForm form;
  form.stride = for_axes(stride, rank, 1, 1, "stride");
  form.padding = for_axes(padding_lo, rank, 0, -(1 << 24), "padding");
  form.kernel_dilation = for_axes(kernel_dilation, rank, 1, 1, "kernel dilation");
  form.input_dilation = for_axes(input_dilation, rank, 1, 1, "input dilation");
  form.groups = groups;
  form.flip = flip;
  const std::vector<int> behind = for_axes(padding_hi, rank, 0, -(1 << 24), "padding");
  Shape spatial;
  bool is_padded = false;
  for (size_t d = 0; d < rank; ++d) {
    const Dim apart = (input.shape()[d + 1] - 1) * form.input_dilation[d] + 1;
    const Dim kernel = (weight.shape()[d + 1] - 1) * form.kernel_dilation[d] + 1;
    const Dim room = apart + (form.padding[d] + behind[d]) - kernel;
    if (weight.shape()[d + 1] < 1 || input.shape()[d + 1] < 1 || room < 0) {
      fail("a kernel of shape " + shape_to_string(weight.shape()) + " does not fit into an input of shape " +
           shape_to_string(input.shape()));
    }
    spatial.push_back(room / form.stride[d] + 1);
    is_padded = is_padded || behind[d] != 0;
  }
  // Halves lose nothing in float32, and are rounded once.
  const Dtype wide = dtype == float64 ? float64 : float32;
  if (!is_padded && is_product(weight, form)) {
    const array matrix = reshape(weight, {weight.shape(0), weight.shape(-1)}, s);
    return matmul(astype(input, dtype, s), transpose(astype(matrix, dtype, s), s), s);
  }
  const array result = lazuli::apply(make_ref<ConvolutionOperation>(std::move(form), std::move(spatial)),
                                     {astype(input, wide, s), astype(weight, wide, s)});
  return astype(result, dtype, s);
}

namespace {

std::vector<int> numbers(const std::pair<int, int>& pair) {
  return {pair.first, pair.second};
}
std::vector<int> numbers(const std::tuple<int, int, int>& triple) {
  return {std::get<0>(triple), std::get<1>(triple), std::get<2>(triple)};
}

void check_rank(const array& input, size_t rank, const char* name) {
  if (input.ndim() != rank + 2) {
    throw std::invalid_argument("[" + std::string(name) + "] the input must have " +
                                std::to_string(rank + 2) + " dimensions, not " +
                                std::to_string(input.ndim()));
  }
}

array conv(const array& input, const array& weight, const std::vector<int>& stride,
           const std::vector<int>& padding, const std::vector<int>& dilation, int groups, const char* name,
           StreamOrDevice s) {
  check_rank(input, stride.size(), name);
  return conv_general(input, weight, stride, padding, padding, dilation, {}, groups, false, s);
}

/// Result o and input i of the convolution that is transposed meet at weight k where
/// i = o * stride - padding + k * dilation.
array conv_transpose(const array& input, const array& weight, const std::vector<int>& stride,
                     const std::vector<int>& padding, const std::vector<int>& dilation,
                     const std::vector<int>& output_padding, int groups, const char* name, StreamOrDevice s) {
  check_rank(input, stride.size(), name);
  check_rank(weight, stride.size(), name);
  std::vector<int> before;
  std::vector<int> behind;
  for (size_t d = 0; d < stride.size(); ++d) {
    before.push_back(dilation[d] * (static_cast<int>(weight.shape()[d + 1]) - 1) - padding[d]);
    behind.push_back(before[d] + output_padding[d]);
  }
  return conv_general(input, weight, {}, before, behind, dilation, stride, groups, true, s);
}

}  // namespace

array conv1d(const array& input, const array& weight, int stride, int padding, int dilation, int groups,
             StreamOrDevice s) {
  return conv(input, weight, {stride}, {padding}, {dilation}, groups, "conv1d", s);
}
array conv2d(const array& input, const array& weight, const std::pair<int, int>& stride,
             const std::pair<int, int>& padding, const std::pair<int, int>& dilation, int groups,
             StreamOrDevice s) {
  return conv(input, weight, numbers(stride), numbers(padding), numbers(dilation), groups, "conv2d", s);
}
array conv3d(const array& input, const array& weight, const std::tuple<int, int, int>& stride,
             const std::tuple<int, int, int>& padding, const std::tuple<int, int, int>& dilation, int groups,
             StreamOrDevice s) {
  return conv(input, weight, numbers(stride), numbers(padding), numbers(dilation), groups, "conv3d", s);
}

array conv_transpose1d(const array& input, const array& weight, int stride, int padding, int dilation,
                       int output_padding, int groups, StreamOrDevice s) {
  return conv_transpose(input, weight, {stride}, {padding}, {dilation}, {output_padding}, groups,
                        "conv_transpose1d", s);
}
array conv_transpose2d(const array& input, const array& weight, const std::pair<int, int>& stride,
                       const std::pair<int, int>& padding, const std::pair<int, int>& dilation,
                       const std::pair<int, int>& output_padding, int groups, StreamOrDevice s) {
  return conv_transpose(input, weight, numbers(stride), numbers(padding), numbers(dilation),
                        numbers(output_padding), groups, "conv_transpose2d", s);
}
array conv_transpose3d(const array& input, const array& weight, const std::tuple<int, int, int>& stride,
                       const std::tuple<int, int, int>& padding, const std::tuple<int, int, int>& dilation,
                       const std::tuple<int, int, int>& output_padding, int groups, StreamOrDevice s) {
  return conv_transpose(input, weight, numbers(stride), numbers(padding), numbers(dilation),
                        numbers(output_padding), groups, "conv_transpose3d", s);
}

}  // namespace lazuli
