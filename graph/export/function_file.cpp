#include <lazuli/graph/export/function_file.h>

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>

#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

namespace {

constexpr char magic[8] = {'l', 'a', 'z', 'u', 'l', 'i', 'f', 'n'};
constexpr uint32_t version = 1;
constexpr uint64_t head_size = 32;
constexpr uint64_t checked_from = 16;  // behind the checksum
constexpr uint64_t alignment = 64;

template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw std::runtime_error(fmt::format(text, std::forward<Args>(args)...));
}

uint64_t aligned(uint64_t size) {
  return (size + alignment - 1) / alignment * alignment;
}

/// Puts the structure together.
class Output {
 public:
  template <typename T>
  void number(T value) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    text_.append(bytes, sizeof(value));
  }
  void count(size_t value) { number(static_cast<uint32_t>(value)); }
  void text(const std::string& value) {
    count(value.size());
    text_ += value;
  }
  template <typename T>
  void numbers(const std::vector<T>& values) {
    count(values.size());
    for (const T value : values) number(value);
  }
  void spec(const StoredSpec& spec) {
    number(static_cast<uint8_t>(spec.dtype.val()));
    count(spec.shape.size());
    for (const StoredExtent& extent : spec.shape) {
      number(static_cast<uint8_t>(extent.is_place));
      number(extent.value);
    }
  }
  void specs(const std::vector<StoredSpec>& all) {
    count(all.size());
    for (const StoredSpec& one : all) spec(one);
  }
  void dims(const DimTable& table) {
    number(static_cast<int32_t>(table.symbols));
    count(table.expressions.size());
    for (const DimExpression& e : table.expressions) {
      number(e.kind);
      number(e.a);
      number(e.b);
    }
    count(table.guards.size());
    for (const DimGuard& g : table.guards) {
      number(g.kind);
      number(g.a);
      number(g.b);
    }
  }
  void trace(const StoredTrace& trace) {
    count(trace.keywords.size());
    for (const std::string& keyword : trace.keywords) text(keyword);
    dims(trace.dims);
    numbers(trace.symbol_values);
    specs(trace.inputs);
    numbers(trace.constants);
    count(trace.nodes.size());
    for (const StoredNode& node : trace.nodes) {
      text(node.key);
      text(node.name);
      text(node.attributes);
      numbers(node.inputs);
      specs(node.outputs);
    }
    numbers(trace.outputs);
  }
  const std::string& result() const { return text_; }

 private:
  std::string text_;
};

