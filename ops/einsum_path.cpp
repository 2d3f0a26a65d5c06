#include <lazuli/ops/einsum_path.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace lazuli {

namespace {

[[noreturn]] void fail(const char* name, const std::string& what) {
  throw std::invalid_argument("[" + std::string(name) + "] " + what);
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool contains(const std::string& labels, char label) {
  return labels.find(label) != std::string::npos;
}

/// One operand's part of the subscripts, "..." replaced by labels for `hidden` axes.
std::string read_labels(const std::string& text, int hidden, const char* name) {
  std::string labels;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "...") == 0) {
      for (int axis = hidden; axis > 0; --axis) labels += static_cast<char>(axis);
      i += 2;
    } else if (is_letter(text[i])) {
      labels += text[i];
    } else {
      fail(name, "\"" + text + "\" has characters that are no letters");
    }
  }
  return labels;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// What the operands of a set keep together, and how they are best combined.
struct Subset {
  std::string labels;
  double cost = std::numeric_limits<double>::infinity();
  unsigned left = 0;  ///< the subset that is combined with the others; 0 for a single operand
};

/// All orders, by way of the best for every subset.
class BestOrder {
 public:
  BestOrder(const EinsumLabels& labels, const std::vector<Dim>& extents)
      : labels_(labels), count_(static_cast<int>(labels.operands.size())), subsets_(size_t{1} << count_) {
    for (unsigned set = 1; set < subsets_.size(); ++set) {
      Subset& subset = subsets_[set];
      if ((set & (set - 1)) == 0) {
        subset = {labels.operands[static_cast<size_t>(__builtin_ctz(set))], 0, 0};
        continue;
      }
      // Each cut is met once: the lowest operand is on the left.
      const unsigned lowest = set & -set;
      for (unsigned left = (set - 1) & set; left > 0; left = (left - 1) & set) {
        if ((left & lowest) == 0) continue;
        const Subset& a = subsets_[left];
        const Subset& b = subsets_[set ^ left];
        const double cost = a.cost + b.cost + einsum_cost(a.labels, b.labels, extents);
        if (cost < subset.cost) subset = {einsum_kept(a.labels, b.labels, needed_outside(set)), cost, left};
      }
    }
  }

  std::vector<std::pair<int, int>> steps() const {
    std::vector<unsigned> current;
    for (int i = 0; i < count_; ++i) current.push_back(1u << i);
    std::vector<std::pair<int, int>> result;
    add_steps(static_cast<unsigned>(subsets_.size() - 1), current, result);
    return result;
  }

 private:
  std::string needed_outside(unsigned set) const {
    std::string needed = labels_.result;
    for (int i = 0; i < count_; ++i) {
      if ((set >> i & 1) == 0) needed += labels_.operands[static_cast<size_t>(i)];
    }
    return needed;
  }

  void add_steps(unsigned set, std::vector<unsigned>& current,
                 std::vector<std::pair<int, int>>& result) const {
    const unsigned left = subsets_[set].left;
    if (left == 0) return;
    add_steps(left, current, result);
    add_steps(set ^ left, current, result);
    const auto place = [&](unsigned which) {
      return static_cast<int>(std::find(current.begin(), current.end(), which) - current.begin());
    };
    const std::pair<int, int> step = std::minmax(place(left), place(set ^ left));
    current.erase(current.begin() + step.second);
    current.erase(current.begin() + step.first);
    current.push_back(set);
    result.push_back(step);
  }

  const EinsumLabels& labels_;
  int count_;
  std::vector<Subset> subsets_;
};

/// The cheapest pair each time.
std::vector<std::pair<int, int>> greedy_steps(std::vector<std::string> operands, const std::string& result,
                                              const std::vector<Dim>& extents) {
  std::vector<std::pair<int, int>> steps;
  while (operands.size() > 1) {
    std::pair<size_t, size_t> best{0, 1};
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < operands.size(); ++i) {
      for (size_t j = i + 1; j < operands.size(); ++j) {
        const double cost = einsum_cost(operands[i], operands[j], extents);
        if (cost < least) {
          least = cost;
          best = {i, j};
        }
      }
    }
    std::string needed = result;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (i != best.first && i != best.second) needed += operands[i];
    }
    operands.push_back(einsum_kept(operands[best.first], operands[best.second], needed));
    operands.erase(operands.begin() + static_cast<std::ptrdiff_t>(best.second));
    operands.erase(operands.begin() + static_cast<std::ptrdiff_t>(best.first));
    steps.emplace_back(static_cast<int>(best.first), static_cast<int>(best.second));
  }
  return steps;
}

}  // namespace

