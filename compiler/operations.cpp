#include <lazuli/compiler/operations.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {

std::vector<ArraySpec> ReshapeOperation::infer(std::span<const ArraySpec> inputs) const {
  return {{shape_, inputs[0].dtype}};
}

std::string_view ReductionOperation::name() const {
  return kir::instruction_table()[static_cast<size_t>(op_)].name;
}

std::vector<ArraySpec> ReductionOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape = inputs[0].shape;
  for (int axis : axes_) shape[static_cast<size_t>(axis)] = 1;
  return {{std::move(shape), output_}};
}

void ReductionOperation::attributes(AttributeWriter& writer) const {
  writer.write("axes", std::span<const int>(axes_));
  writer.write("dtype", output_);
}

std::vector<ArraySpec> ConcatenateOperation::infer(std::span<const ArraySpec> inputs) const {
  Shape shape = inputs[0].shape;
  const auto axis = static_cast<size_t>(axis_);
  for (size_t i = 1; i < inputs.size(); ++i) {
    const Shape& other = inputs[i].shape;
    bool fits = other.size() == shape.size() && inputs[i].dtype == inputs[0].dtype;
    for (size_t d = 0; fits && d < shape.size(); ++d) fits = d == axis || shape[d] == other[d];
    if (!fits) {
      throw std::invalid_argument("[concatenate] cannot put " + shape_to_string(other) + " behind " +
                                  shape_to_string(inputs[0].shape) + " along axis " + std::to_string(axis_));
    }
    shape[axis] += other[axis];
  }
  return {{std::move(shape), inputs[0].dtype}};
}

void HostOperation::execute_fused(std::span<const TensorView>, std::span<const TensorView>,
                                  const Holes&) const {
  throw std::logic_error("[" + std::string(name()) + "] has no holes");
}

bool TensorView::is_row_contiguous() const {
  int64_t expected = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    const int64_t extent = shape[d].hint();
    if (extent == 0) return true;
    if (extent != 1 && strides[d] != expected) return false;
    expected *= extent;
  }
  return true;
}

}  // namespace lazuli
