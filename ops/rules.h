#pragma once

#include <vector>

#include <lazuli/compiler/operations.h>

/// What gradient and batching rules of several operations share.
namespace lazuli {

/// Comparisons for choosing between rules. Where extents are symbols, what is found to be so becomes a guard;
/// what isn't leaves none.
inline bool is_same(Dim a, Dim b) {
  return a.same_as(b) || (a.hint() == b.hint() && a == b);
}
inline bool is_at_most(Dim a, Dim b) {
  return a.same_as(b) || (a.hint() <= b.hint() && a <= b);
}

/// `a` summed over the axes along which `shape` was broadcast to its shape.
array sum_to(const array& a, const Shape& shape);

/// The inputs of an operation that broadcasts, as a batch: those that are batched get axes of extent 1 after
/// the first, so that their members have as many dimensions as those of the one with the most.
std::vector<array> aligned_batch(std::span<const array> inputs, const std::vector<bool>& batched);

/// `a`, repeated along a new first axis unless it is batched.
array as_batched(const array& a, bool batched, Dim batch);

/// The batching rule of operations without attributes that depend on a shape, all of whose operands
/// broadcast.
std::vector<array> broadcast_vmap(const Operation& operation, std::span<const array> inputs,
                                  const std::vector<bool>& batched);

/// A shape with another extent in front.
Shape with_batch(const Shape& shape, Dim batch);

}  // namespace lazuli
