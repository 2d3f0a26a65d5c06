#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <lazuli/array/array.h>

/// Functions in files: what a function computes, for arguments of certain dtypes and shapes, with the arrays
/// that it uses besides them. A file is valid on any machine.
namespace lazuli {

using Args = std::vector<array>;
/// Arguments by name.
using Kwargs = std::unordered_map<std::string, array>;
using ExportMetadata = std::unordered_map<std::string, std::string>;

/// An attribute of an operation, as callbacks get it.
using StateT = std::variant<bool, int, size_t, float, double, char, std::string, Dtype, Shape, Strides,
                            std::vector<int>>;
/// What a callback is told, entry by entry: always a "type", with
///   "inputs":         "inputs", name, shape and dtype of each argument
///   "keyword_inputs": "keywords", the keyword and the name of each argument that has one
///   "constants":      "constants", name and array of each
///   "primitive":      "name", "arguments" (its attributes in order), "inputs" and "outputs" as above
///   "outputs":        "outputs", as above
using ExportCallbackInput =
    std::unordered_map<std::string, std::variant<std::vector<std::tuple<std::string, Shape, Dtype>>,
                                                 std::vector<std::pair<std::string, array>>,
                                                 std::vector<std::pair<std::string, std::string>>,
                                                 std::vector<StateT>, std::string>>;
using ExportCallback = std::function<void(const ExportCallbackInput&)>;

/// Traces a function each time it is called, for a file of all these traces. Errors are std::invalid_argument
/// `[export_function] ...`: arguments of a dtype and shape that have been there, or an operation that cannot
/// be stored. What the function throws passes through.
class FunctionExporter {
 public:
  FunctionExporter(FunctionExporter&& other) noexcept;
  FunctionExporter& operator=(FunctionExporter&& other) noexcept;
  /// Closes; where that fails, a line on stderr says so.
  ~FunctionExporter();

  void operator()(const std::initializer_list<array>& args) { (*this)(Args(args)); }
  void operator()(const Args& args);
  void operator()(const Kwargs& kwargs);
  void operator()(const Args& args, const Kwargs& kwargs);
  /// Writes the file, under a temporary name that is then changed; nothing can be added afterwards. Throws
  /// std::runtime_error where it cannot be written.
  void close();

 private:
  struct State;
  friend struct ExporterAccess;
  explicit FunctionExporter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What can be exported.
using ArgsFunction = std::function<std::vector<array>(const Args&)>;
using KwargsFunction = std::function<std::vector<array>(const Kwargs&)>;
using ArgsKwargsFunction = std::function<std::vector<array>(const Args&, const Kwargs&)>;

/// An exporter of a function to a file. `shapeless` traces hold for other extents too, from 2 on, as far as
/// the function did not look at them; 0 and 1 mean something else to broadcasting, so that they stay what
/// they are.
FunctionExporter exporter(const std::string& file, const ArgsFunction& fun, bool shapeless = false,
                          const ExportMetadata& metadata = {});
FunctionExporter exporter(const std::string& file, const KwargsFunction& fun, bool shapeless = false,
                          const ExportMetadata& metadata = {});
FunctionExporter exporter(const std::string& file, const ArgsKwargsFunction& fun, bool shapeless = false,
                          const ExportMetadata& metadata = {});
/// One that hands traces to a callback, which may write them in a format of its own.
FunctionExporter exporter(const ExportCallback& callback, const ArgsFunction& fun, bool shapeless = false);
FunctionExporter exporter(const ExportCallback& callback, const KwargsFunction& fun, bool shapeless = false);
FunctionExporter exporter(const ExportCallback& callback, const ArgsKwargsFunction& fun,
                          bool shapeless = false);

/// Exports one trace of a function, for arguments like these.
void export_function(const std::string& file, const ArgsFunction& fun, const Args& args,
                     bool shapeless = false, const ExportMetadata& metadata = {});
void export_function(const std::string& file, const KwargsFunction& fun, const Kwargs& kwargs,
                     bool shapeless = false, const ExportMetadata& metadata = {});
void export_function(const std::string& file, const ArgsKwargsFunction& fun, const Args& args,
                     const Kwargs& kwargs, bool shapeless = false, const ExportMetadata& metadata = {});
void export_function(const ExportCallback& callback, const ArgsFunction& fun, const Args& args,
                     bool shapeless = false);
void export_function(const ExportCallback& callback, const KwargsFunction& fun, const Kwargs& kwargs,
                     bool shapeless = false);
void export_function(const ExportCallback& callback, const ArgsKwargsFunction& fun, const Args& args,
                     const Kwargs& kwargs, bool shapeless = false);

struct FunctionFile;

/// A function from a file, cheap to copy and as lazy as the original. It can be compiled and transformed,
/// too, but rules of its own (`custom_vjp`, `checkpoint`) stay behind: it has its operations' derivatives.
/// Throws std::invalid_argument `[import_function] ...` where no trace is for such arguments.
class ImportedFunction {
 public:
  std::vector<array> operator()(const std::initializer_list<array>& args) const {
    return (*this)(Args(args));
  }
  std::vector<array> operator()(const Args& args) const;
  std::vector<array> operator()(const Kwargs& kwargs) const;
  std::vector<array> operator()(const Args& args, const Kwargs& kwargs) const;
  /// What the exporter was given with the function.
  const ExportMetadata& metadata() const;
  /// How many traces the file has.
  size_t trace_count() const;

 private:
  friend ImportedFunction import_function(const std::string& file);
  ImportedFunction(std::string path, std::shared_ptr<const FunctionFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  std::shared_ptr<const FunctionFile> file_;
};

/// Maps a file of exported functions and checks it. Throws std::runtime_error `[import_function] FILE: what
/// is wrong` for files that are damaged, cut short, of a newer version, or have operations that are not
/// known.
ImportedFunction import_function(const std::string& file);

}  // namespace lazuli
