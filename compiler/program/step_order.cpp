#include <lazuli/compiler/program/step_order.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

// An order other than the given one, which keeps together what belongs together, has to save this much: a
// part of the whole, and more than the caches hold anyway.
constexpr double worth_while = 0.98;
constexpr int64_t worth_bytes = 1 << 20;

/// Finds the steps that make values.
class Makers {
 public:
  Makers(const FusionPlan& plan, const std::vector<ProgramStep>& steps)
      : graph_(plan.prepared.graph), step_of_(graph_.values.size(), -1), writers_(graph_.values.size()) {
    for (size_t s = 0; s < steps.size(); ++s) {
      const auto step = static_cast<int>(s);
      for (NodeId member : steps[s].members) step_of_[graph_.nodes[member].outputs[0]] = step;
      if (steps[s].kind == FusionUnit::Kind::host || steps[s].kind == FusionUnit::Kind::reshape) {
        for (ValueId output : graph_.nodes[steps[s].node].outputs) step_of_[output] = step;
      }
      for (ValueId written : steps[s].writes) writers_[written].push_back(step);
    }
  }

  /// Adds the steps that must have run before `value` can be read.
  void add(ValueId value, std::vector<int>& needs) const {
    const Graph::GraphNode* node = graph_.producer(value);
    if (node == nullptr) return;
    const OperationKind kind = node->operation->kind();
    if (kind == OperationKind::concatenate || kind == OperationKind::update) {
      needs.insert(needs.end(), writers_[value].begin(), writers_[value].end());
    } else if (step_of_[value] >= 0) {
      needs.push_back(step_of_[value]);
    } else {
      for (ValueId input : node->inputs) add(input, needs);  // a view, or computed where it is needed
    }
  }

 private:
  const Graph& graph_;
  std::vector<int> step_of_;
  std::vector<std::vector<int>> writers_;
};

