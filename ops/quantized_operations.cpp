#include <lazuli/ops/quantized_operations.h>

#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/compiler/templates/quantized_matmul.h>

namespace lazuli {

namespace {

const uint32_t* codes_of(const TensorView& tensor) {
  return reinterpret_cast<const uint32_t*>(tensor.data);
}

/// Rows of a tensor whose last axis is a row.
int64_t row_count(const TensorView& tensor) {
  return element_count(Shape(tensor.shape.begin(), tensor.shape.end() - 1));
}

/// The matrix that codes, scales and, if there are any, biases make, the batch axes before it left out.
templates::QuantizedMatrix matrix_of(std::span<const TensorView> parts, int bits, int group_size) {
  const TensorView& codes = parts[0];
  const TensorView& scales = parts[1];
  const std::byte* biases = parts.size() > 2 ? parts[2].data : nullptr;
  const int64_t rows = codes.shape[codes.shape.size() - 2].hint();
  const int64_t columns = int64_t{scales.shape.back().hint()} * group_size;
  return templates::QuantizedMatrix::contiguous(codes_of(codes), scales.data, biases, scales.dtype, rows,
                                                columns, bits, group_size);
}

/// Which of a tensor's matrices (or, for `tail` 1, vectors) belongs to each of the output's batch, counted in
/// matrices.
std::vector<int64_t> batch_members(const Shape& operand, const Shape& out) {
  const size_t rank = out.size() - 2;
  const size_t lead = out.size() - operand.size();
  std::vector<int64_t> members{0};
  for (size_t d = 0; d < rank; ++d) {
    const int64_t own = d < lead ? 1 : operand[d - lead].hint();
    std::vector<int64_t> next;
    for (int64_t member : members) {
      for (int64_t i = 0; i < out[d].hint(); ++i) next.push_back(member * own + (own == 1 ? 0 : i));
    }
    members = std::move(next);
  }
  return members;
}

}  // namespace

void QuantizedMatmulOperation::attributes(AttributeWriter& writer) const {
  writer.write("transpose", transpose_);
  writer.write("group_size", group_size_);
  writer.write("bits", bits_);
}

std::vector<ArraySpec> QuantizedMatmulOperation::infer(std::span<const ArraySpec> inputs) const {
  const Shape& x = inputs[0].shape;
  const Shape& codes = inputs[1].shape;
  Shape shape = broadcast_shapes(Shape(x.begin(), x.end() - 2), Shape(codes.begin(), codes.end() - 2));
  shape.push_back(x[x.size() - 2]);
  shape.push_back(transpose_ ? codes[codes.size() - 2] : inputs[2].shape.back() * group_size_);
  return {{std::move(shape), inputs[0].dtype}};
}

void QuantizedMatmulOperation::execute(std::span<const TensorView> inputs,
                                       std::span<const TensorView> outputs) const {
  compute(inputs, outputs[0], {});
}

void QuantizedMatmulOperation::execute_fused(std::span<const TensorView> inputs,
                                             std::span<const TensorView> outputs, const Holes& holes) const {
  compute(inputs, outputs[0], holes);
}

void QuantizedMatmulOperation::compute(std::span<const TensorView> inputs, const TensorView& out,
                                       const Holes& holes) const {
  const TensorView& x = inputs[0];
  const size_t rank = out.shape.size();
  if (element_count(out.shape) == 0) return;

  templates::QuantizedMatmulProblem problem;
  problem.m = out.shape[rank - 2].hint();
  problem.x = x.data;
  problem.dtype = x.dtype;
  problem.x_row_stride = x.shape.back().hint();
  problem.w = matrix_of(inputs.subspan(1), bits_, group_size_);
  problem.transpose = transpose_;
  problem.holes = holes;
  problem.out = out.data;
  problem.out_row_stride = out.shape.back().hint();
  if (inputs[1].shape.size() == 2) {
    // One matrix for all rows, whatever axes they come in.
    problem.m = row_count(x);
    templates::quantized_matmul(problem);
    return;
  }
  const templates::QuantizedMatrix first = problem.w;
  const std::vector<int64_t> x_members = batch_members(x.shape, out.shape);
  const std::vector<int64_t> w_members = batch_members(inputs[1].shape, out.shape);
  for (size_t i = 0; i < x_members.size(); ++i) {
    if (holes.make == nullptr) {
      problem.x = x.data + x_members[i] * problem.m * problem.x_row_stride * x.dtype.size();
    }
    const int64_t scale_bytes =
        w_members[i] * first.rows * first.scales_row_stride * first.scale_dtype.size();
    problem.w.codes = first.codes + w_members[i] * first.rows * first.codes_row_stride;
    problem.w.scales = first.scales + scale_bytes;
    if (first.biases != nullptr) problem.w.biases = first.biases + scale_bytes;
    problem.first_row = static_cast<int64_t>(i) * problem.m;
    if (holes.take == nullptr) {
      problem.out =
          out.data + static_cast<int64_t>(i) * problem.m * problem.out_row_stride * out.dtype.size();
    }
    templates::quantized_matmul(problem);
  }
}

void PackQuantizedOperation::attributes(AttributeWriter& writer) const {
  writer.write("group_size", group_size_);
  writer.write("bits", bits_);
}

std::vector<ArraySpec> PackQuantizedOperation::infer(std::span<const ArraySpec> inputs) const {
  const int64_t rows = static_cast<int>(inputs[0].shape[0]);
  const int64_t columns = int64_t{static_cast<int>(inputs[1].shape[1])} * group_size_;
  const size_t bytes = templates::packed_quantized_size(rows, columns, bits_, group_size_, inputs[1].dtype);
  // In two dimensions, so that more than 2^31 bytes can be had.
  const size_t line = templates::packed_quantized_alignment;
  return {{{Dim((bytes + line - 1) / line), Dim(line)}, uint8}};
}

void PackQuantizedOperation::execute(std::span<const TensorView> inputs,
                                     std::span<const TensorView> outputs) const {
  templates::pack_quantized(matrix_of(inputs, bits_, group_size_), outputs[0].data);
}

void PackedMatmulOperation::attributes(AttributeWriter& writer) const {
  writer.write("out_features", out_features_);
  writer.write("activations", activations_);
}

std::vector<ArraySpec> PackedMatmulOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape = inputs[0].shape;
  shape.back() = out_features_;
  return {{std::move(shape), inputs[0].dtype}};
}

