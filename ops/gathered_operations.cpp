#include <lazuli/ops/gathered_operations.h>

#include <algorithm>
#include <stdexcept>

#include <lazuli/compiler/templates/matmul.h>
#include <lazuli/compiler/templates/quantized_matmul.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

int64_t chosen(const TensorView& indices, int64_t i, int64_t count) {
  const int64_t index = reinterpret_cast<const int32_t*>(indices.data)[i];
  return std::clamp<int64_t>(index < 0 ? index + count : index, 0, count - 1);
}

/// Members [first, first + count) of the result: all with one matrix on the right, and the left ones `step`
/// matrices apart.
struct Run {
  int64_t first;
  int64_t count;
  int64_t left;
  int64_t step;
  int64_t right;
};

/// Members cut into runs, where the rows of a run can be those of one matrix: if each has but one row.
std::vector<Run> runs_of(const TensorView& lhs, const TensorView& rhs, int64_t left_count,
                         int64_t right_count, bool single_rows) {
  std::vector<Run> runs;
  const int64_t count = lhs.shape[0].hint();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t left = chosen(lhs, i, left_count);
    const int64_t right = chosen(rhs, i, right_count);
    if (single_rows && !runs.empty()) {
      Run& last = runs.back();
      const int64_t step = left - (last.left + (last.count - 1) * last.step);
      if (last.right == right && (last.count == 1 || last.step == step)) {
        last.step = step;
        ++last.count;
        continue;
      }
    }
    runs.push_back({i, 1, left, 0, right});
  }
  return runs;
}

/// How many operands a quantized product has in the affine mode.
constexpr size_t with_biases = 6;

array counting_to(Dim count) {
  return arange(count, int32);
}

/// `updates` [n, ...] added up in a stack of the shape of `like` at the places that indices say.
array added_at(const array& like, const array& indices, const array& updates) {
  return scatter_add(zeros(like.shape(), updates.dtype()), indices, expand_dims(updates, 1), 0);
}

/// A stack of each member of a batch as one stack, and indices that find in it what they found in their own.
array one_stack(const array& stack, bool batched) {
  return batched ? flatten(stack, 0, 1) : stack;
}
array one_index(const array& indices, bool indices_batched, const array& stack, bool stack_batched,
                Dim batch) {
  array all = as_batched(indices, indices_batched, batch);
  if (stack_batched) {
    const array count = extent_array(stack.shape(1), int32);
    all = where(less(all, array(0)), add(all, count), all);
    all = clip(all, array(0), subtract(count, array(1)));
    all = add(all, expand_dims(multiply(counting_to(batch), count), 1));
  }
  return flatten(all);
}

}  // namespace

std::vector<ArraySpec> GatherMatmulOperation::infer(std::span<const ArraySpec> inputs) const {
  return {{{inputs[2].shape[0], inputs[0].shape[1], inputs[1].shape[2]}, inputs[0].dtype}};
}

void GatherMatmulOperation::execute(std::span<const TensorView> inputs,
                                    std::span<const TensorView> outputs) const {
  const TensorView& a = inputs[0];
  const TensorView& b = inputs[1];
  const TensorView& out = outputs[0];
  if (element_count(out.shape) == 0) return;
  const int64_t m = a.shape[1].hint();
  const std::vector<Run> runs = runs_of(inputs[2], inputs[3], a.shape[0].hint(), b.shape[0].hint(), m == 1);
  const int64_t size = a.dtype.size();

  templates::MatmulProblem problem;
  problem.n = b.shape[2].hint();
  problem.k = a.shape[2].hint();
  problem.a = {a.data, a.dtype, a.strides[1], a.strides[2]};
  problem.b = {b.data, b.dtype, b.strides[1], b.strides[2]};
  problem.out = out.data;
  problem.out_dtype = out.dtype;
  problem.out_row_stride = problem.n;
  if (static_cast<int64_t>(runs.size()) == out.shape[0].hint()) {
    std::vector<int64_t> a_offsets;
    std::vector<int64_t> b_offsets;
    for (const Run& run : runs) {
      a_offsets.push_back(run.left * a.strides[0]);
      b_offsets.push_back(run.right * b.strides[0]);
    }
    problem.batch = out.shape[0].hint();
    problem.m = m;
    problem.a_batch.offsets = a_offsets.data();
    problem.b_batch.offsets = b_offsets.data();
    problem.out_batch.stride = m * problem.n;
    return templates::matmul(problem);
  }
  for (const Run& run : runs) {
    problem.m = run.count;
    problem.a.data = a.data + run.left * a.strides[0] * size;
    problem.a.row_stride = run.step * a.strides[0];
    problem.b.data = b.data + run.right * b.strides[0] * size;
    problem.out = out.data + run.first * problem.n * size;
    templates::matmul(problem);
  }
}

