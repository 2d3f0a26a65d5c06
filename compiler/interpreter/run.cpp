#include <lazuli/compiler/interpreter/run.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace lazuli::interpreter {
namespace {

using kir::Access;
using kir::Role;
using kir::StrideClass;

/// A thread's memory for registers; it grows to what the largest kernel so far needs.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { release(); }

  std::byte* at_least(size_t size) {
    if (size > size_) {
      release();
      size_ = 0;
      memory_ = static_cast<std::byte*>(::operator new (size, std::align_val_t{64}));
      // Lanes that pad a block are computed on as well: let them be numbers.
      std::memset(memory_, 0, size);
      size_ = size;
    }
    return memory_;
  }

 private:
  void release() {
    if (memory_ != nullptr) ::operator delete (memory_, std::align_val_t{64});
    memory_ = nullptr;
  }
  std::byte* memory_ = nullptr;
  size_t size_ = 0;
};

thread_local Arena thread_arena;

int64_t units_of(int64_t n) {
  return (n + unit - 1) / unit;
}

template <typename T>
void repeat_each(std::byte* to, const std::byte* from, int64_t count, int64_t times) {
  auto* out = reinterpret_cast<T*>(to);
  const auto* in = reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < count; ++i, out += times) std::fill(out, out + times, in[i]);
}

void repeat_each(std::byte* to, const std::byte* from, int size, int64_t count, int64_t times) {
  switch (size) {
    case 1:
      return repeat_each<uint8_t>(to, from, count, times);
    case 2:
      return repeat_each<uint16_t>(to, from, count, times);
    case 4:
      return repeat_each<uint32_t>(to, from, count, times);
    default:
      return repeat_each<uint64_t>(to, from, count, times);
  }
}

}  // namespace

Run::Run(const Plan& plan, const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
         int64_t outer_end, int64_t inner_begin, int64_t inner_end)
    : plan_(plan),
      arguments_(arguments),
      scratch_(scratch),
      outer_begin_(outer_begin),
      outer_end_(outer_end),
      inner_begin_(inner_begin),
      inner_end_(inner_end) {
  // The streams' states lie in front of the registers.
  const size_t streams = plan_.element_streams.size() + plan_.point_streams.size();
  const size_t states_size = (streams * sizeof(StreamState) + 63) / 64 * 64;
  std::byte* memory = thread_arena.at_least(states_size + plan_.arena_size);
  auto* states = reinterpret_cast<StreamState*>(memory);
  elements_.states = {states, plan_.element_streams.size()};
  points_.states = {states + plan_.element_streams.size(), plan_.point_streams.size()};
  arena_ = memory + states_size;
  for (std::byte*& source : sources_) source = arena_;
  // Constants are only read.
  sources_[static_cast<size_t>(Source::constant)] =
      const_cast<std::byte*>(reinterpret_cast<const std::byte*>(plan_.constants.data()));
  set_extents();
}

void Run::set_extents() {
  for (size_t d = 0; d < plan_.dims.size(); ++d) {
    if (plan_.dims[d] == Role::reduce) reduced_ *= arguments_.extents[d];
  }
  const bool has_vector_dim = !plan_.dims.empty() && plan_.dims.back() == Role::parallel;
  if (!has_vector_dim) {
    inner_begin_ = 0;
    inner_end_ = 1;
  }
  width_ = inner_end_ - inner_begin_;
}

int64_t Run::stride_of(size_t access, size_t dim) const {
  switch (plan_.accesses[access].strides[dim]) {
    case StrideClass::zero:
      return 0;
    case StrideClass::unit:
      return 1;
    case StrideClass::any:
      break;
  }
  return arguments_.strides[plan_.stride_offsets[access] + dim];
}

