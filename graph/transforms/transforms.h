#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/graph/array_function.h>

/// Transforms make functions of functions: derivatives, vectorized forms. They compose with each other and
/// with `compile` in any order.
///
/// The function is called with arrays that stand in for its arguments; what it computes from these is
/// recorded, and the rules of the operations do the rest. Arrays that it uses besides are constants.
/// Errors are std::invalid_argument, `[vjp] ...` and so on: wrong numbers or shapes, operations without a
/// gradient or batching rule.
namespace lazuli {

/// The results of a function, and cotangents of its arguments: the products of cotangents of the results,
/// one of the same shape for each, with the Jacobian. For arguments that no result depends on (integers among
/// them) these are zeros. A complex cotangent c of a real function's argument x + iy stands for
/// dL/dx + i dL/dy.
std::pair<std::vector<array>, std::vector<array>> vjp(const ArrayFunction& fun,
                                                      const std::vector<array>& primals,
                                                      const std::vector<array>& cotangents);
std::pair<array, array> vjp(const std::function<array(const array&)>& fun, const array& primal,
                            const array& cotangent);

/// The results of a function, and tangents of them: the products of the Jacobian with tangents of the
/// arguments, one of the same shape for each.
std::pair<std::vector<array>, std::vector<array>> jvp(const ArrayFunction& fun,
                                                      const std::vector<array>& primals,
                                                      const std::vector<array>& tangents);
std::pair<array, array> jvp(const std::function<array(const array&)>& fun, const array& primal,
                            const array& tangent);

using ValueAndGradFn =  // what value_and_grad gives: results, and gradients
    std::function<std::pair<std::vector<array>, std::vector<array>>(const std::vector<array>&)>;
using SimpleValueAndGradFn = std::function<std::pair<array, std::vector<array>>(const std::vector<array>&)>;

/// A function that gives the results of `fun` and the gradients of the first of them, a scalar, with respect
/// to the arguments `argnums` (negative from the end).
ValueAndGradFn value_and_grad(const ArrayFunction& fun, const std::vector<int>& argnums);
ValueAndGradFn value_and_grad(const ArrayFunction& fun, int argnum = 0);
SimpleValueAndGradFn value_and_grad(const std::function<array(const std::vector<array>&)>& fun,
                                    const std::vector<int>& argnums);
SimpleValueAndGradFn value_and_grad(const std::function<array(const std::vector<array>&)>& fun,
                                    int argnum = 0);
std::function<std::pair<array, array>(const array&)> value_and_grad(
    const std::function<array(const array&)>& fun);

/// A function that gives the gradients alone.
std::function<std::vector<array>(const std::vector<array>&)> grad(
    const std::function<array(const std::vector<array>&)>& fun, const std::vector<int>& argnums);
std::function<std::vector<array>(const std::vector<array>&)> grad(
    const std::function<array(const std::vector<array>&)>& fun, int argnum = 0);
std::function<array(const array&)> grad(const std::function<array(const array&)>& fun);

/// A function that applies `fun` to each member of a batch at once. `in_axes` says along which axis of an
/// argument its members lie (-1: the argument is the same for all; empty: 0 for all), `out_axes` along which
/// axis those of a result shall lie (-1 and empty: as above; a result for all members is then given once,
/// and must not depend on the batch). Other negative axes count from the end.
ArrayFunction vmap(const ArrayFunction& fun, const std::vector<int>& in_axes = {},
                   const std::vector<int>& out_axes = {});
std::function<array(const array&)> vmap(const std::function<array(const array&)>& fun, int in_axis = 0,
                                        int out_axis = 0);
std::function<array(const array&, const array&)> vmap(
    const std::function<array(const array&, const array&)>& fun, int in_axis_a = 0, int in_axis_b = 0,
    int out_axis = 0);

/// From arguments, cotangents of the results and the results to cotangents of the arguments.
using CustomVjp =
    std::function<std::vector<array>(const std::vector<array>& primals, const std::vector<array>& cotangents,
                                     const std::vector<array>& outputs)>;
/// From arguments, the tangents that there are and which arguments these belong to, to tangents of the
/// results.
using CustomJvp = std::function<std::vector<array>(
    const std::vector<array>& primals, const std::vector<array>& tangents, const std::vector<int>& argnums)>;
/// From batched arguments and their axes (-1: not batched) to batched results and their axes.
using CustomVmap = std::function<std::pair<std::vector<array>, std::vector<int>>(
    const std::vector<array>& inputs, const std::vector<int>& axes)>;

/// `fun` with transforms of its own; those not given are `fun`'s.
ArrayFunction custom_function(ArrayFunction fun, std::optional<CustomVjp> fun_vjp = std::nullopt,
                              std::optional<CustomJvp> fun_jvp = std::nullopt,
                              std::optional<CustomVmap> fun_vmap = std::nullopt);
/// `fun` with a gradient of its own.
ArrayFunction custom_vjp(ArrayFunction fun, CustomVjp fun_vjp);
/// `fun`, whose gradient computes again what it needs from the arguments rather than keeping it.
ArrayFunction checkpoint(ArrayFunction fun);

}  // namespace lazuli
