#include <lazuli/ops/einsum.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include <lazuli/ops/einsum_path.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

/// An operand and the labels of its axes.
struct Labelled {
  array value;
  std::string labels;

  size_t place(char label) const { return labels.find(label); }
  bool has(char label) const { return place(label) != std::string::npos; }
};

std::vector<Shape> shapes_of(const std::vector<array>& operands) {
  std::vector<Shape> shapes;
  for (const array& operand : operands) shapes.push_back(operand.shape());
  return shapes;
}

/// Axes with the same label made one: their diagonal.
Labelled without_repeats(Labelled x, StreamOrDevice s) {
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const size_t j = x.labels.find(x.labels[i], i + 1);
    if (j == std::string::npos) continue;
    if (x.value.shape()[i] != x.value.shape()[j]) {
      throw std::invalid_argument("[einsum] a label stands for axes of different extents of " +
                                  shape_to_string(x.value.shape()));
    }
    x.value = diagonal(x.value, 0, static_cast<int>(i), static_cast<int>(j), s);
    const char label = x.labels[i];
    x.labels.erase(j, 1);
    x.labels.erase(i, 1);
    x.labels += label;
    i = static_cast<size_t>(-1);  // from the start, as axes have moved
  }
  return x;
}

Labelled without_axes(const Labelled& x, const std::vector<int>& axes, bool summed, StreamOrDevice s) {
  if (axes.empty()) return x;
  Labelled result{summed ? sum(x.value, axes, false, s) : squeeze(x.value, axes, s), ""};
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (std::find(axes.begin(), axes.end(), static_cast<int>(i)) == axes.end()) result.labels += x.labels[i];
  }
  return result;
}

/// Without axes of extent 1 that broadcast with another operand's.
Labelled without_broadcast(const Labelled& x, const Labelled& other, StreamOrDevice s) {
  std::vector<int> axes;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const size_t there = other.place(x.labels[i]);
    if (there == std::string::npos) continue;
    if (x.value.shape()[i].hint() == 1 && other.value.shape()[there].hint() != 1) {
      axes.push_back(static_cast<int>(i));
    }
  }
  return without_axes(x, axes, false, s);
}

/// Summed over what neither the other operand nor what is behind needs.
Labelled without_unneeded(const Labelled& x, const std::string& needed, StreamOrDevice s) {
  std::vector<int> axes;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (needed.find(x.labels[i]) == std::string::npos) axes.push_back(static_cast<int>(i));
  }
  return without_axes(x, axes, true, s);
}

/// The axes in the order of labels.
array in_order(const Labelled& x, const std::string& labels, StreamOrDevice s) {
  std::vector<int> order;
  for (const char label : labels) order.push_back(static_cast<int>(x.place(label)));
  return transpose(x.value, order, s);
}

Dim product(const std::string& labels, const Labelled& x) {
  Dim result = 1;
  for (const char label : labels) result *= x.value.shape()[x.place(label)];
  return result;
}

/// Both as arrays whose axes are those of `labels`, of extent 1 where they have none.
array spread(const Labelled& x, const std::string& labels, StreamOrDevice s) {
  std::string own;
  std::vector<int> missing;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (x.has(labels[i])) {
      own += labels[i];
    } else {
      missing.push_back(static_cast<int>(i));
    }
  }
  return expand_dims(in_order(x, own, s), missing, s);
}

Labelled contract(const Labelled& left, const Labelled& right, const std::string& needed, StreamOrDevice s) {
  Labelled a = without_broadcast(left, right, s);
  Labelled b = without_broadcast(right, left, s);
  a = without_unneeded(a, needed + b.labels, s);
  b = without_unneeded(b, needed + a.labels, s);
  std::string batch, summed, of_a, of_b;
  for (const char label : a.labels) {
    const bool is_kept = needed.find(label) != std::string::npos;
    (!b.has(label) ? of_a : is_kept ? batch : summed) += label;
  }
  for (const char label : b.labels) {
    if (!a.has(label)) of_b += label;
  }
  const std::string all = batch + of_a + of_b;
  if (summed.empty() || !issubdtype(a.value.dtype(), inexact)) {
    const std::string with_sums = all + summed;
    Labelled result{multiply(spread(a, with_sums, s), spread(b, with_sums, s), s), with_sums};
    return without_unneeded(result, all, s);
  }
  // [batch, of a, summed] times [batch, summed, of b]
  Shape shape;
  Shape lead;
  for (const char label : batch) lead.push_back(a.value.shape()[a.place(label)]);
  shape = lead;
  for (const char label : of_a) shape.push_back(a.value.shape()[a.place(label)]);
  for (const char label : of_b) shape.push_back(b.value.shape()[b.place(label)]);
  const auto matrix = [&](const Labelled& x, const std::string& rows, const std::string& columns) {
    Shape as = lead;
    as.push_back(product(rows, x));
    as.push_back(product(columns, x));
    return reshape(in_order(x, batch + rows + columns, s), as, s);
  };
  const array result = matmul(matrix(a, of_a, summed), matrix(b, summed, of_b), s);
  return {reshape(result, shape, s), all};
}

}  // namespace

std::pair<std::vector<std::vector<int>>, std::string> einsum_path(const std::string& subscripts,
                                                                  const std::vector<array>& operands) {
  const std::vector<Shape> shapes = shapes_of(operands);
  const EinsumLabels labels = read_einsum(subscripts, shapes, "einsum_path");
  const std::vector<Dim> extents = einsum_extents(labels, shapes, "einsum_path");
  std::vector<std::vector<int>> path;
  std::ostringstream table;
  std::vector<std::string> current = labels.operands;
  double total = 0;
  for (const auto& [i, j] : einsum_steps(labels, extents)) {
    const std::string a = current[static_cast<size_t>(i)];
    const std::string b = current[static_cast<size_t>(j)];
    current.erase(current.begin() + j);
    current.erase(current.begin() + i);
    std::string needed = labels.result;
    for (const std::string& other : current) needed += other;
    current.push_back(einsum_kept(a, b, needed));
    path.push_back({i, j});
    total += einsum_cost(a, b, extents);
    table << "operands " << i << " and " << j << ": " << einsum_cost(a, b, extents) << " multiplications\n";
  }
  if (path.empty()) path.push_back({0});
  table << "all: " << total << " multiplications\n";
  return {std::move(path), table.str()};
}

array einsum(const std::string& subscripts, const std::vector<array>& operands, StreamOrDevice s) {
  const StreamContext on(s);
  const std::vector<Shape> shapes = shapes_of(operands);
  const EinsumLabels labels = read_einsum(subscripts, shapes, "einsum");
  const std::vector<Dim> extents = einsum_extents(labels, shapes, "einsum");
  Dtype dtype = operands.front().dtype();
  for (const array& operand : operands) dtype = promote_types(dtype, operand.dtype());
  std::vector<Labelled> current;
  for (size_t i = 0; i < operands.size(); ++i) {
    current.push_back(without_repeats({astype(operands[i], dtype, s), labels.operands[i]}, s));
  }
  for (const auto& [i, j] : einsum_steps(labels, extents)) {
    const Labelled a = current[static_cast<size_t>(i)];
    const Labelled b = current[static_cast<size_t>(j)];
    current.erase(current.begin() + j);
    current.erase(current.begin() + i);
    std::string needed = labels.result;
    for (const Labelled& other : current) needed += other.labels;
    current.push_back(contract(a, b, needed, s));
  }
  const Labelled last = without_unneeded(current.front(), labels.result, s);
  return astype(in_order(last, labels.result, s), dtype, s);
}

}  // namespace lazuli
