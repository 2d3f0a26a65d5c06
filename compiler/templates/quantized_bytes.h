#pragma once

#include <lazuli/compiler/templates/matmul_result.h>
#include <lazuli/compiler/templates/quantized_matmul.h>

namespace lazuli::templates {

/// A few rows of activations, `x_row_stride` apart, against the rows of w (`problem.transpose`), whose codes
/// are multiplied as bytes. Activations are whole numbers of 16 bits then, a group at a time, which is far
/// within the rounding of those that have 16 bits; so other dtypes are not taken. False, and nothing done,
/// where there is no such product: for other dtypes and codes, machines without byte dot products, and
/// activations that are not finite.
bool multiply_code_bytes(const QuantizedMatmulProblem& problem, const float* x, int64_t x_row_stride,
                         const MatmulResult& result);

}  // namespace lazuli::templates