/// The state with strides by dimension of the kernel, outermost first.
StreamState Run::state_of(const Stream& stream) const {
  StreamState state;
  const size_t rank = plan_.dims.size();
  if (stream.access < 0) {
    state.strides[static_cast<size_t>(stream.dim)] = 1;
    return state;
  }
  const auto number = static_cast<size_t>(stream.access);
  const Access& access = plan_.accesses[number];
  // The parts of complex numbers are float32 elements, every second one.
  const int64_t parts = access.dtype == complex64 ? 2 : 1;
  for (size_t d = 0; d < rank; ++d) state.strides[d] = parts * stride_of(number, d);
  for (size_t j = 0; j < access.dynamic_indices; ++j) {
    state.dynamic_strides[j] = parts * arguments_.strides[plan_.stride_offsets[number] + rank + j];
  }
  std::byte* base = arguments_.pointers[number];
  if (is_private(stream)) {
    base = arena_ + plan_.scratch_rows[number];
  } else if (access.kind == Access::Kind::scratch) {
    base = scratch_ + reinterpret_cast<uintptr_t>(base);
  }
  state.base = base + stream.part * static_cast<int>(sizeof(float));
  return state;
}

void Run::set_field(Field& field, const std::vector<Stream>& streams, bool with_reduce_dims) {
  field.streams = &streams;
  const auto rank = static_cast<int>(plan_.dims.size());
  const int vector_dim = rank > 0 && plan_.dims.back() == Role::parallel ? rank - 1 : -1;
  int dims = 0;
  std::array<int, max_rank> kept;
  for (int d = rank - 1; d >= 0; --d) {
    if (plan_.dims[static_cast<size_t>(d)] == Role::reduce && !with_reduce_dims) continue;
    kept[static_cast<size_t>(dims)] = d;
    field.space.extents[static_cast<size_t>(dims)] = d == vector_dim ? width_ : arguments_.extents[d];
    ++dims;
  }
  field.space.dims = dims;
  for (size_t s = 0; s < streams.size(); ++s) {
    StreamState& state = *new (&field.states[s]) StreamState(state_of(streams[s]));
    if (vector_dim >= 0) {
      // Points along the vector dimension count from inner_begin.
      state.first = inner_begin_ * state.strides[static_cast<size_t>(vector_dim)];
    }
    const std::array<int64_t, max_rank> by_dim = state.strides;
    for (size_t k = 0; k < static_cast<size_t>(dims); ++k)
      state.strides[k] = by_dim[static_cast<size_t>(kept[k])];
  }
  field.space.collapse(field.states);
}

void Run::execute() {
  if (outer_begin_ >= outer_end_ || width_ <= 0) return;
  for (size_t a = 0; a < plan_.accesses.size(); ++a) {
    const Access& access = plan_.accesses[a];
    if (access.kind != Access::Kind::sums) continue;
    std::memset(arguments_.pointers[a], 0, static_cast<size_t>(reduced_ * access.dtype.size()));
  }
  execute_uniform();
  switch (plan_.shape) {
    case Shape::elementwise:
      return execute_elementwise();
    case Shape::rows:
      return execute_rows();
    case Shape::columns:
      return execute_columns();
  }
}

void Run::execute_uniform() {
  for (const Step& step : plan_.uniform_steps) {
    if (step.kind == Step::Kind::compute) {
      compute(step, unit);
      continue;
    }
    if (step.may_be_empty && reduced_ == 0) continue;
    const StreamState state = state_of(plan_.uniform_streams[step.stream]);
    if (step.kind == Step::Kind::load) {
      step.load(arena_ + step.result, state.base, 0, unit);
      continue;
    }
    DynamicIndices indices{{}, state.dynamic_strides.data(), static_cast<int>(step.index_count)};
    for (uint32_t j = 0; j < step.index_count; ++j) {
      indices.x[j] = reinterpret_cast<const int64_t*>(arena_ + plan_.indices[step.first_index + j]);
    }
    step.gather(arena_ + step.result, state.base, 0, indices, unit);
  }
}