void PackedMatmulOperation::execute(std::span<const TensorView> inputs,
                                    std::span<const TensorView> outputs) const {
  compute(inputs, outputs[0], {});
}

void PackedMatmulOperation::execute_fused(std::span<const TensorView> inputs,
                                          std::span<const TensorView> outputs, const Holes& holes) const {
  compute(inputs, outputs[0], holes);
}

void PackedMatmulOperation::compute(std::span<const TensorView> inputs, const TensorView& out,
                                    const Holes& holes) const {
  const TensorView& x = inputs[0];
  const int64_t rows = row_count(x);
  if (rows == 0) return;
  const int64_t columns = x.shape.back().hint();
  const int64_t out_columns = out.shape.back().hint();
  const templates::PackedQuantizedInfo info = templates::packed_quantized_info(inputs[1].data);
  if (info.rows != out_columns || info.columns != columns) {
    throw std::invalid_argument(
        fmt::format("[packed_quantized_matmul] The packed weights are ({},{}), not ({},{}).", info.rows,
                    info.columns, out_columns, columns));
  }
  templates::packed_quantized_matmul(x.data, x.dtype, rows, columns, inputs[1].data, out.data, out_columns,
                                     activations_ == QuantizedActivations::int8
                                         ? templates::Activations::int8
                                         : templates::Activations::float32,
                                     holes);
}

void PackedTakeOperation::attributes(AttributeWriter& writer) const {
  writer.write("in_features", in_features_);
  writer.write("dtype", dtype_);
}

std::vector<ArraySpec> PackedTakeOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape = inputs[1].shape;
  shape.push_back(in_features_);
  return {{std::move(shape), dtype_}};
}

void PackedTakeOperation::execute(std::span<const TensorView> inputs,
                                  std::span<const TensorView> outputs) const {
  const TensorView& out = outputs[0];
  const int64_t columns = out.shape.back().hint();
  const int64_t rows = element_count(inputs[1].shape);
  const auto* indices = reinterpret_cast<const int32_t*>(inputs[1].data);
  if (dtype_ == float32) {
    return templates::unpack_quantized_rows(inputs[0].data, indices, rows, columns,
                                            reinterpret_cast<float*>(out.data));
  }
  std::vector<float> values(static_cast<size_t>(rows * columns));
  templates::unpack_quantized_rows(inputs[0].data, indices, rows, columns, values.data());
  auto* halves = reinterpret_cast<uint16_t*>(out.data);
  for (size_t k = 0; k < values.size(); ++k) {
    halves[k] = dtype_ == float16 ? float16_t(values[k]).bits : bfloat16_t(values[k]).bits;
  }
}

double QuantizedMatmulOperation::operation_count(std::span<const TensorView> inputs,
                                                 std::span<const TensorView> outputs) const {
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) *
         static_cast<double>(inputs[0].shape.back().hint());
}

double PackedMatmulOperation::operation_count(std::span<const TensorView> inputs,
                                              std::span<const TensorView> outputs) const {
  return 2.0 * static_cast<double>(element_count(outputs[0].shape)) *
         static_cast<double>(inputs[0].shape.back().hint());
}

}  // namespace lazuli