/// Reads the structure; sizes are compared with what is left before anything of that size is made.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }
  /// A number of things that take at least `least` bytes each.
  size_t count(size_t least) {
    const auto value = number<uint32_t>();
    if (value > bytes_.size() / least) fail("the structure is cut short");
    return value;
  }
  std::string text() { return std::string(take(number<uint32_t>())); }
  template <typename T>
  std::vector<T> numbers() {
    std::vector<T> values(count(sizeof(T)));
    for (T& value : values) value = number<T>();
    return values;
  }
  Dtype dtype() {
    const auto value = number<uint8_t>();
    if (value >= dtype_count) fail("there is no dtype {}", value);
    return dtype_from_value(static_cast<Dtype::Val>(value));
  }
  bool is_done() const { return bytes_.empty(); }

  StoredSpec spec(const DimTable& dims) {
    StoredSpec spec;
    spec.dtype = dtype();
    for (size_t left = count(5); left > 0; --left) {
      StoredExtent extent;
      extent.is_place = number<uint8_t>() != 0;
      extent.value = number<int32_t>();
      check_extent(extent, dims);
      spec.shape.push_back(extent);
    }
    return spec;
  }
  std::vector<StoredSpec> specs(const DimTable& dims) {
    std::vector<StoredSpec> all;
    for (size_t left = count(5); left > 0; --left) all.push_back(spec(dims));
    return all;
  }
  static void check_extent(const StoredExtent& extent, const DimTable& dims) {
    const bool is_fine = extent.is_place ? is_place(extent.value, dims) : extent.value >= 0;
    if (!is_fine) fail("there is no extent {}", extent.value);
  }
  static bool is_place(int32_t place, const DimTable& dims) {
    return place > 0 && static_cast<size_t>(place) < dims.expressions.size();
  }

  DimTable dims() {
    DimTable table;
    table.symbols = number<int32_t>();
    table.expressions.resize(count(9));
    if (table.expressions.empty() || table.symbols < 0) fail("the extents are damaged");
    int32_t place = 0;
    for (DimExpression& e : table.expressions) {
      e.kind = number<DimExpression::Kind>();
      e.a = number<int32_t>();
      e.b = number<int32_t>();
      const bool is_leaf = e.kind == DimExpression::Kind::symbol || e.kind == DimExpression::Kind::constant;
      bool is_fine = e.kind <= DimExpression::Kind::max;
      if (e.kind == DimExpression::Kind::symbol) is_fine = e.a >= 0 && e.a < table.symbols;
      if (!is_leaf) is_fine = is_fine && e.a > 0 && e.a < place && e.b > 0 && e.b < place;
      if (!is_fine && place > 0) fail("the extents are damaged");
      ++place;
    }
    table.guards.resize(count(9));
    for (DimGuard& g : table.guards) {
      g.kind = number<DimGuard::Kind>();
      g.a = number<int32_t>();
      g.b = number<int32_t>();
      if (g.kind > DimGuard::Kind::le || !is_place(g.a, table) || !is_place(g.b, table)) {
        fail("the conditions on extents are damaged");
      }
    }
    return table;
  }

  StoredTrace trace(size_t constants) {
    StoredTrace trace;
    for (size_t left = count(4); left > 0; --left) trace.keywords.push_back(text());
    trace.dims = dims();
    trace.symbol_values = numbers<int64_t>();
    if (trace.symbol_values.size() != static_cast<size_t>(trace.dims.symbols)) fail("an extent has no value");
    trace.inputs = specs(trace.dims);
    if (trace.keywords.size() > trace.inputs.size()) fail("there are more keywords than inputs");
    check_symbols(trace);
    trace.constants = numbers<uint32_t>();
    for (const uint32_t constant : trace.constants) {
      if (constant >= constants) fail("there is no constant {}", constant);
    }
    size_t values = trace.inputs.size() + trace.constants.size();
    const auto check_values = [&](const std::vector<uint32_t>& used) {
      for (const uint32_t value : used) {
        if (value >= values) fail("value {} is used before it is made", value);
      }
    };
    for (size_t left = count(20); left > 0; --left) {
      StoredNode node;
      node.key = text();
      node.name = text();
      node.attributes = text();
      node.inputs = numbers<uint32_t>();
      check_values(node.inputs);
      node.outputs = specs(trace.dims);
      values += node.outputs.size();
      trace.nodes.push_back(std::move(node));
    }
    trace.outputs = numbers<uint32_t>();
    check_values(trace.outputs);
    return trace;
  }

 private:
  std::string_view take(uint64_t size) {
    if (size > bytes_.size()) fail("the structure is cut short");
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  /// Inputs' extents are numbers or symbols, and each symbol is one.
  static void check_symbols(const StoredTrace& trace) {
    std::vector<bool> is_known(trace.symbol_values.size(), false);
    for (const StoredSpec& input : trace.inputs) {
      for (const StoredExtent& extent : input.shape) {
        if (!extent.is_place) continue;
        const DimExpression& e = trace.dims.expressions[static_cast<size_t>(extent.value)];
        if (e.kind != DimExpression::Kind::symbol) fail("an input's extent is computed");
        is_known[static_cast<size_t>(e.a)] = true;
      }
    }
    if (std::find(is_known.begin(), is_known.end(), false) != is_known.end()) {
      fail("an extent belongs to no input");
    }
    for (const int64_t value : trace.symbol_values) {
      if (value < 2 || value > std::numeric_limits<int32_t>::max()) fail("an extent cannot be {}", value);
    }
  }

  std::string_view bytes_;
};

std::vector<array> parse_constants(Input& in, const Ref<Buffer>& memory, uint64_t data_start) {
  std::vector<array> constants;
  uint64_t free_from = data_start;
  for (size_t left = in.count(13); left > 0; --left) {
    TensorData data;
    data.file = memory;
    data.dtype = in.dtype();
    const std::vector<uint32_t> extents = in.numbers<uint32_t>();
    const auto start = in.number<uint64_t>();
    if (extents.size() > 64) fail("a constant has {} dimensions", extents.size());
    for (const uint32_t extent : extents) {
      if (extent > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()))
        fail("a constant is too large");
      data.shape.push_back(Dim(extent));
    }
    const auto bytes = tensor_bytes(std::vector<uint64_t>(extents.begin(), extents.end()), data.dtype);
    const uint64_t held = memory->size() - data_start;
    if (!bytes || start % alignment != 0 || start > held || *bytes > held - start) {
      fail("a constant lies outside of the file");
    }
    if (*bytes > 0 && data_start + start < free_from) fail("constants share bytes");
    data.offset = data_start + start;
    if (*bytes > 0) free_from = data.offset + *bytes;
    constants.push_back(data.to_array());
  }
  return constants;
}

