#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli::command {

/// An argument of a function in an expression.
using Argument = std::variant<double, array, std::vector<int>, Dtype, bool>;

/// A function's arguments. Asking for one that is not there, or is something else, throws
/// std::invalid_argument.
class Arguments {
 public:
  Arguments(std::string function, std::vector<Argument> values)
      : function_(std::move(function)), values_(std::move(values)) {}

  size_t size() const { return values_.size(); }
  /// Throws unless there are that many.
  void expect(size_t least, size_t most) const;
  array value(size_t i) const;
  double number(size_t i) const;
  int integer(size_t i) const;
  /// A list, or one number as a list.
  std::vector<int> list(size_t i) const;
  Dtype dtype(size_t i) const;
  bool flag(size_t i) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;
  const Argument& at(size_t i) const;

  std::string function_;
  std::vector<Argument> values_;
};

using ExpressionFunction = std::function<Argument(const Arguments&)>;
const std::map<std::string, ExpressionFunction>& functions();

/// "float32" or "f32".
std::optional<Dtype> dtype_from_short_name(const std::string& name);

}  // namespace lazuli::command
