#include <lazuli/ops/convolution_operation.h>

#include <numeric>

#include <lazuli/compiler/templates/convolution.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

/// The extents of an array between its first and its last axis.
Shape spatial_of(const array& a) {
  return Shape(a.shape().begin() + 1, a.shape().end() - 1);
}

array convolved(const array& input, const array& weight, ConvolutionForm form, Shape spatial) {
  return lazuli::apply(make_ref<ConvolutionOperation>(std::move(form), std::move(spatial)), {input, weight});
}

}  // namespace

void ConvolutionOperation::attributes(AttributeWriter& writer) const {
  writer.write("stride", std::span<const int>(form_.stride));
  writer.write("padding", std::span<const int>(form_.padding));
  writer.write("kernel_dilation", std::span<const int>(form_.kernel_dilation));
  writer.write("input_dilation", std::span<const int>(form_.input_dilation));
  writer.write("groups", form_.groups);
  writer.write("flip", form_.flip);
  writer.write("spatial", spatial_);
}

std::vector<ArraySpec> ConvolutionOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape{inputs[0].shape[0]};
  shape.insert(shape.end(), spatial_.begin(), spatial_.end());
  shape.push_back(inputs[1].shape[0]);
  return {{std::move(shape), inputs[0].dtype}};
}

void ConvolutionOperation::execute(std::span<const TensorView> inputs,
                                   std::span<const TensorView> outputs) const {
  const TensorView& input = inputs[0];
  const TensorView& weight = inputs[1];
  const TensorView& out = outputs[0];
  templates::ConvolutionProblem problem;
  problem.dtype = out.dtype;
  problem.batch = input.shape[0].hint();
  problem.channels = input.shape.back().hint();
  problem.features = weight.shape[0].hint();
  problem.groups = form_.groups;
  problem.flip = form_.flip;
  problem.input = input.data;
  problem.weight = weight.data;
  problem.output = out.data;
  // The last of the three axes are those that there are.
  const size_t rank = form_.stride.size();
  for (size_t d = 0; d < rank; ++d) {
    const size_t to = 3 - rank + d;
    problem.in[to] = input.shape[d + 1].hint();
    problem.kernel[to] = weight.shape[d + 1].hint();
    problem.out[to] = out.shape[d + 1].hint();
    problem.stride[to] = form_.stride[d];
    problem.padding[to] = form_.padding[d];
    problem.kernel_dilation[to] = form_.kernel_dilation[d];
    problem.input_dilation[to] = form_.input_dilation[d];
  }
  templates::convolution(problem);
}

double ConvolutionOperation::operation_count(std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs) const {
  const double weights = static_cast<double>(element_count(inputs[1].shape));
  const double features = std::max(1.0, static_cast<double>(inputs[1].shape[0].hint()));
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) * weights / features;
}

/// Input i meets weight k in result o where o * stride = i * input_dilation + padding - k * kernel_dilation:
/// a convolution of the cotangent with the kernel reversed, in which stride and input dilation change places.
array ConvolutionOperation::cotangent_of_input(const array& input, const array& weight,
                                               const array& g) const {
  const int rank = static_cast<int>(form_.stride.size());
  ConvolutionForm form = form_;
  std::swap(form.stride, form.input_dilation);
  form.flip = !form_.flip;
  for (int d = 0; d < rank; ++d) {
    const auto at = static_cast<size_t>(d);
    form.padding[at] =
        form_.kernel_dilation[at] * (static_cast<int>(weight.shape(d + 1)) - 1) - form_.padding[at];
  }
  // Features and channels of each group change places.
  const array grouped = unflatten(weight, 0, {form_.groups, weight.shape(0) / form_.groups});
  const array turned = flatten(swapaxes(grouped, 1, -1), 0, 1);
  return convolved(g, turned, std::move(form), spatial_of(input));
}

/// The cotangent takes the part of the kernel, the kernel's places that of the result, and the batch that of
/// the channels: input as [channels of a group, spatial axes, groups * n], cotangent as [features, ..., n].
array ConvolutionOperation::cotangent_of_weight(const array& input, const array& weight,
                                                const array& g) const {
  const int rank = static_cast<int>(form_.stride.size());
  ConvolutionForm form = form_;
  std::swap(form.stride, form.kernel_dilation);
  form.flip = false;
  const array grouped = unflatten(input, -1, {form_.groups, input.shape(-1) / form_.groups});
  std::vector<int> order{rank + 2};
  for (int d = 1; d <= rank; ++d) order.push_back(d);
  order.push_back(rank + 1);
  order.push_back(0);
  const array images = flatten(transpose(grouped, order), -2, -1);
  const array result =
      swapaxes(convolved(images, swapaxes(g, 0, -1), std::move(form), spatial_of(weight)), 0, -1);
  if (!form_.flip) return result;
  std::vector<int> axes(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), 1);
  return flip(result, axes);
}

Differentials ConvolutionOperation::vjp(const Application& at, const Differentials& cotangents,
                                        const std::vector<bool>& wanted) const {
  Differentials result(2);
  if (wanted[0]) result[0] = cotangent_of_input(at.inputs[0], at.inputs[1], *cotangents[0]);
  if (wanted[1]) result[1] = cotangent_of_weight(at.inputs[0], at.inputs[1], *cotangents[0]);
  return result;
}

Differentials ConvolutionOperation::jvp(const Application& at, const Differentials& tangents) const {
  const Ref<const Operation> same(this);
  std::optional<array> result;
  if (tangents[0]) result = lazuli::apply(same, {*tangents[0], at.inputs[1]});
  if (tangents[1]) {
    const array of_weight = lazuli::apply(same, {at.inputs[0], *tangents[1]});
    result = result ? add(*result, of_weight) : of_weight;
  }
  return {result};
}

std::vector<array> ConvolutionOperation::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                              Dim batch) const {
  const array& input = inputs[0];
  const array& weight = inputs[1];
  if (!batched[1]) {
    const Dim images = input.shape(1);
    const array all = lazuli::apply(Ref<const Operation>(this), {flatten(input, 0, 1), weight});
    return {unflatten(all, 0, {batch, images})};
  }
  // Members with kernels of their own are groups.
  ConvolutionForm form = form_;
  form.groups *= static_cast<int>(batch);
  const array side_by_side = flatten(moveaxis(as_batched(input, batched[0], batch), 0, -2), -2, -1);
  const array all = convolved(side_by_side, flatten(weight, 0, 1), std::move(form), spatial_);
  return {moveaxis(unflatten(all, -1, {batch, weight.shape(1)}), -2, 0)};
}

}  // namespace lazuli