uint32_t number_at(const std::byte* data, size_t at) {
  uint32_t value;
  std::memcpy(&value, data + at, sizeof(value));
  return value;
}

FunctionFile parse(const Ref<Buffer>& memory, bool checks) {
  const std::byte* data = memory->data();
  const uint64_t size = memory->size();
  if (size < sizeof(magic) || std::memcmp(data, magic, sizeof(magic)) != 0) {
    fail("not a file of exported functions");
  }
  if (size < head_size) fail("the file is cut short");
  const uint32_t found = number_at(data, 8);
  if (found > version) fail("the file has version {} of the format, the newest known is {}", found, version);
  if (found == 0) fail("the file is damaged: there is no version 0");
  if (checks) {
    const auto* bytes = reinterpret_cast<const Bytef*>(data + checked_from);
    if (crc32_z(0, bytes, size - checked_from) != number_at(data, 12)) {
      fail("the file is damaged or cut short: its checksum is wrong");
    }
  }
  uint64_t structure;
  uint64_t data_start;
  std::memcpy(&structure, data + 16, sizeof(structure));
  std::memcpy(&data_start, data + 24, sizeof(data_start));
  if (structure > size - head_size || data_start > size || data_start < head_size + structure ||
      data_start % alignment != 0) {
    fail("the file is damaged or cut short");
  }
  Input in({reinterpret_cast<const char*>(data + head_size), structure});
  FunctionFile file;
  for (size_t left = in.count(8); left > 0; --left) {
    std::string key = in.text();
    file.metadata[std::move(key)] = in.text();
  }
  file.constants = parse_constants(in, memory, data_start);
  for (size_t left = in.count(40); left > 0; --left) file.traces.push_back(in.trace(file.constants.size()));
  if (!in.is_done()) fail("there is something behind the structure");
  return file;
}

/// Adds up a checksum before the file is written.
class Summing final : public io::Writer {
 public:
  explicit Summing(uint32_t start) : sum_(start) {}
  bool is_open() const override { return true; }
  bool good() const override { return true; }
  size_t tell() override { return 0; }
  void seek(int64_t, std::ios_base::seekdir) override {}
  void write(const char* data, size_t n) override {
    sum_ = static_cast<uint32_t>(crc32_z(sum_, reinterpret_cast<const Bytef*>(data), n));
  }
  std::string label() const override { return "checksum"; }
  uint32_t sum() const { return sum_; }

 private:
  uint32_t sum_;
};

void write_data(io::Writer& writer, const std::vector<array>& constants) {
  static constexpr char zeros[alignment] = {};
  for (const array& constant : constants) {
    io::write_elements(writer, constant);
    io::write_checked(writer, zeros, aligned(constant.nbytes()) - constant.nbytes());
  }
}

}  // namespace

void write_function_file(io::Writer& writer, const FunctionFile& file) {
  Output structure;
  structure.count(file.metadata.size());
  for (const auto& [key, value] :
       std::map<std::string, std::string>(file.metadata.begin(), file.metadata.end())) {
    structure.text(key);
    structure.text(value);
  }
  structure.count(file.constants.size());
  uint64_t start = 0;
  for (const array& constant : file.constants) {
    structure.number(static_cast<uint8_t>(constant.dtype().val()));
    structure.count(constant.ndim());
    for (const Dim extent : constant.shape()) structure.count(static_cast<size_t>(extent.hint()));
    structure.number(start);
    start += aligned(constant.nbytes());
  }
  structure.count(file.traces.size());
  for (const StoredTrace& trace : file.traces) structure.trace(trace);

  std::string body = structure.result();
  Output sizes;
  sizes.number(uint64_t{body.size()});
  sizes.number(aligned(head_size + body.size()));
  body.resize(aligned(head_size + body.size()) - head_size, '\0');
  body = sizes.result() + body;
  Summing sum(0);
  sum.write(body.data(), body.size());
  write_data(sum, file.constants);
  Output head;
  head.number(version);
  head.number(sum.sum());
  io::write_checked(writer, magic, sizeof(magic));
  io::write_checked(writer, head.result().data(), head.result().size());
  io::write_checked(writer, body.data(), body.size());
  write_data(writer, file.constants);
}

FunctionFile parse_function_file(const Ref<Buffer>& memory) {
  return parse(memory, true);
}
FunctionFile parse_function_file_unchecked(const Ref<Buffer>& memory) {
  return parse(memory, false);
}

}  // namespace lazuli
