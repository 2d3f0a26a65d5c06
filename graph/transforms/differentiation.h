#pragma once

#include <functional>
#include <span>
#include <vector>

#include <lazuli/graph/operation.h>
#include <lazuli/graph/transforms/tracing.h>

/// Derivatives of a recorded computation, by the rules of its operations.
namespace lazuli::transforms {

/// Cotangents of what was recorded from, given those of its results: operations in reverse order.
Differentials pull_back(const Record& record, std::span<const array> results, const Differentials& cotangents,
                        std::span<const array> from);
/// Tangents of the results, given those of what was recorded from: operations in order.
Differentials push_forward(const Record& record, std::span<const array> results, std::span<const array> from,
                           const Differentials& tangents);

/// The gradient of an operation as that of a function that computes the same from the same inputs.
Differentials vjp_of(const std::function<std::vector<array>(const std::vector<array>&)>& function,
                     std::span<const array> inputs, const Differentials& cotangents,
                     const std::vector<bool>& wanted);

/// Whether this thread asks for a gradient rule only to transpose it: its cotangents are symbols that never
/// have values, so that nothing may wait for them.
bool is_transposing();

}  // namespace lazuli::transforms
