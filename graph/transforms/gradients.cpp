#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/graph/transforms/differentiation.h>
#include <lazuli/graph/transforms/primitives.h>
#include <lazuli/graph/transforms/tracing.h>
#include <lazuli/graph/transforms/transforms.h>

namespace lazuli {

namespace {

using transforms::Record;
using transforms::TracingScope;

std::vector<array> stand_ins_for(const std::vector<array>& arrays) {
  std::vector<array> result;
  for (const array& a : arrays) result.push_back(transforms::stand_in(a));
  return result;
}

std::vector<array> traced(const ArrayFunction& fun, const std::vector<array>& arguments) {
  const TracingScope tracing;
  return fun(arguments);
}

/// Nothing outside needs what is behind the results, unless a transform around this one does.
void finish(const Record& record, const std::vector<array>& from) {
  if (transforms::is_tracing()) return;
  record.release();
  for (const array& a : from) {
    if (!a.is_available()) continue;
    a.node()->inputs.clear();
    a.node()->producer = nullptr;
  }
}

/// Checks that there is one differential of the right shape for each array, and gives them their dtypes.
Differentials fitted(const std::vector<array>& differentials, const std::vector<array>& of, const char* name,
                     const std::string& what) {
  const std::string prefix = "[" + std::string(name) + "] ";
  if (differentials.size() != of.size()) {
    throw std::invalid_argument(prefix + std::to_string(differentials.size()) + " " + what +
                                "s do not fit the function's " + std::to_string(of.size()) +
                                (what == "tangent" ? " arguments" : " results"));
  }
  Differentials result;
  for (size_t i = 0; i < of.size(); ++i) {
    if (!(differentials[i].shape() == of[i].shape())) {
      throw std::invalid_argument(prefix + "a " + what + " of shape " +
                                  shape_to_string(differentials[i].shape()) + " does not fit shape " +
                                  shape_to_string(of[i].shape()));
    }
    result.emplace_back();
    if (transforms::is_differentiable(of[i].dtype())) {
      result.back() = transforms::converted(differentials[i], {of[i].shape(), of[i].dtype()});
    }
  }
  return result;
}

std::vector<array> with_zeros(const Differentials& differentials, const std::vector<array>& of) {
  std::vector<array> result;
  for (size_t i = 0; i < of.size(); ++i) {
    result.push_back(differentials[i] ? *differentials[i]
                                      : transforms::zeros({of[i].shape(), of[i].dtype()}));
  }
  return result;
}

std::vector<size_t> checked_arguments(const std::vector<int>& argnums, size_t count) {
  if (argnums.empty()) throw std::invalid_argument("[grad] there is no argument to differentiate");
  std::vector<size_t> result;
  for (int argnum : argnums) {
    const int64_t at = argnum < 0 ? argnum + static_cast<int64_t>(count) : argnum;
    if (at < 0 || at >= static_cast<int64_t>(count)) {
      throw std::invalid_argument("[grad] there is no argument " + std::to_string(argnum) + " among " +
                                  std::to_string(count));
    }
    if (std::find(result.begin(), result.end(), static_cast<size_t>(at)) != result.end()) {
      throw std::invalid_argument("[grad] argument " + std::to_string(argnum) + " is given twice");
    }
    result.push_back(static_cast<size_t>(at));
  }
  return result;
}

ArrayFunction of_one(std::function<array(const array&)> fun) {
  return
      [fun = std::move(fun)](const std::vector<array>& inputs) { return std::vector<array>{fun(inputs[0])}; };
}

ArrayFunction with_one_result(std::function<array(const std::vector<array>&)> fun) {
  return [fun = std::move(fun)](const std::vector<array>& inputs) { return std::vector<array>{fun(inputs)}; };
}

}  // namespace

std::pair<std::vector<array>, std::vector<array>> vjp(const ArrayFunction& fun,
                                                      const std::vector<array>& primals,
                                                      const std::vector<array>& cotangents) {
  const std::vector<array> arguments = stand_ins_for(primals);
  std::vector<array> results = traced(fun, arguments);
  const Differentials given = fitted(cotangents, results, "vjp", "cotangent");
  const Record record(results, arguments);
  const Differentials found = transforms::pull_back(record, results, given, arguments);
  finish(record, arguments);
  return {std::move(results), with_zeros(found, primals)};
}

std::pair<array, array> vjp(const std::function<array(const array&)>& fun, const array& primal,
                            const array& cotangent) {
  const auto [results, cotangents] = vjp(of_one(fun), std::vector{primal}, std::vector{cotangent});
  return {results[0], cotangents[0]};
}

std::pair<std::vector<array>, std::vector<array>> jvp(const ArrayFunction& fun,
                                                      const std::vector<array>& primals,
                                                      const std::vector<array>& tangents) {
  const Differentials given = fitted(tangents, primals, "jvp", "tangent");
  const std::vector<array> arguments = stand_ins_for(primals);
  std::vector<array> results = traced(fun, arguments);
  const Record record(results, arguments);
  const Differentials found = transforms::push_forward(record, results, arguments, given);
  finish(record, arguments);
  std::vector<array> all = with_zeros(found, results);
  return {std::move(results), std::move(all)};
}

std::pair<array, array> jvp(const std::function<array(const array&)>& fun, const array& primal,
                            const array& tangent) {
  const auto [results, tangents] = jvp(of_one(fun), std::vector{primal}, std::vector{tangent});
  return {results[0], tangents[0]};
}

ValueAndGradFn value_and_grad(const ArrayFunction& fun, const std::vector<int>& argnums) {
  return [fun, argnums](const std::vector<array>& inputs) {
    const std::vector<size_t> chosen = checked_arguments(argnums, inputs.size());
    std::vector<array> arguments = inputs;
    std::vector<array> from;
    std::vector<array> primals;
    for (size_t i : chosen) {
      primals.push_back(inputs[i]);
      from.push_back(arguments[i] = transforms::stand_in(inputs[i]));
    }
    std::vector<array> results = traced(fun, arguments);
    if (results.empty() || results[0].ndim() != 0) {
      throw std::invalid_argument("[grad] the function's first result must be a scalar" +
                                  (results.empty() ? "" : ", not " + shape_to_string(results[0].shape())));
    }
    Differentials cotangents(results.size());
    cotangents[0] = transforms::converted(array(1.0f), {{}, results[0].dtype()});
    const Record record(std::span<const array>(results.data(), 1), from);
    const Differentials found = transforms::pull_back(record, results, cotangents, from);
    finish(record, from);
    return std::pair{std::move(results), with_zeros(found, primals)};
  };
}

ValueAndGradFn value_and_grad(const ArrayFunction& fun, int argnum) {
  return value_and_grad(fun, std::vector<int>{argnum});
}

SimpleValueAndGradFn value_and_grad(const std::function<array(const std::vector<array>&)>& fun,
                                    const std::vector<int>& argnums) {
  return [gradients = value_and_grad(with_one_result(fun), argnums)](const std::vector<array>& inputs) {
    auto [results, found] = gradients(inputs);
    return std::pair{results[0], std::move(found)};
  };
}

SimpleValueAndGradFn value_and_grad(const std::function<array(const std::vector<array>&)>& fun, int argnum) {
  return value_and_grad(fun, std::vector<int>{argnum});
}

std::function<std::pair<array, array>(const array&)> value_and_grad(
    const std::function<array(const array&)>& fun) {
  return [gradients = value_and_grad(of_one(fun), 0)](const array& input) {
    const auto [results, found] = gradients({input});
    return std::pair{results[0], found[0]};
  };
}

std::function<std::vector<array>(const std::vector<array>&)> grad(
    const std::function<array(const std::vector<array>&)>& fun, const std::vector<int>& argnums) {
  return
      [both = value_and_grad(fun, argnums)](const std::vector<array>& inputs) { return both(inputs).second; };
}

std::function<std::vector<array>(const std::vector<array>&)> grad(
    const std::function<array(const std::vector<array>&)>& fun, int argnum) {
  return grad(fun, std::vector<int>{argnum});
}

std::function<array(const array&)> grad(const std::function<array(const array&)>& fun) {
  return [both = value_and_grad(fun)](const array& input) { return both(input).second; };
}

}  // namespace lazuli
