#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

namespace lazuli::kir {
namespace {

constexpr std::array<std::string_view, 2> role_names{"parallel", "reduce"};
constexpr std::array<std::string_view, 4> kind_names{"input", "output", "scratch", "sums"};
constexpr std::array<std::string_view, 3> stride_names{"zero", "unit", "any"};

template <typename Enum, size_t n>
std::string_view name_of(const std::array<std::string_view, n>& names, Enum value) {
  return names.at(static_cast<size_t>(value));
}

bool has_access(Opcode op) {
  return is_load(op) || is_store(op);
}

/// A constant's value, as a comment.
std::string constant_comment(const Instruction& instruction) {
  return dispatch_compute_type(instruction.type, [&]<typename T>(std::type_identity<T>) -> std::string {
    const T value = scalar::from_bits<T>(instruction.imm);
    if constexpr (sizeof(T) == 1 && !scalar::is_bool<T>)
      return fmt::format("  # {}", static_cast<int>(value));
    else
      return fmt::format("  # {}", value);
  });
}

/// Minima and maxima in which NaN may be lost are marked by this word.
constexpr std::string_view of_numbers = "of_numbers";
bool may_be_of_numbers(Opcode op) {
  return op == Opcode::reduce_min || op == Opcode::reduce_max;
}

std::string instruction_text(const Instruction& instruction, size_t number) {
  const OpcodeRow& row = row_of(instruction.op);
  std::string out = row.result == ResultRule::none ? "" : fmt::format("%{} = ", number);
  out += fmt::format("{}.{}", row.name, dtype_name(instruction.type));
  std::string_view separator = " ";
  const auto item = [&](const std::string& text) {
    out += separator;
    out += text;
    separator = ", ";
  };
  if (instruction.op == Opcode::constant) item(fmt::format("{:#x}", instruction.imm));
  if (instruction.op == Opcode::index) item(fmt::format("{}", instruction.imm));
  if (has_access(instruction.op)) item(fmt::format("a{}", instruction.imm));
  if (instruction.op == Opcode::round_to) {
    item(std::string(dtype_name(dtype_from_value(static_cast<Dtype::Val>(instruction.imm)))));
  }
  if (instruction.op == Opcode::table) item(fmt::format("{}", instruction.imm));
  if (may_be_of_numbers(instruction.op) && instruction.imm != 0) item(std::string(of_numbers));
  for (ValueId operand : instruction.operands) item(fmt::format("%{}", operand));
  if (instruction.op == Opcode::constant) out += constant_comment(instruction);
  return out;
}

/// Reads the text form, a line at a time.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Kernel run() {
    expect_word("kernel");
    while (!line_.empty()) kernel_.dims.push_back(enum_value<Role>(role_names, word()));
    while (next_line()) {
      const std::string_view first = word();
      if (first == "block" || first == "point_block") {
        begin_block(first == "block");
      } else if (first.front() == '%') {
        expect_word("=");
        const std::string name(first);
        parse_instruction(word());
        ids_[name] = static_cast<ValueId>(kernel_.instructions.size() - 1);
      } else if (first.find('.') != std::string_view::npos) {
        parse_instruction(first);
      } else {
        parse_access(first);
      }
      if (!line_.empty()) fail(fmt::format("did not expect '{}'", line_));
    }
    end_block();
    return std::move(kernel_);
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const {
    throw std::invalid_argument(fmt::format("[kir::parse] Line {}: {}.", line_number_, fault));
  }

  static bool is_space(char c) { return c == ' ' || c == '\t' || c == ',' || c == '\r'; }

  void skip_space() {
    while (!line_.empty() && is_space(line_.front())) line_.remove_prefix(1);
  }

  /// Moves to the next line that says something.
  bool next_line() {
    while (!text_.empty()) {
      const size_t end = std::min(text_.find('\n'), text_.size());
      line_ = text_.substr(0, end);
      line_ = line_.substr(0, std::min(line_.find('#'), line_.size()));
      text_.remove_prefix(std::min(end + 1, text_.size()));
      ++line_number_;
      skip_space();
      if (!line_.empty()) return true;
    }
    line_ = {};
    return false;
  }

  std::string_view word() {
    if (line_.empty()) fail("the line is too short");
    size_t end = 0;
    while (end < line_.size() && !is_space(line_[end])) ++end;
    const std::string_view result = line_.substr(0, end);
    line_.remove_prefix(end);
    skip_space();
    return result;
  }

