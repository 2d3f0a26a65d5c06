#include <lazuli/graph/transforms/differentiation.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include <lazuli/graph/transforms/primitives.h>

namespace lazuli {

namespace transforms {

namespace {

thread_local int transposing_depth = 0;

struct TransposingScope {
  TransposingScope() { ++transposing_depth; }
  ~TransposingScope() { --transposing_depth; }
  TransposingScope(const TransposingScope&) = delete;
  TransposingScope& operator=(const TransposingScope&) = delete;
};

/// What is known of arrays' differentials so far.
class DifferentialTable {
 public:
  void add(const array& of, const array& differential) {
    const auto [found, is_new] = known_.emplace(of.id(), differential);
    if (!is_new) found->second = sum(found->second, differential);
  }
  std::optional<array> get(const array& of) const {
    const auto found = known_.find(of.id());
    return found == known_.end() ? std::nullopt : std::make_optional(found->second);
  }
  Differentials get(std::span<const array> of) const {
    Differentials result;
    for (const array& a : of) result.push_back(get(a));
    return result;
  }

 private:
  std::unordered_map<uintptr_t, array> known_;
};

bool any_of(const Differentials& differentials) {
  return std::any_of(differentials.begin(), differentials.end(), [](const auto& d) { return d.has_value(); });
}

void add_all(DifferentialTable& table, std::span<const array> of, const Differentials& differentials) {
  for (size_t i = 0; i < of.size(); ++i) {
    if (differentials[i] && is_differentiable(of[i].dtype())) table.add(of[i], *differentials[i]);
  }
}

}  // namespace

bool is_transposing() {
  return transposing_depth > 0;
}

Differentials pull_back(const Record& record, std::span<const array> results, const Differentials& cotangents,
                        std::span<const array> from) {
  DifferentialTable table;
  add_all(table, results, cotangents);
  for (auto at = record.nodes().rbegin(); at != record.nodes().rend(); ++at) {
    const Node& node = **at;
    const std::vector<array> outputs = outputs_of(*at);
    const Differentials of_outputs = table.get(outputs);
    if (!any_of(of_outputs)) continue;
    std::vector<bool> wanted;
    for (const array& input : node.inputs) {
      wanted.push_back(record.reaches(input) && is_differentiable(input.dtype()));
    }
    if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) continue;
    const StreamContext on(stream_of(node));
    const Differentials of_inputs = operation_of(node).vjp({node.inputs, outputs}, of_outputs, wanted);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (wanted[i] && of_inputs[i]) table.add(node.inputs[i], *of_inputs[i]);
    }
  }
  return table.get(from);
}

Differentials push_forward(const Record& record, std::span<const array> results, std::span<const array> from,
                           const Differentials& tangents) {
  DifferentialTable table;
  add_all(table, from, tangents);
  for (const Ref<Node>& node : record.nodes()) {
    const std::vector<array> outputs = outputs_of(node);
    if (std::none_of(outputs.begin(), outputs.end(),
                     [](const array& output) { return is_differentiable(output.dtype()); })) {
      continue;
    }
    const Differentials of_inputs = table.get(node->inputs);
    if (!any_of(of_inputs)) continue;
    const StreamContext on(stream_of(*node));
    add_all(table, outputs, operation_of(*node).jvp({node->inputs, outputs}, of_inputs));
  }
  return table.get(results);
}

Differentials vjp_of(const std::function<std::vector<array>(const std::vector<array>&)>& function,
                     std::span<const array> inputs, const Differentials& cotangents,
                     const std::vector<bool>& wanted) {
  std::vector<array> stand_ins;
  std::vector<array> from;
  for (size_t i = 0; i < inputs.size(); ++i) {
    stand_ins.push_back(wanted[i] ? stand_in(inputs[i]) : inputs[i]);
    if (wanted[i]) from.push_back(stand_ins[i]);
  }
  const std::vector<array> results = function(stand_ins);
  const Differentials found = pull_back(Record(results, from, inputs), results, cotangents, from);
  Differentials all(inputs.size());
  size_t next = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i]) all[i] = found[next++];
  }
  return all;
}

}  // namespace transforms

Differentials Operation::vjp(const Application&, const Differentials&, const std::vector<bool>&) const {
  throw std::invalid_argument("[vjp] " + std::string(name()) + " has no gradient");
}

Differentials Operation::jvp(const Application& at, const Differentials& tangents) const {
  // The gradient rule is linear in the cotangents, so that its own gradient, with respect to them, is the
  // derivative. It does not depend on their values: there are none.
  std::vector<array> symbols;
  Differentials cotangents;
  for (const array& output : at.outputs) {
    cotangents.emplace_back();
    if (!transforms::is_differentiable(output.dtype())) continue;
    cotangents.back() = array(Node::placeholder_of({output.shape(), output.dtype()}));
    symbols.push_back(*cotangents.back());
  }
  std::vector<bool> wanted;
  for (const auto& tangent : tangents) wanted.push_back(tangent.has_value());
  const Differentials gradients = [&] {
    const transforms::TransposingScope scope;
    return vjp(at, cotangents, wanted);
  }();
  std::vector<array> results;
  Differentials given;
  for (size_t i = 0; i < tangents.size(); ++i) {
    if (!wanted[i] || !gradients[i]) continue;
    results.push_back(*gradients[i]);
    given.push_back(tangents[i]);
  }
  std::vector<array> known(at.inputs.begin(), at.inputs.end());
  known.insert(known.end(), at.outputs.begin(), at.outputs.end());
  const transforms::Record record(results, symbols, known);
  const Differentials found = transforms::pull_back(record, results, given, symbols);
  Differentials of_outputs(at.outputs.size());
  size_t next = 0;
  for (size_t i = 0; i < at.outputs.size(); ++i) {
    if (cotangents[i]) of_outputs[i] = found[next++];
  }
  return of_outputs;
}

std::vector<array> Operation::vmap(std::span<const array>, const std::vector<bool>&, Dim) const {
  throw std::invalid_argument("[vmap] " + std::string(name()) + " cannot be vectorized");
}

}  // namespace lazuli