double GatherMatmulOperation::operation_count(std::span<const TensorView> inputs,
                                              std::span<const TensorView> outputs) const {
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) * inputs[0].shape[2].hint();
}

Differentials GatherMatmulOperation::vjp(const Application& at, const Differentials& cotangents,
                                         const std::vector<bool>& wanted) const {
  const array& a = at.inputs[0];
  const array& b = at.inputs[1];
  const array& lhs = at.inputs[2];
  const array& rhs = at.inputs[3];
  const array& g = *cotangents[0];
  const array all = counting_to(lhs.shape(0));
  const auto adjoint = [](const array& x) { return conjugate(swapaxes(x, -1, -2)); };
  const Ref<const Operation> same(this);
  Differentials result(4);
  if (wanted[0]) result[0] = added_at(a, lhs, lazuli::apply(same, {g, adjoint(b), all, rhs}));
  if (wanted[1]) result[1] = added_at(b, rhs, lazuli::apply(same, {adjoint(a), g, lhs, all}));
  return result;
}

std::vector<array> GatherMatmulOperation::vmap(std::span<const array> inputs,
                                               const std::vector<bool>& batched, Dim batch) const {
  const Dim members = inputs[2].shape(-1);
  const array all = lazuli::apply(Ref<const Operation>(this),
                                  {one_stack(inputs[0], batched[0]), one_stack(inputs[1], batched[1]),
                                   one_index(inputs[2], batched[2], inputs[0], batched[0], batch),
                                   one_index(inputs[3], batched[3], inputs[1], batched[1], batch)});
  return {unflatten(all, 0, {batch, members})};
}

void GatherQuantizedMatmulOperation::attributes(AttributeWriter& writer) const {
  writer.write("transpose", transpose_);
  writer.write("group_size", group_size_);
  writer.write("bits", bits_);
}

std::vector<ArraySpec> GatherQuantizedMatmulOperation::infer(std::span<const ArraySpec> inputs) const {
  const Dim n = transpose_ ? inputs[1].shape[1] : inputs[2].shape[2] * group_size_;
  return {{{inputs.back().shape[0], inputs[0].shape[1], n}, inputs[0].dtype}};
}

void GatherQuantizedMatmulOperation::execute(std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs) const {
  const TensorView& x = inputs[0];
  const TensorView& codes = inputs[1];
  const TensorView& scales = inputs[2];
  const std::byte* biases = inputs.size() == with_biases ? inputs[3].data : nullptr;
  const TensorView& lhs = inputs[inputs.size() - 2];
  const TensorView& rhs = inputs.back();
  const TensorView& out = outputs[0];
  if (element_count(out.shape) == 0) return;
  const int64_t m = x.shape[1].hint();
  const int64_t k = x.shape[2].hint();
  const int64_t n = out.shape[2].hint();
  const int64_t rows = codes.shape[1].hint();
  const int64_t columns = int64_t{scales.shape[2].hint()} * group_size_;
  const int64_t scales_size = rows * scales.shape[2].hint() * scales.dtype.size();
  for (const Run& run : runs_of(lhs, rhs, x.shape[0].hint(), codes.shape[0].hint(), m == 1)) {
    templates::QuantizedMatmulProblem problem;
    problem.m = run.count * m;
    problem.x = x.data + run.left * m * k * x.dtype.size();
    problem.dtype = x.dtype;
    problem.x_row_stride = run.count > 1 ? run.step * k : k;
    problem.w = templates::QuantizedMatrix::contiguous(
        reinterpret_cast<const uint32_t*>(codes.data) + run.right * rows * codes.shape[2].hint(),
        scales.data + run.right * scales_size, biases == nullptr ? nullptr : biases + run.right * scales_size,
        scales.dtype, rows, columns, bits_, group_size_);
    problem.transpose = transpose_;
    problem.out = out.data + run.first * m * n * out.dtype.size();
    problem.out_row_stride = n;
    templates::quantized_matmul(problem);
  }
}

double GatherQuantizedMatmulOperation::operation_count(std::span<const TensorView> inputs,
                                                       std::span<const TensorView> outputs) const {
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) * inputs[0].shape[2].hint();
}

Differentials GatherQuantizedMatmulOperation::vjp(const Application& at, const Differentials& cotangents,
                                                  const std::vector<bool>& wanted) const {
  const size_t count = at.inputs.size();
  if (count == with_biases && (wanted[2] || wanted[3])) {
    throw std::invalid_argument("[gather_qmm] there is no gradient with respect to scales and biases");
  }
  Differentials result(count);
  if (!wanted[0]) return result;
  const array& lhs = at.inputs[count - 2];
  std::vector<array> operands(at.inputs.begin(), at.inputs.end());
  operands[0] = *cotangents[0];
  operands[count - 2] = counting_to(lhs.shape(0));
  const auto other_way = make_ref<GatherQuantizedMatmulOperation>(!transpose_, group_size_, bits_);
  result[0] = added_at(at.inputs[0], lhs, lazuli::apply(other_way, std::move(operands)));
  return result;
}