  void expect_word(std::string_view wanted) {
    if (line_.empty()) next_line();
    if (const std::string_view found = word(); found != wanted) {
      fail(fmt::format("found '{}' instead of '{}'", found, wanted));
    }
  }

  uint64_t number(std::string_view text) const {
    const bool hex = text.starts_with("0x");
    if (hex) text.remove_prefix(2);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    if (error != std::errc() || end != text.data() + text.size())
      fail(fmt::format("'{}' is no number", text));
    return value;
  }

  uint64_t access_number(std::string_view text) const {
    if (!text.starts_with('a')) fail(fmt::format("'{}' is no access", text));
    return number(text.substr(1));
  }

  template <typename Enum, size_t n>
  Enum enum_value(const std::array<std::string_view, n>& names, std::string_view name) const {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail(fmt::format("'{}' is not known here", name));
    return static_cast<Enum>(found - names.begin());
  }

  void begin_block(bool per_element) {
    end_block();
    const auto at = static_cast<uint32_t>(kernel_.instructions.size());
    kernel_.blocks.push_back({per_element, at, at});
  }

  void end_block() {
    if (!kernel_.blocks.empty())
      kernel_.blocks.back().end = static_cast<uint32_t>(kernel_.instructions.size());
  }

  void parse_access(std::string_view name) {
    if (access_number(name) != kernel_.accesses.size()) fail("accesses are not in order");
    Access access;
    access.kind = enum_value<Access::Kind>(kind_names, word());
    access.dtype = dtype_from_name(word());
    while (!line_.empty()) {
      const std::string_view item = word();
      if (item.starts_with("dynamic=")) {
        access.dynamic_indices = static_cast<uint8_t>(number(item.substr(8)));
      } else {
        access.strides.push_back(enum_value<StrideClass>(stride_names, item));
      }
    }
    kernel_.accesses.push_back(std::move(access));
  }

  void parse_instruction(std::string_view head) {
    if (kernel_.blocks.empty()) fail("the instruction stands before the first block");
    const size_t dot = head.find('.');
    if (dot == std::string_view::npos) fail(fmt::format("'{}' has no type", head));
    Instruction instruction;
    const auto table = instruction_table();
    const auto row = std::find_if(table.begin(), table.end(),
                                  [&](const OpcodeRow& r) { return r.name == head.substr(0, dot); });
    if (row == table.end()) fail(fmt::format("there is no instruction '{}'", head.substr(0, dot)));
    instruction.op = row->op;
    instruction.type = dtype_from_name(head.substr(dot + 1));
    if (row->op == Opcode::constant || row->op == Opcode::index || row->op == Opcode::table) {
      instruction.imm = number(word());
    }
    if (has_access(row->op)) instruction.imm = access_number(word());
    if (row->op == Opcode::round_to) instruction.imm = static_cast<uint64_t>(dtype_from_name(word()).val());
    while (!line_.empty()) {
      const std::string_view operand = word();
      if (operand == of_numbers && may_be_of_numbers(row->op)) {
        instruction.imm = 1;
        continue;
      }
      const auto found = ids_.find(operand);
      if (found == ids_.end()) fail(fmt::format("there is no value '{}'", operand));
      instruction.operands.push_back(found->second);
    }
    kernel_.instructions.push_back(std::move(instruction));
  }

  std::string_view text_;
  std::string_view line_;
  int line_number_ = 0;
  Kernel kernel_;
  std::map<std::string, ValueId, std::less<>> ids_;
};

}  // namespace

std::string to_text(const Kernel& kernel) {
  std::string out = "kernel";
  for (Role role : kernel.dims) out += fmt::format(" {}", name_of(role_names, role));
  out += '\n';
  for (size_t a = 0; a < kernel.accesses.size(); ++a) {
    const Access& access = kernel.accesses[a];
    out += fmt::format("a{} {} {}", a, name_of(kind_names, access.kind), dtype_name(access.dtype));
    for (StrideClass stride : access.strides) out += fmt::format(" {}", name_of(stride_names, stride));
    if (access.dynamic_indices != 0) out += fmt::format(" dynamic={}", access.dynamic_indices);
    out += '\n';
  }
  for (const Block& block : kernel.blocks) {
    out += block.per_element ? "block\n" : "point_block\n";
    for (size_t i = block.begin; i < block.end; ++i) {
      out += fmt::format("  {}\n", instruction_text(kernel.instructions[i], i));
    }
  }
  return out;
}

Kernel parse(std::string_view text) {
  return Parser(text).run();
}

}  // namespace lazuli::kir
