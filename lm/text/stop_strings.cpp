#include <lazuli/lm/text/stop_strings.h>

#include <stdexcept>
#include <utility>

namespace lazuli::lm {

StopStringMatcher::StopStringMatcher(std::vector<std::string> stop_strings)
    : stop_strings_(std::move(stop_strings)), nodes_(1) {
  for (std::size_t i = 0; i < stop_strings_.size(); ++i) {
    if (stop_strings_[i].empty()) throw std::invalid_argument("[stop_strings] a stop string is empty");
    std::int32_t node = 0;
    for (char byte : stop_strings_[i]) {
      std::int32_t next = child(node, byte);
      if (next < 0) {
        next = static_cast<std::int32_t>(nodes_.size());
        Node created;
        created.depth = nodes_[static_cast<std::size_t>(node)].depth + 1;
        created.prefix_of = static_cast<std::int32_t>(i);
        nodes_[static_cast<std::size_t>(node)].edges.push_back({byte, next});
        nodes_.push_back(std::move(created));
      }
      node = next;
    }
    Node& last = nodes_[static_cast<std::size_t>(node)];
    if (last.stop < 0) last.stop = static_cast<std::int32_t>(i);
  }

  // Breadth first: a node's fallback is nearer to the root, so it is complete when it is asked.
  std::vector<std::int32_t> order = {0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int32_t parent = order[i];
    for (const Edge& edge : nodes_[static_cast<std::size_t>(parent)].edges) {
      Node& node = nodes_[static_cast<std::size_t>(edge.node)];
      const std::int32_t above = nodes_[static_cast<std::size_t>(parent)].fallback;
      node.fallback = parent == 0 ? 0 : advance(above, edge.byte);
      if (node.stop < 0) node.stop = nodes_[static_cast<std::size_t>(node.fallback)].stop;
      order.push_back(edge.node);
    }
  }
}

std::int32_t StopStringMatcher::child(std::int32_t node, char byte) const {
  for (const Edge& edge : nodes_[static_cast<std::size_t>(node)].edges) {
    if (edge.byte == byte) return edge.node;
  }
  return -1;
}

std::int32_t StopStringMatcher::advance(std::int32_t node, char byte) const {
  while (true) {
    const std::int32_t next = child(node, byte);
    if (next >= 0) return next;
    if (node == 0) return 0;
    node = nodes_[static_cast<std::size_t>(node)].fallback;
  }
}

std::string_view StopStringMatcher::withheld() const {
  const Node& node = nodes_[static_cast<std::size_t>(state_)];
  if (node.depth == 0) return {};
  return std::string_view(stop_strings_[static_cast<std::size_t>(node.prefix_of)])
      .substr(0, static_cast<std::size_t>(node.depth));
}

std::string StopStringMatcher::push(std::string_view piece) {
  if (stopped()) return {};
  std::string out(withheld());
  for (char byte : piece) {
    out.push_back(byte);
    state_ = advance(state_, byte);
    const std::int32_t stop = nodes_[static_cast<std::size_t>(state_)].stop;
    if (stop >= 0) {
      matched_ = static_cast<std::size_t>(stop);
      out.resize(out.size() - stop_strings_[*matched_].size());
      state_ = 0;
      return out;
    }
  }
  out.resize(out.size() - withheld().size());
  return out;
}

std::string StopStringMatcher::finish() {
  std::string out(withheld());
  state_ = 0;
  return out;
}

void StopStringMatcher::reset() {
  state_ = 0;
  matched_.reset();
}

}  // namespace lazuli::lm
