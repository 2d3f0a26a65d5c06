#include <lazuli/ops/pieces.h>

#include <algorithm>
#include <vector>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

struct Piece {
  Dim from;
  array values;
};

/// Zeros but for pieces along an axis.
struct Pieces {
  int axis = -1;
  std::vector<Piece> pieces;
  array base;
};

const Operation* lazy_producer(const array& a) {
  const Node& node = *a.node();
  if (node.state.load(std::memory_order_acquire) != Node::State::lazy) return nullptr;
  return static_cast<const Operation*>(node.producer.get());
}

/// The axis along which an update is a piece of the whole: not strided, and everything along the others.
std::optional<int> axis_of(const IndexMap& map, const Shape& whole, const Shape& piece) {
  std::optional<int> axis;
  if (map.size() != piece.size()) return std::nullopt;
  for (size_t d = 0; d < map.size(); ++d) {
    const IndexTerm& term = map[d];
    if (term.dim != static_cast<int>(d) || term.dynamic >= 0 || !term.scale.same_as(Dim(1)))
      return std::nullopt;
    if (term.offset.same_as(Dim(0)) && whole[d].same_as(piece[d])) continue;
    if (axis) return std::nullopt;
    axis = static_cast<int>(d);
  }
  return axis;
}

std::optional<Pieces> pieces_of(array a) {
  Pieces result{-1, {}, a};
  while (true) {
    const Operation* operation = lazy_producer(a);
    if (operation == nullptr) return std::nullopt;
    if (operation->name() == "constant") {
      if (result.pieces.empty() || !is_lazy_zeros(a)) return std::nullopt;
      result.base = a;
      return result;
    }
    if (operation->kind() != OperationKind::update || operation->name() != "slice_update")
      return std::nullopt;
    const std::vector<array>& inputs = a.node()->inputs;
    if (inputs.size() != 2) return std::nullopt;
    const IndexMap map = static_cast<const UpdateOperation&>(*operation).map(a.shape(), inputs[1].shape());
    const std::optional<int> axis = axis_of(map, a.shape(), inputs[1].shape());
    if (!axis || (result.axis >= 0 && result.axis != *axis)) return std::nullopt;
    result.axis = *axis;
    result.pieces.push_back({map[static_cast<size_t>(*axis)].offset, inputs[1]});
    a = inputs[0];
  }
}

Dim end_of(const Piece& piece, int axis) {
  return piece.from + piece.values.shape()[static_cast<size_t>(axis)];
}

}  // namespace

bool is_lazy_zeros(const array& a) {
  const Operation* operation = lazy_producer(a);
  if (operation == nullptr || operation->name() != "constant") return false;
  return operation->equals(*lazy_producer(zeros(a.shape(), a.dtype())));
}

std::optional<array> sum_of_pieces(const array& a, const array& b) {
  const std::optional<Pieces> left = pieces_of(a);
  if (!left) return std::nullopt;
  const std::optional<Pieces> right = pieces_of(b);
  if (!right || left->axis != right->axis || a.dtype() != b.dtype()) return std::nullopt;
  const int axis = left->axis;
  for (const Piece& p : left->pieces) {
    for (const Piece& q : right->pieces) {
      if (!is_at_most(end_of(p, axis), q.from) && !is_at_most(end_of(q, axis), p.from)) return std::nullopt;
    }
  }
  std::vector<Piece> all = left->pieces;
  all.insert(all.end(), right->pieces.begin(), right->pieces.end());

  // Pieces that cover everything leave nothing of the zeros.
  std::vector<array> in_order;
  Dim end = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto next = std::find_if(all.begin(), all.end(), [&](const Piece& piece) {
      return piece.values.shape()[static_cast<size_t>(axis)].hint() > 0 && is_same(piece.from, end);
    });
    if (next == all.end()) break;
    in_order.push_back(next->values);
    end = end_of(*next, axis);
  }
  if (in_order.size() == all.size() && is_same(end, a.shape()[static_cast<size_t>(axis)])) {
    return concatenate(std::move(in_order), axis);
  }
  array result = left->base;
  for (const Piece& piece : all) {
    IndexMap map = identity_map(static_cast<int>(a.ndim()));
    map[static_cast<size_t>(axis)].offset = piece.from;
    result = lazuli::apply(make_ref<IndexedUpdate>("slice_update", std::move(map)), {result, piece.values});
  }
  return result;
}

}  // namespace lazuli
