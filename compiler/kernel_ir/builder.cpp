#include <lazuli/compiler/kernel_ir/builder.h>

#include <array>
#include <bit>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <lazuli/compiler/kernel_ir/fold.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/math_tables.h>

/// The builder for real values; complex arithmetic is in builder_complex.cpp.
namespace lazuli::kir {
namespace {

[[noreturn]] void fail(Opcode op, const std::string& fault) {
  throw std::logic_error(fmt::format("[kir::Builder] {}: {}.", row_of(op).name, fault));
}

bool is_integer(Dtype type) {
  return type_set(type) == integers;
}
bool is_float(Dtype type) {
  return type_set(type) == floats;
}

}  // namespace

size_t Builder::InstructionHash::operator()(const Instruction& instruction) const {
  uint64_t hash = static_cast<uint64_t>(instruction.op) * 64 + static_cast<uint64_t>(instruction.type.val());
  const auto mix = [&hash](uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  };
  mix(instruction.imm);
  for (ValueId operand : instruction.operands) mix(operand);
  return hash;
}

void Builder::begin_block(bool per_element) {
  end_block();
  const auto at = static_cast<uint32_t>(kernel_.instructions.size());
  kernel_.blocks.push_back({per_element, at, at});
  open_ = true;
}

void Builder::end_block() {
  if (!open_) return;
  open_ = false;
  Block& block = kernel_.blocks.back();
  block.end = static_cast<uint32_t>(kernel_.instructions.size());
  if (!block.per_element) return;
  // Values of a per-element block are not visible later. (Its reductions are, but their operands are not.)
  std::erase_if(known_, [&](const auto& entry) { return entry.second >= block.begin; });
}

void Builder::forget_loads(uint32_t access) {
  std::erase_if(known_, [&](const auto& e) { return is_load(e.first.op) && e.first.imm == access; });
}

ValueId Builder::simplify(const Instruction& instruction) {
  const std::vector<ValueId>& operands = instruction.operands;
  if (operands.empty() || !row_of(instruction.op).pure) return no_value;
  const auto made_by = [&](size_t i) -> const Instruction& { return kernel_.instructions[operands[i]]; };
  const Dtype type = made_by(instruction.op == Opcode::select ? 1 : 0).type;

  std::array<uint64_t, 3> bits{};
  bool all_constant = true;
  for (size_t i = 0; i < operands.size(); ++i) {
    all_constant = all_constant && made_by(i).op == Opcode::constant;
    bits[i] = made_by(i).imm;
  }
  if (all_constant) {
    if (const auto folded = fold(instruction, type, {bits.data(), operands.size()})) {
      return constant_bits(instruction.type, *folded).id;
    }
  }

  const auto is_constant = [&](size_t i, double value) {
    return made_by(i).op == Opcode::constant && made_by(i).imm == kir::constant_bits(type, value);
  };
  // What an operand has to be for the other one to be the result; -0.0 and 0.0 are told apart.
  switch (instruction.op) {
    case Opcode::add:
      if (is_constant(1, -0.0)) return operands[0];
      if (is_constant(0, -0.0)) return operands[1];
      break;
    case Opcode::sub:
      if (is_constant(1, 0.0)) return operands[0];
      break;
    case Opcode::mul:
      if (is_constant(1, 1.0)) return operands[0];
      if (is_constant(0, 1.0)) return operands[1];
      if (is_integer(type) && is_constant(0, 0.0)) return operands[0];
      if (is_integer(type) && is_constant(1, 0.0)) return operands[1];
      break;
    case Opcode::div:
      if (is_constant(1, 1.0)) return operands[0];
      break;
    case Opcode::shift_left:
    case Opcode::shift_right:
      if (is_constant(1, 0.0)) return operands[0];
      break;
    case Opcode::neg:
    case Opcode::bit_not:
      if (made_by(0).op == instruction.op) return made_by(0).operands[0];
      break;
    case Opcode::abs:
      if (made_by(0).op == Opcode::abs || (is_integer(type) && !is_signed_integer(type))) return operands[0];
      break;
    case Opcode::floor:
    case Opcode::ceil:
    case Opcode::trunc:
    case Opcode::rint:
      if (made_by(0).op >= Opcode::floor && made_by(0).op <= Opcode::rint) return operands[0];
      break;
    case Opcode::min:
    case Opcode::max:
    case Opcode::bit_and:
    case Opcode::bit_or:
      if (operands[0] == operands[1]) return operands[0];
      break;
    case Opcode::select:
      if (operands[1] == operands[2]) return operands[1];
      if (made_by(0).op == Opcode::constant) return operands[bits[0] != 0 ? 1 : 2];
      break;
    case Opcode::cast:
      if (instruction.type == type) return operands[0];
      break;
    case Opcode::bitcast:
      if (instruction.type == type) return operands[0];
      if (made_by(0).op == Opcode::bitcast) {
        return emit(Opcode::bitcast, instruction.type, {made_by(0).operands[0]}).id;
      }
      break;
    case Opcode::round_to:
      if (made_by(0).op == Opcode::round_to && made_by(0).imm == instruction.imm) return operands[0];
      break;
    default:
      break;
  }
  return no_value;
}

Value Builder::append(Instruction instruction) {
  if (!open_) fail(instruction.op, "there is no open block");
  const OpcodeRow& row = row_of(instruction.op);
  if (row.commutative && instruction.operands.size() == 2 &&
      instruction.operands[1] < instruction.operands[0]) {
    std::swap(instruction.operands[0], instruction.operands[1]);
  }
  if (const ValueId same = simplify(instruction); same != no_value) return {same, no_value, instruction.type};
  // Only inputs hold still; what the kernel writes may be read again for another value.
  const bool mergeable =
      row.pure || is_reduce(instruction.op) ||
      (is_load(instruction.op) && kernel_.accesses[instruction.imm].kind == Access::Kind::input);
  const auto id = static_cast<ValueId>(kernel_.instructions.size());
  if (mergeable) {
    const auto [entry, fresh] = known_.try_emplace(instruction, id);
    if (!fresh) return {entry->second, no_value, instruction.type};
  }
  const Dtype type = instruction.type;
  kernel_.instructions.push_back(std::move(instruction));
  return {id, no_value, type};
}

Value Builder::emit(Opcode op, Dtype type, std::initializer_list<ValueId> operands, uint64_t imm) {
  return append({op, type, imm, operands});
}

Value Builder::emit(Opcode op, Dtype type, std::vector<ValueId> operands, uint64_t imm) {
  return append({op, type, imm, std::move(operands)});
}

Value Builder::constant(Dtype type, double value) {
  if (type == complex64) return constant_complex(static_cast<float>(value), 0);
  const Dtype computed = compute_type(type);
  return constant_bits(computed, kir::constant_bits(computed, value));
}

Value Builder::constant_bits(Dtype type, uint64_t bits) {
  return emit(Opcode::constant, type, {}, bits);
}

Value Builder::index(int dim) {
  return emit(Opcode::index, int64, {}, static_cast<uint64_t>(dim));
}

Value Builder::load(uint32_t access, std::span<const Value> dynamic) {
  std::vector<ValueId> operands;
  for (const Value& value : dynamic) operands.push_back(cast(value, int64).id);
  const Dtype dtype = kernel_.accesses.at(access).dtype;
  if (dtype != complex64) return emit(Opcode::load, compute_type(dtype), std::move(operands), access);
  const Value re = emit(Opcode::load, float32, operands, access);
  const Value im = emit(Opcode::load_imag, float32, std::move(operands), access);
  return make_complex(re, im);
}

void Builder::store(uint32_t access, Value value, std::span<const Value> dynamic) {
  const Dtype dtype = kernel_.accesses.at(access).dtype;
  const Value converted = cast(value, dtype == complex64 ? complex64 : compute_type(dtype));
  std::vector<ValueId> operands{converted.id};
  if (converted.is_complex()) operands.push_back(converted.imag);
  for (const Value& position : dynamic) operands.push_back(cast(position, int64).id);
  forget_loads(access);
  emit(converted.is_complex() ? Opcode::store_complex : Opcode::store, compute_type(dtype),
       std::move(operands), access);
}

Value Builder::reduce(Opcode op, Value value) {
  if (!is_reduce(op)) fail(op, "is no reduction");
  if (value.is_complex()) {
    if (op != Opcode::reduce_sum) fail(op, "not defined for complex64");
    return make_complex(emit(op, float32, {value.id}), emit(op, float32, {value.imag}));
  }
  if (value.type == bool_) {
    // Sums and products of bools wrap at one bit, like `add` and `mul`.
    if (op == Opcode::reduce_sum || op == Opcode::reduce_max) op = Opcode::reduce_or;
    if (op == Opcode::reduce_prod || op == Opcode::reduce_min) op = Opcode::reduce_and;
  }
  if (!accepts(op, value.type)) fail(op, fmt::format("not defined for {}", dtype_name(value.type)));
  const bool positional = row_of(op).result == ResultRule::position;
  return emit(op, positional ? Dtype(int64) : value.type, {value.id});
}

Value Builder::unary(Opcode op, Value a) {
  const bool rounds = op >= Opcode::floor && op <= Opcode::rint;
  if (rounds && type_set(a.type) != floats) return a;
  if ((op == Opcode::neg || op == Opcode::abs) && a.type == bool_) return a;
  if (!accepts(op, a.type)) fail(op, fmt::format("not defined for {}", dtype_name(a.type)));
  return emit(op, a.type, {a.id});
}

Value Builder::bool_arithmetic(Opcode op, Value a, Value b) {
  switch (op) {
    case Opcode::add:
      return binary(Opcode::bit_or, a, b);
    case Opcode::sub:
      return binary(Opcode::bit_xor, a, b);
    case Opcode::mul:
    case Opcode::div:
      return binary(Opcode::bit_and, a, b);  // as in integers, x / 0 = 0
    case Opcode::rem:
      return constant(bool_, 0);  // x % 1 = 0 and x % 0 = 0
    default:
      fail(op, "not defined for bool");
  }
}

Value Builder::binary(Opcode op, Value a, Value b) {
  if (a.type != b.type) {
    fail(op, fmt::format("operands are {} and {}", dtype_name(a.type), dtype_name(b.type)));
  }
  if (!accepts(op, a.type)) {
    if (a.type == bool_) return bool_arithmetic(op, a, b);
    fail(op, fmt::format("not defined for {}", dtype_name(a.type)));
  }
  return emit(op, row_of(op).result == ResultRule::boolean ? Dtype(bool_) : a.type, {a.id, b.id});
}

Value Builder::rem(Value a, Value b) {
  return binary(Opcode::rem, a, b);
}

Value Builder::fma(Value a, Value b, Value c) {
  if (a.is_complex() || !is_float(a.type)) return add(mul(a, b), c);
  if (a.type != b.type || a.type != c.type) fail(Opcode::fma, "operands differ in type");
  return emit(Opcode::fma, a.type, {a.id, b.id, c.id});
}

Value Builder::logical_not(Value a) {
  return unary(Opcode::bit_not, cast(a, bool_));
}

Value Builder::select(Value condition, Value a, Value b) {
  const Value chosen = cast(condition, bool_);
  if (a.is_complex() || b.is_complex()) {
    const Value x = cast(a, complex64);
    const Value y = cast(b, complex64);
    return make_complex(select(chosen, real(x), real(y)), select(chosen, imag(x), imag(y)));
  }
  if (a.type != b.type) fail(Opcode::select, "operands differ in type");
  return emit(Opcode::select, a.type, {chosen.id, a.id, b.id});
}

Value Builder::cast(Value a, Dtype type) {
  if (type == complex64) return a.is_complex() ? a : make_complex(cast(a, float32), constant(float32, 0));
  const Dtype to = compute_type(type);
  if (a.is_complex()) {
    // A complex number is true where either part is not zero; any other type takes the real part.
    if (to == bool_) return ne(a, constant_complex(0, 0));
    return cast(real(a), to);
  }
  return emit(Opcode::cast, to, {a.id});
}

Value Builder::bitcast(Value a, Dtype type) {
  // Bools are bytes of 0 or 1, so that conversion does what a bitcast would, and keeps them so.
  if (a.type == bool_ || type == bool_) return cast(a, type);
  if (a.is_complex() || a.type.size() != type.size() || type_set(type) == no_types) {
    fail(Opcode::bitcast, fmt::format("from {} to {}", dtype_name(a.type), dtype_name(type)));
  }
  return emit(Opcode::bitcast, type, {a.id});
}

Value Builder::look_up(Table table, Value index) {
  if (index.type != int32) fail(Opcode::table, "takes int32");
  return emit(Opcode::table, float32, {index.id}, static_cast<uint64_t>(table));
}

Value Builder::scalb(Value a, Value b) {
  if (a.type != float32 || b.type != float32) fail(Opcode::scalb, "takes float32");
  return emit(Opcode::scalb, float32, {a.id, b.id});
}

Value Builder::round_to(Value a, Dtype dtype) {
  if (a.type != float32 || a.is_complex()) fail(Opcode::round_to, "takes float32");
  return emit(Opcode::round_to, float32, {a.id}, static_cast<uint64_t>(dtype.val()));
}

}  // namespace lazuli::kir