EinsumLabels read_einsum(const std::string& subscripts, const std::vector<Shape>& shapes, const char* name) {
  std::string text;
  for (const char c : subscripts) {
    if (c != ' ') text += c;
  }
  const size_t arrow = text.find("->");
  const std::vector<std::string> parts = split_at_commas(text.substr(0, arrow));
  if (parts.size() != shapes.size()) {
    fail(name, "\"" + subscripts + "\" has " + std::to_string(parts.size()) + " operands, not " +
                   std::to_string(shapes.size()));
  }
  EinsumLabels labels;
  int most_hidden = 0;
  bool has_dots = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t dots = parts[i].find("...");
    const bool own_dots = dots != std::string::npos;
    const int letters = static_cast<int>(parts[i].size()) - (own_dots ? 3 : 0);
    const int hidden = own_dots ? static_cast<int>(shapes[i].size()) - letters : 0;
    if (hidden < 0 || (own_dots && parts[i].find("...", dots + 3) != std::string::npos)) {
      fail(name, "\"" + parts[i] + "\" does not fit an operand of shape " + shape_to_string(shapes[i]));
    }
    labels.operands.push_back(read_labels(parts[i], hidden, name));
    if (labels.operands.back().size() != shapes[i].size()) {
      fail(name, "\"" + parts[i] + "\" does not fit an operand of shape " + shape_to_string(shapes[i]));
    }
    most_hidden = std::max(most_hidden, hidden);
    has_dots = has_dots || own_dots;
  }
  std::string all;
  for (const std::string& operand : labels.operands) all += operand;
  if (arrow == std::string::npos) {
    for (int axis = most_hidden; axis > 0; --axis) labels.result += static_cast<char>(axis);
    std::string sorted = all;
    std::sort(sorted.begin(), sorted.end());
    for (const char c : sorted) {
      if (is_letter(c) && std::count(all.begin(), all.end(), c) == 1) labels.result += c;
    }
    return labels;
  }
  const std::string result = text.substr(arrow + 2);
  labels.result = read_labels(result, most_hidden, name);
  for (const char c : labels.result) {
    if (!contains(all, c) || std::count(labels.result.begin(), labels.result.end(), c) != 1) {
      fail(name, "\"" + result + "\" cannot be the result of \"" + subscripts + "\"");
    }
  }
  return labels;
}

std::vector<Dim> einsum_extents(const EinsumLabels& labels, const std::vector<Shape>& shapes,
                                const char* name) {
  std::vector<Dim> extents(128, Dim(1));
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t d = 0; d < shapes[i].size(); ++d) {
      Dim& extent = extents[static_cast<size_t>(labels.operands[i][d])];
      const Dim own = shapes[i][d];
      if (own.same_as(extent) || own.hint() == 1) continue;
      if (extent.hint() != 1 && extent != own) {
        fail(name, "extents " + std::to_string(extent.hint()) + " and " + std::to_string(own.hint()) +
                       " do not fit one label");
      }
      extent = own;
    }
  }
  return extents;
}

std::string einsum_kept(const std::string& a, const std::string& b, const std::string& needed) {
  std::string kept;
  for (const char c : a + b) {
    if (contains(needed, c) && !contains(kept, c)) kept += c;
  }
  return kept;
}

double einsum_cost(const std::string& a, const std::string& b, const std::vector<Dim>& extents) {
  double cost = 1;
  std::string seen;
  for (const char c : a + b) {
    if (contains(seen, c)) continue;
    seen += c;
    cost *= extents[static_cast<size_t>(c)].hint();
  }
  return cost;
}

std::vector<std::pair<int, int>> einsum_steps(const EinsumLabels& labels, const std::vector<Dim>& extents) {
  constexpr size_t most_tried = 8;
  if (labels.operands.size() <= most_tried) return BestOrder(labels, extents).steps();
  return greedy_steps(labels.operands, labels.result, extents);
}

}  // namespace lazuli
