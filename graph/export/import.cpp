#include <algorithm>
#include <stdexcept>

#include <lazuli/array/io/mapped_file.h>
#include <lazuli/graph/export/export.h>
#include <lazuli/graph/export/replay.h>

namespace lazuli {

namespace {

/// The arguments in a trace's order, where it takes these keywords.
std::optional<std::vector<array>> in_order(const StoredTrace& trace, const Args& args, const Kwargs& kwargs) {
  if (trace.keywords.size() != kwargs.size()) return std::nullopt;
  std::vector<array> all = args;
  for (const std::string& keyword : trace.keywords) {
    const auto found = kwargs.find(keyword);
    if (found == kwargs.end()) return std::nullopt;
    all.push_back(found->second);
  }
  return all;
}

std::string given_text(const Args& args, const Kwargs& kwargs) {
  std::string text = "(";
  const auto add = [&](const std::string& keyword, const array& a) {
    if (text.size() > 1) text += ", ";
    text += keyword + std::string(dtype_name(a.dtype())) + shape_to_string(a.shape());
  };
  for (const array& a : args) add("", a);
  for (const auto& [keyword, a] : kwargs) add(keyword + "=", a);
  return text + ")";
}

}  // namespace

std::vector<array> ImportedFunction::operator()(const Args& args, const Kwargs& kwargs) const {
  for (const StoredTrace& trace : file_->traces) {
    const auto inputs = in_order(trace, args, kwargs);
    if (!inputs) continue;
    const auto extents = TraceExtents::match(trace, *inputs);
    if (!extents) continue;
    try {
      return replay(trace, file_->constants, *inputs, *extents);
    } catch (const std::runtime_error& error) {
      throw std::invalid_argument("[import_function] " + path_ + ": " + error.what());
    }
  }
  std::string known;
  for (const StoredTrace& trace : file_->traces) {
    known += (known.empty() ? " " : ", ") + signature_text(trace);
    if (known.size() > 1000) break;
  }
  throw std::invalid_argument("[import_function] " + path_ + " has no trace for " + given_text(args, kwargs) +
                              ", but for" + known);
}

std::vector<array> ImportedFunction::operator()(const Args& args) const {
  return (*this)(args, {});
}
std::vector<array> ImportedFunction::operator()(const Kwargs& kwargs) const {
  return (*this)({}, kwargs);
}
const ExportMetadata& ImportedFunction::metadata() const {
  return file_->metadata;
}
size_t ImportedFunction::trace_count() const {
  return file_->traces.size();
}

ImportedFunction import_function(const std::string& file) {
  try {
    auto parsed = std::make_shared<const FunctionFile>(parse_function_file(MappedFile(file).buffer()));
    for (const StoredTrace& trace : parsed->traces) check_trace(trace, parsed->constants);
    return ImportedFunction(file, std::move(parsed));
  } catch (const std::exception& error) {
    throw std::runtime_error("[import_function] " + file + ": " + error.what());
  }
}

}  // namespace lazuli
