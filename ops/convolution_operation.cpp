#include <lazuli/ops/convolution_operation.h>

#include <lazuli/compiler/templates/convolution.h>
#include <lazuli/compiler/templates/convolution_weights.h>
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

void write_form(const ConvolutionForm& form, AttributeWriter& writer) {
  writer.write("stride", std::span<const int>(form.stride));
  writer.write("padding", std::span<const int>(form.padding));
  writer.write("kernel_dilation", std::span<const int>(form.kernel_dilation));
  writer.write("input_dilation", std::span<const int>(form.input_dilation));
  writer.write("groups", form.groups);
  writer.write("flip", form.flip);
}

/// What the template is told; pointers are left out.
templates::ConvolutionProblem problem_of(const ConvolutionForm& form, const TensorView& input,
                                         const TensorView& weight, const TensorView& out) {
  templates::ConvolutionProblem problem;
  problem.dtype = out.dtype;
  problem.batch = input.shape[0].hint();
  problem.channels = input.shape.back().hint();
  problem.features = weight.shape[0].hint();
  problem.groups = form.groups;
  problem.flip = form.flip;
  problem.input = input.data;
  // The last of the three axes are those that there are.
  const size_t rank = form.stride.size();
  for (size_t d = 0; d < rank; ++d) {
    const size_t to = 3 - rank + d;
    problem.in[to] = input.shape[d + 1].hint();
    problem.kernel[to] = weight.shape[d + 1].hint();
    problem.out[to] = out.shape[d + 1].hint();
    problem.stride[to] = form.stride[d];
    problem.padding[to] = form.padding[d];
    problem.kernel_dilation[to] = form.kernel_dilation[d];
    problem.input_dilation[to] = form.input_dilation[d];
  }
  return problem;
}

/// Input i meets weight k in result o where o * stride = i * input_dilation + padding - k * kernel_dilation:
/// a convolution of the cotangent with the kernel reversed, in which stride and input dilation change places.
array cotangent_of_input(ConvolutionForm form, const Shape& spatial, const array& weight, const array& g) {
  const int rank = static_cast<int>(form.stride.size());
  std::swap(form.stride, form.input_dilation);
  form.flip = !form.flip;
  for (int d = 0; d < rank; ++d) {
    const auto at = static_cast<size_t>(d);
    form.padding[at] =
        form.kernel_dilation[at] * (static_cast<int>(weight.shape(d + 1)) - 1) - form.padding[at];
  }
  // Features and channels of each group change places.
  const array grouped = unflatten(weight, 0, {form.groups, weight.shape(0) / form.groups});
  const array turned = flatten(swapaxes(grouped, 1, -1), 0, 1);
  return convolved(g, turned, std::move(form), spatial);
}

array cotangent_of_weight(ConvolutionForm form, Shape kernel, const array& input, const array& g) {
  return lazuli::apply(make_ref<ConvolutionWeightOperation>(std::move(form), std::move(kernel)), {input, g});
}

/// Members of a batch side by side, as groups: [batch, n, ..., channels] to [n, ..., batch * channels].
array side_by_side(const array& a, bool batched, Dim batch) {
  return flatten(moveaxis(as_batched(a, batched, batch), 0, -2), -2, -1);
}

}  // namespace

void ConvolutionOperation::attributes(AttributeWriter& writer) const {
  write_form(form_, writer);
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
  templates::ConvolutionProblem problem = problem_of(form_, inputs[0], inputs[1], outputs[0]);
  problem.weight = inputs[1].data;
  problem.weight_strides.feature = inputs[1].strides.front();
  // Where there is one channel, its stride says nothing.
  problem.weight_strides.channel = inputs[1].shape.back().hint() == 1 ? 1 : inputs[1].strides.back();
  const size_t rank = form_.stride.size();
  for (size_t d = 0; d < rank; ++d) problem.weight_strides.kernel[3 - rank + d] = inputs[1].strides[d + 1];
  problem.output = outputs[0].data;
  templates::convolution(problem);
}

double ConvolutionOperation::operation_count(std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs) const {
  const double weights = static_cast<double>(element_count(inputs[1].shape));
  const double features = std::max(1.0, static_cast<double>(inputs[1].shape[0].hint()));
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) * weights / features;
}

Differentials ConvolutionOperation::vjp(const Application& at, const Differentials& cotangents,
                                        const std::vector<bool>& wanted) const {
  Differentials result(2);
  const array& input = at.inputs[0];
  const array& weight = at.inputs[1];
  if (wanted[0]) result[0] = cotangent_of_input(form_, spatial_of(input), weight, *cotangents[0]);
  if (wanted[1]) result[1] = cotangent_of_weight(form_, spatial_of(weight), input, *cotangents[0]);
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
  const array images = side_by_side(input, batched[0], batch);
  const array all = convolved(images, flatten(weight, 0, 1), std::move(form), spatial_);
  return {moveaxis(unflatten(all, -1, {batch, weight.shape(1)}), -2, 0)};
}

void ConvolutionWeightOperation::attributes(AttributeWriter& writer) const {
  write_form(form_, writer);
  writer.write("kernel", kernel_);
}

std::vector<ArraySpec> ConvolutionWeightOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape{inputs[1].shape.back()};
  shape.insert(shape.end(), kernel_.begin(), kernel_.end());
  shape.push_back(inputs[0].shape.back() / form_.groups);
  return {{std::move(shape), inputs[0].dtype}};
}

void ConvolutionWeightOperation::execute(std::span<const TensorView> inputs,
                                         std::span<const TensorView> outputs) const {
  const templates::ConvolutionProblem problem = problem_of(form_, inputs[0], outputs[0], inputs[1]);
  templates::convolution_weights(problem, inputs[1].data, outputs[0].data);
}

double ConvolutionWeightOperation::operation_count(std::span<const TensorView> inputs,
                                                   std::span<const TensorView> outputs) const {
  const double weights = static_cast<double>(element_count(outputs[0].shape));
  const double features = std::max(1.0, static_cast<double>(inputs[1].shape.back().hint()));
  return 2.0 * static_cast<double>(element_count(inputs[1].shape)) * weights / features;
}

Differentials ConvolutionWeightOperation::vjp(const Application& at, const Differentials& cotangents,
                                              const std::vector<bool>& wanted) const {
  const array& input = at.inputs[0];
  const array& g = at.inputs[1];
  Differentials result(2);
  if (wanted[0]) result[0] = cotangent_of_input(form_, spatial_of(input), *cotangents[0], g);
  if (wanted[1]) result[1] = convolved(input, *cotangents[0], form_, spatial_of(g));
  return result;
}

Differentials ConvolutionWeightOperation::jvp(const Application& at, const Differentials& tangents) const {
  const Ref<const Operation> same(this);
  std::optional<array> result;
  if (tangents[0]) result = lazuli::apply(same, {*tangents[0], at.inputs[1]});
  if (tangents[1]) {
    const array of_result = lazuli::apply(same, {at.inputs[0], *tangents[1]});
    result = result ? add(*result, of_result) : of_result;
  }
  return {result};
}

std::vector<array> ConvolutionWeightOperation::vmap(std::span<const array> inputs,
                                                    const std::vector<bool>& batched, Dim batch) const {
  ConvolutionForm form = form_;
  form.groups *= static_cast<int>(batch);
  const array all = cotangent_of_weight(std::move(form), kernel_, side_by_side(inputs[0], batched[0], batch),
                                        side_by_side(inputs[1], batched[1], batch));
  return {unflatten(all, 0, {batch, all.shape(0) / batch})};
}

}  // namespace lazuli