void Run::execute_elementwise() {
  set_field(elements_, plan_.element_streams, true);
  const int64_t end = outer_end_ * width_;
  for (int64_t p = outer_begin_ * width_; p < end; p += plan_.block_size) {
    const Chunk chunk(elements_.space, p, std::min(plan_.block_size, end - p));
    for (const PlanBlock& block : plan_.blocks) execute_steps(block.element_steps, elements_, chunk);
  }
}

void Run::execute_rows() {
  const int64_t rows_a_block = plan_.block_size / std::max<int64_t>(reduced_, 1);
  group_ = plan_.one_row_a_group ? 1 : std::max<int64_t>(rows_a_block, 1);
  group_ = std::min(group_, outer_end_ - outer_begin_);
  expanded_move_ = group_ > 1;
  private_scratch_ = group_ > 1;
  set_field(elements_, plan_.element_streams, true);
  set_field(points_, plan_.point_streams, false);
  for (int64_t row = outer_begin_; row < outer_end_; row += group_) {
    group_points_ = std::min(group_, outer_end_ - row);
    const Chunk points(points_.space, row, group_points_);
    for (const PlanBlock& block : plan_.blocks) {
      begin_block(block, points, reduced_);
      const int64_t end = (row + group_points_) * reduced_;
      const int64_t size = group_ > 1 ? group_ * reduced_ : plan_.block_size;
      position_ = 0;
      for (int64_t p = row * reduced_; p < end && block.per_element; p += size) {
        const Chunk chunk(elements_.space, p, std::min(size, end - p));
        execute_steps(block.element_steps, elements_, chunk);
        position_ += chunk.n;
      }
      end_block(block, group_points_);
    }
  }
}

void Run::execute_columns() {
  group_ = std::min(width_, plan_.block_size);
  expanded_move_ = true;
  set_field(elements_, plan_.element_streams, true);
  set_field(points_, plan_.point_streams, false);
  // Several rows a chunk where a row is short and all of it belongs to the group.
  const int64_t rows_a_chunk = group_ == width_ ? std::max<int64_t>(plan_.block_size / width_, 1) : 1;
  for (int64_t outer = outer_begin_; outer < outer_end_; ++outer) {
    for (int64_t column = 0; column < width_; column += group_) {
      group_points_ = std::min(group_, width_ - column);
      const Chunk points(points_.space, outer * width_ + column, group_points_);
      for (const PlanBlock& block : plan_.blocks) {
        begin_block(block, points, std::min(rows_a_chunk, reduced_));
        for (int64_t row = 0; row < reduced_ && block.per_element; row += rows_a_chunk) {
          const int64_t rows = std::min(rows_a_chunk, reduced_ - row);
          const Chunk chunk(elements_.space, (outer * reduced_ + row) * width_ + column,
                            rows * group_points_);
          position_ = row;
          execute_steps(block.element_steps, elements_, chunk);
        }
        end_block(block, group_points_);
      }
    }
  }
}

void Run::begin_block(const PlanBlock& block, const Chunk& points, int64_t copies) {
  block_ = &block;
  for (const Reduction& reduction : block.reductions) {
    reduction.functions.start(arena_ + reduction.accumulators, points.n);
  }
  if (block.per_element && reduced_ == 0) return;
  execute_steps(block.point_steps, points_, points);
  for (const Expansion& expansion : block.expansions) expand(expansion, points.n, copies);
}

void Run::end_block(const PlanBlock& block, int64_t points) {
  for (const Reduction& reduction : block.reductions) {
    reduction.functions.finish(arena_ + reduction.result, arena_ + reduction.accumulators, points);
  }
}

void Run::expand(const Expansion& expansion, int64_t points, int64_t copies) const {
  std::byte* to = arena_ + expansion.to;
  const std::byte* from = arena_ + expansion.from;
  if (!expanded_move_) return repeat_each(to, from, expansion.size, 1, unit);
  if (plan_.shape == Shape::rows) return repeat_each(to, from, expansion.size, points, copies);
  const size_t row = static_cast<size_t>(points * expansion.size);
  for (int64_t i = 0; i < copies; ++i, to += row) std::memcpy(to, from, row);
}

