#include <lazuli/graph/dot.h>

#include <mutex>
#include <ostream>

#include <lazuli/graph/operation.h>
#include <lazuli/graph/trace.h>

namespace lazuli {

namespace {

/// Text within quotes of the DOT language.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string spec_text(const array& a) {
  return std::string(dtype_name(a.dtype())) + " " + shape_to_string(a.shape());
}

/// Calls `leaf` for each array that is there or is an argument, `node` for each operation, in an order in
/// which they could run.
template <typename Leaf, typename Each>
void walk(const std::vector<array>& outputs, Leaf leaf, Each each) {
  const std::lock_guard lock(graph_mutex());
  const PendingNodes pending = collect_pending(outputs);
  for (uint32_t entry = 0; entry < pending.entries.size(); ++entry) {
    Node* node = pending.entries[entry].node;
    std::vector<array> results;
    for (uint32_t i = 0; i < node->outputs.size(); ++i) results.emplace_back(Ref<Node>(node), i);
    if (pending.entries[entry].is_leaf) {
      for (const array& a : results) leaf(a);
    } else {
      each(static_cast<const Operation&>(*node->producer), node->inputs, results);
    }
  }
}

}  // namespace

const std::string& NodeNamer::get_name(const array& x) {
  const auto found = names.find(x.id());
  if (found != names.end()) return found->second;
  std::string name;
  for (size_t rest = names.size() + 1; rest > 0; rest = (rest - 1) / 26) {
    name.insert(name.begin(), static_cast<char>('A' + (rest - 1) % 26));
  }
  return names.emplace(x.id(), std::move(name)).first->second;
}

void NodeNamer::set_name(const array& x, std::string n) {
  names[x.id()] = std::move(n);
}

void export_to_dot(std::ostream& os, NodeNamer namer, const std::vector<array>& outputs) {
  os << "digraph {\n";
  const auto ellipse = [&](const array& a, const char* rank) {
    os << "  { " << rank << quoted(namer.get_name(a)) << " [tooltip=" << quoted(spec_text(a)) << "]; }\n";
  };
  size_t operations = 0;
  walk(
      outputs, [&](const array& a) { ellipse(a, "rank=source; "); },
      [&](const Operation& operation, const std::vector<array>& inputs, const std::vector<array>& results) {
        const size_t place = operations++;
        os << "  { " << place << " [label=" << quoted(std::string(operation.name()))
           << ", shape=rectangle, tooltip=" << quoted(operation.to_string()) << "]; }\n";
        for (const array& a : inputs) os << "  " << quoted(namer.get_name(a)) << " -> " << place << "\n";
        for (const array& a : results) {
          ellipse(a, "");
          os << "  " << place << " -> " << quoted(namer.get_name(a)) << "\n";
        }
      });
  for (const array& a : outputs) os << "  { rank=sink; " << quoted(namer.get_name(a)) << "; }\n";
  os << "}\n";
}

void export_to_dot(std::ostream& os, const std::vector<array>& outputs) {
  export_to_dot(os, NodeNamer(), outputs);
}

void print_graph(std::ostream& os, NodeNamer namer, const std::vector<array>& outputs) {
  const auto list = [&](const std::vector<array>& arrays) {
    for (size_t i = 0; i < arrays.size(); ++i) {
      os << (i > 0 ? ", " : "") << namer.get_name(arrays[i]) << " [" << spec_text(arrays[i]) << "]";
    }
  };
  std::vector<array> leaves;
  walk(
      outputs, [&](const array& a) { leaves.push_back(a); },
      [](const Operation&, const std::vector<array>&, const std::vector<array>&) {});
  os << "Inputs: ";
  list(leaves);
  os << "\nOutputs: ";
  list(outputs);
  os << "\n";
  walk(
      outputs, [](const array&) {},
      [&](const Operation& operation, const std::vector<array>& inputs, const std::vector<array>& results) {
        os << operation.to_string() << " ";
        list(inputs);
        os << " -> ";
        list(results);
        os << "\n";
      });
}

void print_graph(std::ostream& os, const std::vector<array>& outputs) {
  print_graph(os, NodeNamer(), outputs);
}

}  // namespace lazuli
