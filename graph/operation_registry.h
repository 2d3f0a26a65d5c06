#pragma once

#include <limits>
#include <string_view>
#include <typeinfo>
#include <vector>

#include <lazuli/graph/attribute_reader.h>
#include <lazuli/graph/operation.h>

/// How operations are made again from what files have of them: each class says it once, next to itself, with
/// an `OperationRegistration`.
namespace lazuli {

/// Makes an operation from its name and attributes. Throws std::runtime_error, without a prefix, where these
/// make none that could run on the inputs.
using OperationReader = Ref<const Operation> (*)(AttributeReader&);

struct RegisteredOperation {
  std::string_view key;  ///< what files call the class
  size_t least_inputs = 0;
  size_t most_inputs = 0;
  OperationReader read = nullptr;
};

/// How an operation's class is registered, or null.
const RegisteredOperation* registration_of(const Operation& operation);
/// The class that files call so, or null.
const RegisteredOperation* registration_called(std::string_view key);
/// The keys of all classes, in order.
std::vector<std::string_view> registered_operations();

/// The operation that a file has under these, checked as far as it can be without its inputs' values. Throws
/// std::runtime_error, without a prefix.
Ref<const Operation> read_operation(std::string_view key, AttributeReader& reader);

namespace registry_detail {
void add(const std::type_info& type, const RegisteredOperation& operation);
}  // namespace registry_detail

inline constexpr size_t any_number = std::numeric_limits<size_t>::max();

/// Registers the class `T`; one for each, in static memory.
template <typename T>
struct OperationRegistration {
  OperationRegistration(std::string_view key, size_t inputs, OperationReader read)
      : OperationRegistration(key, inputs, inputs, read) {}
  OperationRegistration(std::string_view key, size_t least, size_t most, OperationReader read) {
    registry_detail::add(typeid(T), {key, least, most, read});
  }
};

}  // namespace lazuli