void sort_unique(std::vector<int>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

StepMemory::StepMemory(const FusionPlan& plan, const std::vector<ProgramStep>& steps)
    : count_(steps.size()), needs_(count_), needed_by_(count_), touches_(count_), updated_(count_, -1) {
  const Graph& graph = plan.prepared.graph;
  const Makers makers(plan, steps);
  for (size_t s = 0; s < count_; ++s) {
    const ProgramStep& step = steps[s];
    std::vector<int>& needs = needs_[s];
    const auto need_inputs = [&](NodeId node) {
      for (ValueId input : graph.nodes[node].inputs) makers.add(input, needs);
    };
    for (NodeId member : step.members) {
      need_inputs(member);
      const NodeId joined = plan.prepared.part_of[graph.nodes[member].outputs[0]];
      if (joined == Graph::none) continue;
      // Of the steps that write to the result, the first made its memory.
      for (size_t t = 0; t < s; ++t) {
        if (steps[t].kind == FusionUnit::Kind::begin && steps[t].node == joined)
          needs.push_back(static_cast<int>(t));
      }
      const std::vector<ValueId>& inputs = graph.nodes[joined].inputs;
      if (graph.nodes[joined].operation->kind() != OperationKind::update) continue;
      for (size_t i = 2; i < inputs.size(); ++i) makers.add(inputs[i], needs);
    }
    if (step.kind == FusionUnit::Kind::host || step.kind == FusionUnit::Kind::reshape) need_inputs(step.node);
    if (step.kind == FusionUnit::Kind::begin &&
        graph.nodes[step.node].operation->kind() == OperationKind::update) {
      makers.add(graph.nodes[step.node].inputs[0], needs);
    }
    sort_unique(needs);
    std::erase(needs, static_cast<int>(s));
  }

  // Storages: one for each value in memory; a reshaped one shares its source's.
  std::vector<int> storage(graph.values.size(), -1);
  const auto storage_of = [&](ValueId value) {
    value = value_under_views(graph, value);
    for (const auto* node = graph.producer(value);
         node != nullptr && node->operation->kind() == OperationKind::reshape; node = graph.producer(value)) {
      value = value_under_views(graph, node->inputs[0]);
    }
    if (storage[value] >= 0) return storage[value];
    storage[value] = static_cast<int>(bytes_.size());
    const bool is_made = graph.producer(value) != nullptr;
    bytes_.push_back(is_made ? element_count(graph.spec(value).shape) * graph.spec(value).dtype.size() : 0);
    touch_count_.push_back(0);
    is_result_.push_back(false);
    return storage[value];
  };
  for (size_t s = 0; s < count_; ++s) {
    for (ValueId value : steps[s].reads) touches_[s].push_back(storage_of(value));
    for (ValueId value : steps[s].writes) touches_[s].push_back(storage_of(value));
    sort_unique(touches_[s]);
    if (steps[s].kind == FusionUnit::Kind::begin && !steps[s].reads.empty())
      updated_[s] = storage_of(steps[s].reads[0]);
  }
  // What is written over must have been read by all who read it so far.
  for (size_t s = 0; s < count_; ++s) {
    for (size_t t = 0; updated_[s] >= 0 && t < s; ++t) {
      const bool reads = std::binary_search(touches_[t].begin(), touches_[t].end(), updated_[s]);
      if (reads) needs_[s].push_back(static_cast<int>(t));
    }
    sort_unique(needs_[s]);
    for (int need : needs_[s]) needed_by_[static_cast<size_t>(need)].push_back(static_cast<int>(s));
  }
  for (const std::vector<int>& touched : touches_) {
    for (int at : touched) ++touch_count_[static_cast<size_t>(at)];
  }
  for (ValueId output : graph.outputs) is_result_[static_cast<size_t>(storage_of(output))] = true;
}

/// Memory while steps run one by one.
struct StepMemory::Simulation {
  const StepMemory& of;
  std::vector<int> left;  // touches of each storage that are still to come
  std::vector<bool> is_live;
  int64_t live = 0;

  explicit Simulation(const StepMemory& memory)
      : of(memory), left(memory.touch_count_), is_live(memory.bytes_.size(), false) {}

  struct Change {
    int64_t during = 0;  // more than before while the step runs
    int64_t after = 0;
  };
  Change change(int step) const {
    Change result;
    const auto s = static_cast<size_t>(step);
    for (int at : of.touches_[s]) {
      const auto i = static_cast<size_t>(at);
      if (!is_live[i]) result.during += of.bytes_[i];
    }
    result.after = result.during;
    for (int at : of.touches_[s]) {
      const auto i = static_cast<size_t>(at);
      if (left[i] > 1 || of.is_result_[i]) continue;
      result.after -= of.bytes_[i];
      if (at == of.updated_[s]) result.during -= of.bytes_[i];  // written over
    }
    return result;
  }
  void run(int step) {
    live += change(step).after;
    for (int at : of.touches_[static_cast<size_t>(step)]) {
      is_live[static_cast<size_t>(at)] = true;
      --left[static_cast<size_t>(at)];
    }
  }
};

int64_t StepMemory::peak(const std::vector<int>& order) const {
  Simulation simulation(*this);
  int64_t most = 0;
  for (int step : order) {
    most = std::max(most, simulation.live + simulation.change(step).during);
    simulation.run(step);
  }
  return most;
}

int64_t StepMemory::lower_bound() const {
  int64_t results = 0;
  for (size_t i = 0; i < bytes_.size(); ++i) results += is_result_[i] ? bytes_[i] : 0;
  int64_t most = results;
  for (size_t s = 0; s < count_; ++s) {
    int64_t here = 0;
    for (int at : touches_[s]) here += at == updated_[s] ? 0 : bytes_[static_cast<size_t>(at)];
    most = std::max(most, here);
  }
  return most;
}

std::vector<int> StepMemory::best_order() const {
  // For each set of steps that have run, the least peak with which that can be, and the step that ran last:
  // what is live afterwards does not depend on their order.
  const size_t sets = size_t{1} << count_;
  constexpr int64_t unreachable = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> least(sets, unreachable);
  std::vector<int8_t> last(sets, -1);
  least[0] = 0;
  for (size_t set = 0; set < sets; ++set) {
    if (least[set] == unreachable) continue;
    Simulation simulation(*this);
    for (size_t s = 0; s < count_; ++s) {
      if ((set >> s & 1) != 0) simulation.run(static_cast<int>(s));
    }
    for (size_t s = 0; s < count_; ++s) {
      const auto has_run = [&](int need) { return (set >> need & 1) != 0; };
      if ((set >> s & 1) != 0 || !std::all_of(needs_[s].begin(), needs_[s].end(), has_run)) continue;
      const int64_t here = simulation.live + simulation.change(static_cast<int>(s)).during;
      const size_t to = set | size_t{1} << s;
      if (std::max(least[set], here) >= least[to]) continue;
      least[to] = std::max(least[set], here);
      last[to] = static_cast<int8_t>(s);
    }
  }
  std::vector<int> order;
  for (size_t set = sets - 1; set != 0; set &= ~(size_t{1} << last[set])) order.push_back(last[set]);
  std::reverse(order.begin(), order.end());
  return order;
}

std::vector<int> StepMemory::given_order() const {
  std::vector<int> order(count_);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// Always the step that leaves least in memory, or that needs least while it runs; the first of equals.
std::vector<int> StepMemory::greedy_order(bool by_peak) const {
  Simulation simulation(*this);
  std::vector<size_t> waits_for(count_);
  std::vector<int> ready;
  for (size_t s = 0; s < count_; ++s) {
    waits_for[s] = needs_[s].size();
    if (waits_for[s] == 0) ready.push_back(static_cast<int>(s));
  }
  std::vector<int> order;
  int64_t most = 0;
  while (!ready.empty()) {
    const auto cost = [&](int step) {
      const Simulation::Change change = simulation.change(step);
      const int64_t during = by_peak ? std::max(most, simulation.live + change.during) : 0;
      return std::tuple(during, change.after, step);
    };
    const auto best =
        std::min_element(ready.begin(), ready.end(), [&](int a, int b) { return cost(a) < cost(b); });
    const int step = *best;
    ready.erase(best);
    most = std::max(most, simulation.live + simulation.change(step).during);
    simulation.run(step);
    order.push_back(step);
    for (int next : needed_by_[static_cast<size_t>(step)]) {
      if (--waits_for[static_cast<size_t>(next)] == 0) ready.push_back(next);
    }
  }
  return order;
}

/// The order with each step that adds to what is live put off until the first that needs it.
std::vector<int> StepMemory::moved_together(std::vector<int> order) const {
  Simulation simulation(*this);
  std::vector<int64_t> added(count_);
  for (int step : order) {
    added[static_cast<size_t>(step)] = simulation.change(step).after;
    simulation.run(step);
  }
  for (size_t at = order.size(); at-- > 0;) {
    const int step = order[at];
    if (added[static_cast<size_t>(step)] <= 0) continue;
    const std::vector<int>& users = needed_by_[static_cast<size_t>(step)];
    size_t to = at;
    while (to + 1 < order.size() && std::find(users.begin(), users.end(), order[to + 1]) == users.end()) ++to;
    if (to + 1 == order.size()) continue;  // a result
    const auto from = order.begin() + static_cast<std::ptrdiff_t>(at);
    std::rotate(from, from + 1, order.begin() + static_cast<std::ptrdiff_t>(to) + 1);
  }
  return order;
}

std::vector<int> StepMemory::good_order() const {
  // Beyond these, looking for better orders, or for the best, takes too long.
  constexpr size_t most_ordered = 2000;
  constexpr size_t most_for_best = 12;
  std::vector<int> best = given_order();
  int64_t least = peak(best);
  const int64_t bound = lower_bound();
  const auto could_gain = [&] {
    return least - bound > worth_bytes &&
           static_cast<double>(bound) < worth_while * static_cast<double>(least);
  };
  const auto consider = [&](std::vector<int> order) {
    const int64_t other = peak(order);
    if (static_cast<double>(other) >= worth_while * static_cast<double>(least)) return;
    least = other;
    best = std::move(order);
  };
  if (count_ > most_ordered || !could_gain()) return best;
  if (count_ <= most_for_best) {
    consider(best_order());
    return best;
  }
  consider(moved_together(best));
  for (const bool by_peak : {true, false}) {
    if (!could_gain()) break;
    std::vector<int> order = greedy_order(by_peak);
    consider(moved_together(order));
    consider(std::move(order));
  }
  return best;
}

}  // namespace lazuli