void Run::execute_steps(const std::vector<Step>& steps, const Field& field, const Chunk& chunk) {
  for (const Step& step : steps) {
    switch (step.kind) {
      case Step::Kind::compute:
        compute(step, chunk.n);
        break;
      case Step::Kind::reduce:
        reduce(step, chunk.n);
        break;
      default:
        transfer(step, field, chunk);
        break;
    }
  }
}

void Run::compute(const Step& step, int64_t n) const {
  StepArguments arguments;
  arguments.result = arena_ + step.result;
  for (size_t k = 0; k < step.operands.size(); ++k) {
    const Operand& operand = step.operands[k];
    arguments.operands[k] = sources_[static_cast<size_t>(operand.source)] + operand.offset;
  }
  arguments.moving = step.moving | (expanded_move_ ? step.expanded : 0u);
  arguments.units = units_of(n);
  step.compute(arguments);
}

bool Run::is_private(const Stream& stream) const {
  return private_scratch_ && stream.access >= 0 &&
         plan_.accesses[static_cast<size_t>(stream.access)].kind == Access::Kind::scratch;
}

void Run::transfer(const Step& step, const Field& field, const Chunk& chunk) const {
  const StreamState& state = field.states[step.stream];
  const Stream& stream = (*field.streams)[step.stream];
  if (step.kind == Step::Kind::index) {
    auto* to = reinterpret_cast<int64_t*>(arena_ + step.result);
    // The coordinate is the offset of a tensor with stride 1 along its dimension.
    const int64_t stride = state.strides[0];
    for_each_run(field.space, chunk, state, [&](int64_t offset, int64_t begin, int64_t n) {
      for (int64_t i = 0; i < n; ++i) to[begin + i] = offset + i * stride;
    });
    return;
  }
  const Dtype dtype = plan_.accesses[static_cast<size_t>(stream.access)].dtype;
  const int parts = dtype == complex64 ? 2 : 1;
  const int64_t memory_size = dtype.size() / parts;
  const bool loads = step.kind == Step::Kind::load || step.kind == Step::Kind::gather;
  const int64_t register_size = kir::compute_type(dtype).size();
  std::byte* values = arena_ + (loads ? step.result : step.operands[0].offset);
  const auto move = [&](int64_t offset, int64_t begin, int64_t n, int64_t stride) {
    std::byte* memory = state.base + offset * memory_size;
    std::byte* lanes = values + begin * register_size;
    if (step.kind == Step::Kind::load) return step.load(lanes, memory, stride, n);
    if (step.kind == Step::Kind::store) return step.store(memory, stride, lanes, n);
    DynamicIndices indices{{}, state.dynamic_strides.data(), static_cast<int>(step.index_count)};
    for (uint32_t j = 0; j < step.index_count; ++j) {
      indices.x[j] = reinterpret_cast<const int64_t*>(arena_ + plan_.indices[step.first_index + j]) + begin;
    }
    if (step.kind == Step::Kind::gather) return step.gather(lanes, memory, stride, indices, n);
    step.scatter(memory, stride, indices, lanes, n);
  };
  // Private scratch holds the group's rows one after another, which is the chunk as it is.
  if (is_private(stream)) return move(0, 0, chunk.n, parts);
  for_each_run(field.space, chunk, state,
               [&](int64_t offset, int64_t begin, int64_t n) { move(offset, begin, n, state.strides[0]); });
}

void Run::reduce(const Step& step, int64_t n) const {
  const Reduction& reduction = block_->reductions[step.stream];
  std::byte* accumulators = arena_ + reduction.accumulators;
  const std::byte* values = arena_ + step.operands[0].offset;
  if (plan_.shape == Shape::columns) {
    reduction.functions.columns(accumulators, values, n / group_points_, group_points_, position_);
  } else {
    reduction.functions.rows(accumulators, values, group_points_, n / group_points_, position_);
  }
}

}  // namespace lazuli::interpreter
