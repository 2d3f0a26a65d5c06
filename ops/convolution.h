#pragma once

#include <tuple>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Convolutions (without reversing the kernel, unless asked to) over one to three spatial axes. The input is
/// [n, spatial axes, channels], the weight [outputs, kernel axes, channels / groups], the result [n, spatial
/// axes, outputs]. Channels and outputs are cut into `groups`, each of which sees its own part. Floating
/// point; float16 and bfloat16 are computed in float32 and rounded once. Each throws std::invalid_argument
/// for dtypes and shapes that do not fit.
namespace lazuli {

/// out[o] = sum over k of in[o * stride - padding_lo + k * kernel_dilation] * weight[k] along each spatial
/// axis. Input elements lie `input_dilation` apart, with zeros between them and `padding_lo` and `padding_hi`
/// zeros around. With `flip`, the kernel is reversed. Parameters of one element hold for all axes; of none,
/// they are 1, and 0 for padding.
array conv_general(array input, array weight, std::vector<int> stride = {}, std::vector<int> padding_lo = {},
                   std::vector<int> padding_hi = {}, std::vector<int> kernel_dilation = {},
                   std::vector<int> input_dilation = {}, int groups = 1, bool flip = false,
                   StreamOrDevice s = {});
/// The same with equal padding on both sides.
inline array conv_general(const array& input, const array& weight, std::vector<int> stride,
                          std::vector<int> padding, std::vector<int> kernel_dilation,
                          std::vector<int> input_dilation, int groups, bool flip = false,
                          StreamOrDevice s = {}) {
  return conv_general(input, weight, std::move(stride), padding, padding, std::move(kernel_dilation),
                      std::move(input_dilation), groups, flip, s);
}

array conv1d(const array& input, const array& weight, int stride = 1, int padding = 0, int dilation = 1,
             int groups = 1, StreamOrDevice s = {});  ///< conv_general along one to three axes
array conv2d(const array& input, const array& weight, const std::pair<int, int>& stride = {1, 1},
             const std::pair<int, int>& padding = {0, 0}, const std::pair<int, int>& dilation = {1, 1},
             int groups = 1, StreamOrDevice s = {});
array conv3d(const array& input, const array& weight, const std::tuple<int, int, int>& stride = {1, 1, 1},
             const std::tuple<int, int, int>& padding = {0, 0, 0},
             const std::tuple<int, int, int>& dilation = {1, 1, 1}, int groups = 1, StreamOrDevice s = {});

/// The transposes of the above as functions of their input: what `stride` left out is spread out again.
/// `output_padding` adds elements behind the result, of which shapes that give the same result differ.
array conv_transpose1d(const array& input, const array& weight, int stride = 1, int padding = 0,
                       int dilation = 1, int output_padding = 0, int groups = 1, StreamOrDevice s = {});
array conv_transpose2d(const array& input, const array& weight, const std::pair<int, int>& stride = {1, 1},
                       const std::pair<int, int>& padding = {0, 0},
                       const std::pair<int, int>& dilation = {1, 1},
                       const std::pair<int, int>& output_padding = {0, 0}, int groups = 1,
                       StreamOrDevice s = {});
array conv_transpose3d(const array& input, const array& weight,
                       const std::tuple<int, int, int>& stride = {1, 1, 1},
                       const std::tuple<int, int, int>& padding = {0, 0, 0},
                       const std::tuple<int, int, int>& dilation = {1, 1, 1},
                       const std::tuple<int, int, int>& output_padding = {0, 0, 0}, int groups = 1,
                       StreamOrDevice s = {});

}  // namespace lazuli
