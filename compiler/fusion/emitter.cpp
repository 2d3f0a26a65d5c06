#include <lazuli/compiler/fusion/emitter.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>

#include <lazuli/compiler/fusion/accesses.h>
#include <lazuli/compiler/fusion/coordinates.h>
#include <lazuli/compiler/fusion/stages.h>
#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

class Emitter {
 public:
  /// `block` is what an epilogue is done to, `made` what a prologue makes.
  Emitter(const FusionPlan& plan, const FusionGroup& group, ValueId block, ValueId made)
      : plan_(plan),
        graph_(plan.prepared.graph),
        group_(group),
        stages_(find_stages(plan, group)),
        accesses_(graph_, lowered_, block, made),
        builder_(lowered_.kernel) {
    for (const ValueId value : stages_.kept) kept_.emplace(value, Graph::none);
  }

  LoweredKernel run() {
    add_dimensions();
    if (!group_.has_reduce()) {
      in_element_block_ = true;
      builder_.begin_block(true);
      for (ValueId output : group_.outputs) store(output, emit(output, place_of(output)));
      builder_.end_block();
      return std::move(lowered_);
    }
    for (int stage = 0; stage <= stages_.last; ++stage) {
      emit_row_block(stage);
      emit_element_block(stage);
    }
    return std::move(lowered_);
  }

  /// Serves an operation's expression: what it asks is answered for the coordinates it is emitted at.
  class Context final : public ExpressionContext {
   public:
    Context(Emitter& emitter, const Shape& shape, const Coordinates& at)
        : emitter_(emitter), shape_(shape), at_(at) {}
    kir::Builder& builder() override { return emitter_.builder_; }
    kir::Value coordinate(int dim) override {
      return emitter_.coordinate_value(at_[static_cast<size_t>(dim)]);
    }
    kir::Value linear_index() override {
      kir::Builder& b = emitter_.builder_;
      kir::Value index = b.constant(int64, 0);
      for (size_t d = 0; d < shape_.size(); ++d) {
        index = b.add(b.mul(index, emitter_.extent_value(shape_[d])), emitter_.coordinate_value(at_[d]));
      }
      return index;
    }
    kir::Value extent(Dim dim) override { return emitter_.extent_value(dim); }

   private:
    Emitter& emitter_;
    const Shape& shape_;
    const Coordinates& at_;
  };

 private:
  // --- Dimensions ------------------------------------------------------------------------------------

  void add_dimensions() {
    for (const size_t dim : stages_.order) {
      lowered_.kernel.dims.push_back(group_.reduce[dim] ? kir::Role::reduce : kir::Role::parallel);
      lowered_.extents.push_back(group_.space[dim]);
    }
    if (stages_.order.empty()) {
      lowered_.kernel.dims.push_back(kir::Role::parallel);
      lowered_.extents.push_back(1);
    }
  }

  Coordinates coordinates_along(const std::vector<int>& dims) const {
    Coordinates at;
    for (int dim : dims) {
      Coordinate coordinate;
      if (dim >= 0) coordinate.dim = stages_.kernel_dim[static_cast<size_t>(dim)];
      at.push_back(coordinate);
    }
    return at;
  }

  Coordinates place_of(ValueId value) const { return coordinates_along(group_.place.at(value)); }

  bool is_member(ValueId value) const { return group_.place.contains(value); }

  bool is_row_level(const Coordinates& at) const {
    return std::none_of(at.begin(), at.end(), [&](const Coordinate& c) {
      return c.dynamic != kir::no_value ||
             (c.dim >= 0 && lowered_.kernel.dims[static_cast<size_t>(c.dim)] == kir::Role::reduce);
    });
  }

  // --- Blocks ----------------------------------------------------------------------------------------

  /// Emits what is the same for a whole row and is there before pass `stage`: outputs on rows, and parts of
  /// the pass's expressions.
  void emit_row_block(int stage) {
    in_element_block_ = false;
    stage_now_ = stage;
    builder_.begin_block(false);
    for (NodeId member : group_.members) {
      const ValueId value = graph_.nodes[member].outputs[0];
      if (group_.is_column_sum(value)) continue;
      if (!group_.is_full(value) && stages_.of.at(value) == stage && is_output(value)) {
        store(value, emit(value, place_of(value)));
      }
    }
    for_each_in_pass(stage, [&](NodeId member) {
      const Graph::GraphNode& node = graph_.nodes[member];
      if (node.operation->kind() == OperationKind::reduction) {
        hoist(node.inputs[0], reduction_place(node));
      } else {
        hoist(node.outputs[0], place_of(node.outputs[0]));
      }
    });
    hoisted_.clear();
    builder_.end_block();
  }

