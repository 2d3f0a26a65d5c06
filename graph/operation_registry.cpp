#include <lazuli/graph/operation_registry.h>

#include <map>
#include <stdexcept>
#include <string>
#include <typeindex>
#include <unordered_map>

namespace lazuli {

namespace {

struct Registry {
  std::unordered_map<std::type_index, RegisteredOperation> by_type;
  std::map<std::string_view, RegisteredOperation> by_key;
};

/// Filled while the library is loaded, only read afterwards.
Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

void registry_detail::add(const std::type_info& type, const RegisteredOperation& operation) {
  registry().by_type.emplace(type, operation);
  if (!registry().by_key.emplace(operation.key, operation).second) {
    throw std::logic_error("two operations are registered as " + std::string(operation.key));
  }
}

const RegisteredOperation* registration_of(const Operation& operation) {
  const auto found = registry().by_type.find(typeid(operation));
  return found == registry().by_type.end() ? nullptr : &found->second;
}

const RegisteredOperation* registration_called(std::string_view key) {
  const auto found = registry().by_key.find(key);
  return found == registry().by_key.end() ? nullptr : &found->second;
}

std::vector<std::string_view> registered_operations() {
  std::vector<std::string_view> keys;
  for (const auto& item : registry().by_key) keys.push_back(item.first);
  return keys;
}

Ref<const Operation> read_operation(std::string_view key, AttributeReader& reader) {
  const RegisteredOperation* registered = registration_called(key);
  if (registered == nullptr) throw std::runtime_error("there is no such operation");
  const size_t inputs = reader.inputs().size();
  reader.require(inputs >= registered->least_inputs && inputs <= registered->most_inputs,
                 "operands' numbers");
  Ref<const Operation> operation = registered->read(reader);
  if (!reader.is_done()) throw std::runtime_error("it has attributes that are not known");
  if (operation->name() != reader.name()) throw std::runtime_error("its name belongs to another one");
  return operation;
}

}  // namespace lazuli
