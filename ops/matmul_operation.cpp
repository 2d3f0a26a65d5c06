#include <lazuli/ops/matmul_operation.h>

#include <stdexcept>

#include <lazuli/compiler/templates/matmul.h>

namespace lazuli {

namespace {

/// Where the matrices of an operand lie, one for each of the output's batch.
struct Batch {
  std::vector<int64_t> offsets;
  bool is_constant = true;  ///< all at the same place

  Batch(const TensorView& operand, const Shape& out) {
    const size_t rank = out.size() - 2;
    const size_t lead = out.size() - operand.shape.size();
    offsets.assign(1, 0);
    for (size_t d = 0; d < rank; ++d) {
      const int64_t extent = out[d].hint();
      const bool varies = d >= lead && operand.shape[d - lead].hint() != 1;
      const int64_t stride = varies ? operand.strides[d - lead] : 0;
      is_constant = is_constant && (stride == 0 || extent == 1);
      std::vector<int64_t> next;
      next.reserve(offsets.size() * static_cast<size_t>(extent));
      for (int64_t offset : offsets) {
        for (int64_t i = 0; i < extent; ++i) next.push_back(offset + i * stride);
      }
      offsets = std::move(next);
    }
  }

  templates::BatchOffsets where() const {
    return is_constant ? templates::BatchOffsets{} : templates::BatchOffsets{0, offsets.data()};
  }
};

templates::MatrixView matrix_of(const TensorView& tensor) {
  const size_t rank = tensor.shape.size();
  return {tensor.data, tensor.dtype, tensor.strides[rank - 2], tensor.strides[rank - 1]};
}

/// Whether the rows of all matrices of a batch of `count`, `rows` each, lie in equal steps.
bool rows_are_even(const Batch& batch, int64_t rows, int64_t row_stride) {
  for (size_t i = 0; i < batch.offsets.size(); ++i) {
    if (batch.offsets[i] != static_cast<int64_t>(i) * rows * row_stride) return false;
  }
  return true;
}

}  // namespace

void MatmulOperation::attributes(AttributeWriter& writer) const {
  writer.write("dtype", dtype_);
  writer.write("alpha", static_cast<double>(alpha_));
  writer.write("beta", static_cast<double>(beta_));
}

std::vector<ArraySpec> MatmulOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& a = inputs[0].shape;
  const Shape& b = inputs[1].shape;
  Shape shape = broadcast_shapes(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  shape.push_back(a[a.size() - 2]);
  shape.push_back(b.back());
  return {{std::move(shape), dtype_}};
}

bool MatmulOperation::accepts(int, Dtype dtype) const {
  return issubdtype(dtype, inexact) && promote_types(dtype, dtype_) == dtype_;
}

void MatmulOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  compute(inputs, outputs[0], {});
}

void MatmulOperation::execute_fused(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                                    const Holes& holes) const {
  compute(inputs, outputs[0], holes);
}

void MatmulOperation::compute(std::span<const TensorView> inputs, const TensorView& out,
                              const Holes& holes) const {
  const size_t rank = out.shape.size();
  templates::MatmulProblem problem;
  problem.m = out.shape[rank - 2].hint();
  problem.n = out.shape[rank - 1].hint();
  problem.k = inputs[0].shape.back().hint();
  const Batch a_batch(inputs[0], out.shape);
  const Batch b_batch(inputs[1], out.shape);
  problem.batch = static_cast<int64_t>(a_batch.offsets.size());
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0) return;

  problem.a = matrix_of(inputs[0]);
  problem.b = matrix_of(inputs[1]);
  problem.a_batch = a_batch.where();
  problem.b_batch = b_batch.where();
  problem.out = out.data;
  problem.out_dtype = out.dtype;
  problem.out_row_stride = problem.n;
  problem.out_batch.stride = problem.m * problem.n;
  problem.holes = holes;
  problem.alpha = static_cast<double>(alpha_);
  problem.beta = static_cast<double>(beta_);

  std::vector<Batch> c_batch;
  bool c_is_even = true;
  if (beta_ != 0) {
    problem.c = matrix_of(inputs[2]);
    c_batch.emplace_back(inputs[2], out.shape);
    problem.c_batch = c_batch[0].where();
    c_is_even = rows_are_even(c_batch[0], problem.m, problem.c.row_stride);
  }
  if (problem.batch > 1 && b_batch.is_constant && c_is_even &&
      rows_are_even(a_batch, problem.m, problem.a.row_stride)) {
    // One matrix on the right for all: that is one product with more rows.
    problem.m *= problem.batch;
    problem.batch = 1;
    problem.a_batch = problem.c_batch = {};
  }
  templates::matmul(problem);
}

double MatmulOperation::operation_count(std::span<const TensorView> inputs,
                                        std::span<const TensorView> outputs) const {
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) *
         static_cast<double>(inputs[0].shape.back().hint());
}

}  // namespace lazuli