  void emit_element_block(int stage) {
    in_element_block_ = true;
    stage_now_ = stage;
    builder_.begin_block(true);
    element_values_.clear();
    std::vector<std::pair<ValueId, kir::Value>> reduced;
    for_each_in_pass(stage, [&](NodeId member) {
      const Graph::GraphNode& node = graph_.nodes[member];
      const ValueId value = node.outputs[0];
      if (node.operation->kind() == OperationKind::reduction) {
        const auto& reduction = static_cast<const ReductionOperation&>(*node.operation);
        const kir::Value operand = emit(node.inputs[0], reduction_place(node));
        if (group_.is_column_sum(value)) {
          add_to_sums(value, operand);
        } else {
          reduced.emplace_back(value, reduce(reduction, operand));
        }
      } else {
        const kir::Value computed = emit(value, place_of(value));
        if (is_output(value)) store(value, computed);
        if (const auto kept = kept_.find(value); kept != kept_.end()) keep(kept->second, value, computed);
      }
    });
    builder_.end_block();
    for (const auto& [value, result] : reduced) row_values_.push_back({value, place_of(value), result});
  }

  /// Calls `f` for the members that pass `stage` must compute: reductions over it, outputs and kept values.
  template <typename F>
  void for_each_in_pass(int stage, F&& f) {
    for (NodeId member : group_.members) {
      const Graph::GraphNode& node = graph_.nodes[member];
      const ValueId value = node.outputs[0];
      if (is_row_reduction(group_, node)) {
        if (stages_.of.at(value) == stage + 1) f(member);
      } else if (group_.is_column_sum(value)) {
        if (stages_.of.at(value) == stage) f(member);
      } else if (group_.is_full(value) && stages_.of.at(value) == stage &&
                 (is_output(value) || kept_.contains(value))) {
        f(member);
      }
    }
  }

  bool is_output(ValueId value) const {
    return std::find(group_.outputs.begin(), group_.outputs.end(), value) != group_.outputs.end();
  }

  /// The coordinates of a reduction's operand.
  Coordinates reduction_place(const Graph::GraphNode& node) const {
    return coordinates_along(group_.operand_place.at(node.outputs[0]));
  }

  kir::Value reduce(const ReductionOperation& reduction, kir::Value operand) {
    if (operand.is_complex()) {
      if (reduction.op() != kir::Opcode::reduce_sum) {
        throw std::invalid_argument("[" + std::string(reduction.name()) +
                                    "] is not defined for complex64 yet");
      }
      const kir::Value re = builder_.reduce(reduction.op(), builder_.real(operand));
      const kir::Value im = builder_.reduce(reduction.op(), builder_.imag(operand));
      return builder_.make_complex(re, im);
    }
    return builder_.reduce(reduction.op(), operand);
  }

  // --- Values ----------------------------------------------------------------------------------------

  struct Known {
    ValueId value;
    Coordinates at;
    kir::Value result;
  };

  static const kir::Value* look_up(const std::vector<Known>& known, ValueId value, const Coordinates& at) {
    for (auto entry = known.rbegin(); entry != known.rend(); ++entry) {
      if (entry->value == value && same(entry->at, at)) return &entry->result;
    }
    return nullptr;
  }

  /// Walks an expression on the full space and emits its largest parts that are the same for the row.
  void hoist(ValueId value, const Coordinates& at) {
    if (is_row_level(at)) {
      // A reduction of a later stage cannot stand here; stages make sure that none is met.
      emit(value, at);
      return;
    }
    if (is_kept_from_before(value)) return;
    for (const Known& done : hoisted_) {
      if (done.value == value && same(done.at, at)) return;
    }
    hoisted_.push_back({value, at, {}});
    const Graph::GraphNode* node = graph_.producer(value);
    if (node == nullptr) return;
    if (node->operation->kind() == OperationKind::view) {
      const auto& view = static_cast<const ViewOperation&>(*node->operation);
      if (node->inputs.size() > 1) return;  // its indices vary along the row
      hoist(node->inputs[0],
            map_coordinates(view.map(graph_.spec(node->inputs[0]).shape, graph_.spec(value).shape), at));
    } else if (is_expression(value)) {
      for (ValueId operand : node->inputs) hoist(operand, operand_place(operand, value, at));
    }
  }

