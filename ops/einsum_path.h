#pragma once

#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli {

/// Subscripts as read: labels of each operand's axes and of the result's. A label is a letter or, for axes
/// that "..." stands for, a number from 1 on, counted from the last.
struct EinsumLabels {
  std::vector<std::string> operands;
  std::string result;
};

/// Reads subscripts for operands of given shapes; throws std::invalid_argument `[name] ...`.
EinsumLabels read_einsum(const std::string& subscripts, const std::vector<Shape>& shapes, const char* name);

/// The extents of labels, by label: where operands broadcast, the larger.
std::vector<Dim> einsum_extents(const EinsumLabels& labels, const std::vector<Shape>& shapes,
                                const char* name);

/// Steps as in `einsum_path`.
std::vector<std::pair<int, int>> einsum_steps(const EinsumLabels& labels, const std::vector<Dim>& extents);

/// The labels of two operands that something behind them still needs, those of the first before others.
std::string einsum_kept(const std::string& a, const std::string& b, const std::string& needed);

/// Multiplications that combining operands with these labels takes.
double einsum_cost(const std::string& a, const std::string& b, const std::vector<Dim>& extents);

}  // namespace lazuli
