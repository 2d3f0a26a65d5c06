#include <lazuli/graph/index_map.h>

#include <fmt/format.h>

namespace lazuli {

IndexMap identity_map(int rank) {
  IndexMap map(static_cast<size_t>(rank));
  for (int d = 0; d < rank; ++d) map[static_cast<size_t>(d)].dim = d;
  return map;
}

IndexMap compose(const IndexMap& outer, const IndexMap& inner) {
  IndexMap result;
  result.reserve(outer.size());
  for (const IndexTerm& term : outer) {
    if (term.dim < 0) {
      result.push_back(term);
      continue;
    }
    IndexTerm composed = inner[static_cast<size_t>(term.dim)];
    composed.offset = composed.offset * term.scale + term.offset;
    composed.scale = composed.scale * term.scale;
    result.push_back(composed);
  }
  return result;
}

IndexMap broadcast_map(const Shape& operand, const Shape& result) {
  IndexMap map(operand.size());
  const size_t lead = result.size() - operand.size();
  for (size_t d = 0; d < operand.size(); ++d) {
    // Shape inference has compared the extents already, so that guards hold what is read from hints here.
    const bool broadcasts = operand[d].hint() == 1 && !operand[d].same_as(result[lead + d]);
    const bool is_unit = operand[d].hint() == 1 && !operand[d].is_symbolic();
    if (!broadcasts && !is_unit) map[d].dim = static_cast<int>(lead + d);
  }
  return map;
}

std::string to_string(const IndexMap& map) {
  std::string text = "[";
  for (size_t i = 0; i < map.size(); ++i) {
    const IndexTerm& term = map[i];
    if (i > 0) text += ", ";
    std::string sum;
    if (term.dim >= 0) {
      sum = term.scale.hint() == 1 ? fmt::format("i{}", term.dim)
                                   : fmt::format("{}*i{}", term.scale.hint(), term.dim);
    }
    if (term.dynamic >= 0) sum += fmt::format("{}x{}", sum.empty() ? "" : "+", term.dynamic);
    if (sum.empty() || term.offset.hint() != 0 || term.offset.is_symbolic()) {
      sum += fmt::format("{}{}", sum.empty() ? "" : "+", term.offset.hint());
    }
    text += sum;
  }
  return text + "]";
}

}  // namespace lazuli