  Coordinates operand_place(ValueId operand, ValueId result, const Coordinates& at) const {
    return map_coordinates(broadcast_map(graph_.spec(operand).shape, graph_.spec(result).shape), at);
  }

  /// Whether a value is computed here rather than loaded.
  bool is_expression(ValueId value) const {
    const Graph::GraphNode* node = graph_.producer(value);
    return node != nullptr && node->operation->kind() == OperationKind::elementwise &&
           (plan_.recomputed[value] || is_member(value));
  }

  bool is_kept_from_before(ValueId value) const {
    return kept_.contains(value) && stages_.of.at(value) < stage_now_;
  }

  /// Along an extent of 1 there is one place, however a view (a reversed slice, say) came there.
  Coordinates simplest(ValueId value, Coordinates at) const {
    const Shape& shape = graph_.spec(value).shape;
    for (size_t d = 0; d < at.size(); ++d) {
      if (!shape[d].is_symbolic() && shape[d].hint() == 1) at[d] = {};
    }
    return at;
  }

  kir::Value emit(ValueId value, const Coordinates& where) {
    const Coordinates at = simplest(value, where);
    if (const kir::Value* known = look_up(row_values_, value, at)) return *known;
    if (in_element_block_) {
      if (const kir::Value* known = look_up(element_values_, value, at)) return *known;
    }
    const kir::Value result = emit_new(value, at);
    (in_element_block_ ? element_values_ : row_values_).push_back({value, at, result});
    return result;
  }

  kir::Value emit_new(ValueId value, const Coordinates& at) {
    if (in_element_block_ && is_kept_from_before(value) && same(at, place_of(value))) {
      return builder_.load(kept_.at(value));
    }
    if (const array* constant = graph_.constant(value); constant != nullptr && constant->size() == 1) {
      return constant_value(*constant);
    }
    const Graph::GraphNode* node = graph_.producer(value);
    if (node != nullptr && node->operation->kind() == OperationKind::view) return emit_view(*node, value, at);
    if (node != nullptr && is_expression(value)) {
      const auto& operation = static_cast<const ElementwiseOperation&>(*node->operation);
      std::vector<kir::Value> operands;
      for (ValueId operand : node->inputs)
        operands.push_back(emit(operand, operand_place(operand, value, at)));
      Context context(*this, graph_.spec(value).shape, at);
      const Dtype dtype = graph_.spec(value).dtype;
      return builder_.cast(operation.expression(context, operands),
                           dtype == complex64 ? dtype : kir::compute_type(dtype));
    }
    if (is_member(value)) throw std::logic_error("[fusion] a reduction is needed away from its place");
    return load(value, at);
  }

  kir::Value constant_value(const array& constant) {
    if (constant.dtype() == complex64) {
      const auto number = constant.item<complex64_t>();
      return builder_.constant_complex(number.real(), number.imag());
    }
    const Dtype type = kir::compute_type(constant.dtype());
    return dispatch_dtype(type, [&]<typename T>(std::type_identity<T>) {
      uint64_t bits = 0;
      const T number = constant.item<T>();
      std::memcpy(&bits, &number, sizeof(T));
      return builder_.constant_bits(type, bits);
    });
  }

  kir::Value emit_view(const Graph::GraphNode& node, ValueId value, const Coordinates& at) {
    const auto& view = static_cast<const ViewOperation&>(*node.operation);
    const Shape& input = graph_.spec(node.inputs[0]).shape;
    const Shape& output = graph_.spec(value).shape;
    const IndexMap map = view.map(input, output);
    Coordinates inner = map_coordinates(map, at);
    add_dynamic(map, view.dynamic_indices(input, output), node.inputs, at, inner);
    return emit(node.inputs[0], inner);
  }

  /// Adds the values of dynamic indices to coordinates that `map` led to from `at`.
  void add_dynamic(const IndexMap& map, const std::vector<DynamicIndex>& indices,
                   const std::vector<ValueId>& operands, const Coordinates& at, Coordinates& to) {
    for (size_t d = 0; d < map.size(); ++d) {
      if (map[d].dynamic < 0) continue;
      const DynamicIndex& index = indices[static_cast<size_t>(map[d].dynamic)];
      kir::Value position = builder_.cast(
          emit(operands[static_cast<size_t>(index.operand)], map_coordinates(index.map, at)), int64);
      const kir::Value zero = builder_.constant(int64, 0);
      position = builder_.select(builder_.lt(position, zero),
                                 builder_.add(position, extent_value(index.extent)), position);
      position = builder_.max(zero, builder_.min(position, extent_value(index.limit)));
      Coordinate& coordinate = to[d];
      if (coordinate.dynamic != kir::no_value) {
        const kir::Value before{coordinate.dynamic, kir::no_value, int64};
        position = builder_.add(position, builder_.mul(before, extent_value(coordinate.dynamic_scale)));
      }
      coordinate.dynamic = position.id;
      coordinate.dynamic_scale = 1;
    }
  }

