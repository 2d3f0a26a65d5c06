#include <lazuli/graph/operation.h>

#include <cstring>

#include <lazuli/graph/hash.h>

namespace lazuli {

void Hasher::add(std::string_view bytes) {
  add(bytes.size());
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    add(word);
  }
  if (i < bytes.size()) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, bytes.size() - i);
    add(word);
  }
}

namespace {

std::string attribute_bytes(const Operation& operation) {
  AttributeWriter writer(AttributeWriter::Form::bytes);
  operation.attributes(writer);
  return writer.result();
}

std::vector<ArraySpec> specs_of(const std::vector<array>& arrays) {
  std::vector<ArraySpec> specs;
  specs.reserve(arrays.size());
  for (const array& a : arrays) specs.push_back({a.shape(), a.dtype()});
  return specs;
}

}  // namespace

uint64_t Operation::hash() const {
  uint64_t known = hash_.load(std::memory_order_relaxed);
  if (known != 0) return known;
  Hasher hasher;
  hasher.add(name());
  hasher.add(attribute_bytes(*this));
  known = hasher.result() | 1;
  hash_.store(known, std::memory_order_relaxed);
  return known;
}

bool Operation::equals(const Operation& other) const {
  if (this == &other) return true;
  return hash() == other.hash() && name() == other.name() && attribute_bytes(*this) == attribute_bytes(other);
}

bool Operation::has_symbols() const {
  AttributeWriter writer(AttributeWriter::Form::bytes);
  attributes(writer);
  return writer.met_symbol();
}

std::string Operation::to_string() const {
  AttributeWriter writer(AttributeWriter::Form::text);
  attributes(writer);
  std::string text(name());
  if (!writer.result().empty()) text += "(" + writer.result() + ")";
  return text;
}

std::vector<array> apply_multiple(Ref<const Operation> operation, std::vector<array> inputs) {
  std::vector<ArraySpec> outputs = operation->infer(specs_of(inputs));
  const size_t count = outputs.size();
  Ref<Node> node = Node::lazy_of(std::move(operation), std::move(inputs), std::move(outputs));
  std::vector<array> results;
  results.reserve(count);
  for (uint32_t i = 0; i < count; ++i) results.emplace_back(node, i);
  return results;
}

array apply(Ref<const Operation> operation, std::vector<array> inputs) {
  std::vector<ArraySpec> outputs = operation->infer(specs_of(inputs));
  return array(Node::lazy_of_one(std::move(operation), std::move(inputs), std::move(outputs.front())));
}

}  // namespace lazuli