std::vector<array> GatherQuantizedMatmulOperation::vmap(std::span<const array> inputs,
                                                        const std::vector<bool>& batched, Dim batch) const {
  const size_t lhs = inputs.size() - 2;
  const size_t rhs = inputs.size() - 1;
  const Dim members = inputs[lhs].shape(-1);
  // The parts of the matrices are batched together.
  const bool matrices = std::find(batched.begin() + 1, batched.begin() + static_cast<int64_t>(lhs), true) !=
                        batched.begin() + static_cast<int64_t>(lhs);
  std::vector<array> operands{one_stack(inputs[0], batched[0])};
  for (size_t i = 1; i < lhs; ++i) {
    operands.push_back(matrices ? one_stack(as_batched(inputs[i], batched[i], batch), true) : inputs[i]);
  }
  const array& codes = inputs[1];
  operands.push_back(one_index(inputs[lhs], batched[lhs], inputs[0], batched[0], batch));
  operands.push_back(one_index(inputs[rhs], batched[rhs],
                               matrices ? as_batched(codes, batched[1], batch) : codes, matrices, batch));
  return {unflatten(lazuli::apply(Ref<const Operation>(this), std::move(operands)), 0, {batch, members})};
}

std::vector<ArraySpec> SegmentedMatmulOperation::infer(std::span<const ArraySpec> inputs) const {
  return {{{inputs[2].shape[0], inputs[0].shape[0], inputs[1].shape[1]}, inputs[0].dtype}};
}

void SegmentedMatmulOperation::execute(std::span<const TensorView> inputs,
                                       std::span<const TensorView> outputs) const {
  const TensorView& a = inputs[0];
  const TensorView& b = inputs[1];
  const TensorView& out = outputs[0];
  const int64_t length = a.shape[1].hint();
  const int64_t size = a.dtype.size();
  templates::MatmulProblem problem;
  problem.m = a.shape[0].hint();
  problem.n = b.shape[1].hint();
  problem.out_dtype = out.dtype;
  problem.out_row_stride = problem.n;
  const auto* bounds = reinterpret_cast<const int32_t*>(inputs[2].data);
  for (int64_t i = 0; i < out.shape[0].hint(); ++i) {
    const int64_t from = std::clamp<int64_t>(bounds[2 * i], 0, length);
    problem.k = std::clamp<int64_t>(bounds[2 * i + 1], from, length) - from;
    problem.a = {a.data + from * a.strides[1] * size, a.dtype, a.strides[0], a.strides[1]};
    problem.b = {b.data + from * b.strides[0] * size, b.dtype, b.strides[0], b.strides[1]};
    problem.out = out.data + i * problem.m * problem.n * size;
    templates::matmul(problem);
  }
}

namespace {

/// For each segment which of `length` places lie in it, as numbers: [..., segments, length].
array places_in(const array& segments, Dim length, Dtype dtype) {
  const array places = counting_to(length);
  const auto bound = [&](int i) { return expand_dims(take(segments, i, -1), -1); };
  return astype(logical_and(greater_equal(places, bound(0)), less(places, bound(1))), dtype);
}

}  // namespace

Differentials SegmentedMatmulOperation::vjp(const Application& at, const Differentials& cotangents,
                                            const std::vector<bool>& wanted) const {
  const array& a = at.inputs[0];
  const array& b = at.inputs[1];
  const array& g = *cotangents[0];
  const array mask = places_in(at.inputs[2], a.shape(1), g.dtype());
  const auto adjoint = [](const array& x) { return conjugate(swapaxes(x, -1, -2)); };
  Differentials result(3);
  if (wanted[0]) result[0] = sum(multiply(matmul(g, adjoint(b)), expand_dims(mask, 1)), 0);
  if (wanted[1]) result[1] = sum(multiply(matmul(adjoint(a), g), expand_dims(mask, 2)), 0);
  return result;
}

std::vector<array> SegmentedMatmulOperation::vmap(std::span<const array> inputs,
                                                  const std::vector<bool>& batched, Dim) const {
  // As a batched product of masked matrices: more arithmetic, but one product.
  const array mask = places_in(inputs[2], inputs[0].shape(-1), inputs[0].dtype());
  const auto with_segments = [&](size_t i) { return expand_dims(inputs[i], batched[i] ? 1 : 0); };
  return {matmul(multiply(with_segments(0), expand_dims(mask, -2)), with_segments(1))};
}

}  // namespace lazuli