  kir::Value coordinate_value(const Coordinate& coordinate) {
    kir::Value value = extent_value(coordinate.offset);
    if (coordinate.dim >= 0) {
      value =
          builder_.add(value, builder_.mul(builder_.index(coordinate.dim), extent_value(coordinate.scale)));
    }
    if (coordinate.dynamic != kir::no_value) {
      const kir::Value dynamic{coordinate.dynamic, kir::no_value, int64};
      value = builder_.add(value, builder_.mul(dynamic, extent_value(coordinate.dynamic_scale)));
    }
    return value;
  }

  kir::Value extent_value(Dim dim) {
    return dim.is_symbolic() ? builder_.load(accesses_.to_extent(dim)) : builder_.constant(int64, dim.hint());
  }

  // --- Memory ----------------------------------------------------------------------------------------

  kir::Value load(ValueId value, const Coordinates& at) {
    std::vector<kir::Value> dynamic;
    const uint32_t access = accesses_.to(value, at, kir::Access::Kind::input, dynamic);
    return builder_.load(access, dynamic);
  }

  /// Stores a member's value: into its own memory, or as a part of the result it belongs to.
  void store(ValueId value, kir::Value computed) {
    ValueId target = value;
    Coordinates at = place_of(value);
    if (const NodeId joined = plan_.prepared.part_of[value]; joined != Graph::none) {
      const Graph::GraphNode& join = graph_.nodes[joined];
      target = join.outputs[0];
      if (join.operation->kind() == OperationKind::concatenate) {
        const auto axis =
            static_cast<size_t>(static_cast<const ConcatenateOperation&>(*join.operation).axis());
        Dim offset = 0;
        for (ValueId part : join.inputs) {
          if (part == value) break;
          offset += graph_.spec(part).shape[axis];
        }
        at[axis].offset = offset;
      } else {
        const auto& update = static_cast<const UpdateOperation&>(*join.operation);
        const Shape& output = graph_.spec(target).shape;
        const IndexMap map = update.map(output, graph_.spec(value).shape);
        Coordinates moved = map_coordinates(map, at);
        add_dynamic(map, update.dynamic_indices(output, graph_.spec(value).shape), join.inputs, at, moved);
        at = std::move(moved);
      }
    }
    std::vector<kir::Value> dynamic;
    const uint32_t access = accesses_.to(target, at, kir::Access::Kind::output, dynamic);
    builder_.store(access, computed, dynamic);
  }

  /// Adds to a row of sums of the values at each point.
  void add_to_sums(ValueId value, kir::Value computed) {
    const uint32_t access = accesses_.add_sums(value, place_of(value));
    const Dtype type = kir::compute_type(graph_.spec(value).dtype);
    builder_.store(access, builder_.add(builder_.load(access), builder_.cast(computed, type)));
  }

  /// Keeps a value of the row in scratch memory for later passes.
  void keep(uint32_t& access, ValueId value, kir::Value computed) {
    access = accesses_.add_scratch(kir::compute_type(graph_.spec(value).dtype));
    builder_.store(access, computed);
  }

  const FusionPlan& plan_;
  const Graph& graph_;
  const FusionGroup& group_;
  const GroupStages stages_;
  LoweredKernel lowered_;
  KernelAccesses accesses_;
  kir::Builder builder_;
  int stage_now_ = 0;
  bool in_element_block_ = false;
  std::unordered_map<ValueId, uint32_t> kept_;  // values kept in scratch, and the access
  std::vector<Known> row_values_;
  std::vector<Known> element_values_;
  std::vector<Known> hoisted_;
};

}  // namespace

LoweredKernel lower_unit(const FusionPlan& plan, const FusionUnit& unit) {
  const ValueId block = unit.has_epilogue() ? plan.prepared.graph.nodes[unit.node].outputs[0] : Graph::none;
  return Emitter(plan, unit.group, block, Graph::none).run();
}

LoweredKernel lower_prologue(const FusionPlan& plan, const FusionUnit& unit) {
  return Emitter(plan, unit.prologue, Graph::none, unit.made).run();
}

}  // namespace lazuli
