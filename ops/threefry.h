#pragma once

#include <cstdint>
#include <utility>

#include <lazuli/compiler/operations.h>

namespace lazuli::random {

/// The block function of all random numbers: two words of output for a key and a counter of two words each.
std::pair<uint32_t, uint32_t> threefry2x32(std::pair<uint32_t, uint32_t> key,
                                           std::pair<uint32_t, uint32_t> counter);

/// Random bits of a shape, in elements of 1, 2 or 4 bytes; the operands are the key's two words, uint32
/// scalars. The words of the result, counted from 0, are split in halves: words i of both come from counter
/// (i, i + length of the first half). If their number is odd, the one in the middle comes from (its number,
/// 0). The first `batch_rank` axes are a batch: each member has a key of its own, so that the key's words
/// broadcast, and counts from 0.
class RandomBits final : public ElementwiseOperation {
 public:
  RandomBits(Shape shape, int width, size_t batch_rank = 0)
      : shape_(std::move(shape)), width_(width), batch_rank_(batch_rank) {}
  std::string_view name() const override { return "random_bits"; }
  int cost() const override { return 100; }
  void attributes(AttributeWriter& writer) const override;
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override;
  kir::Value expression(ExpressionContext& context, std::span<const kir::Value> inputs) const override;
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 private:
  Shape shape_;
  int width_;
  size_t batch_rank_;
};

}  // namespace lazuli::random
