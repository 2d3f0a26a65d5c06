#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/graph/transforms/differentiation.h>
#include <lazuli/graph/transforms/primitives.h>
#include <lazuli/graph/transforms/tracing.h>
#include <lazuli/graph/transforms/transforms.h>

namespace lazuli {

namespace {

struct CustomRules {
  ArrayFunction function;
  std::optional<CustomVjp> vjp;
  std::optional<CustomJvp> jvp;
  std::optional<CustomVmap> vmap;
};

void check_count(size_t found, size_t wanted, const char* name, const char* what) {
  if (found == wanted) return;
  throw std::invalid_argument("[" + std::string(name) + "] the custom rule gives " + std::to_string(found) +
                              " " + what + " instead of " + std::to_string(wanted));
}

/// The results of a function, with the rules that it was given. Operands: its arguments, then its results.
class CustomFunction final : public ForwardOperation {
 public:
  CustomFunction(std::shared_ptr<const CustomRules> rules, size_t arguments)
      : rules_(std::move(rules)), arguments_(arguments) {}
  std::string_view name() const override { return "custom_function"; }
  void attributes(AttributeWriter& writer) const override {
    writer.write("rules", reinterpret_cast<uintptr_t>(rules_.get()));
    writer.write("arguments", arguments_);
  }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    return {inputs.begin() + static_cast<std::ptrdiff_t>(arguments_), inputs.end()};
  }
  size_t source(size_t output) const override { return arguments_ + output; }
  size_t inputs_of_rules() const override { return arguments_; }

  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>& wanted) const override {
    const std::vector<array> arguments = arguments_of(at.inputs);
    Differentials result;
    if (rules_->vjp) {
      std::vector<array> given;
      for (size_t i = 0; i < cotangents.size(); ++i)
        given.push_back(value_or_zeros(cotangents[i], at.outputs[i]));
      const std::vector<array> found =
          (*rules_->vjp)(arguments, given, {at.outputs.begin(), at.outputs.end()});
      check_count(found.size(), arguments_, "custom_vjp", "cotangents");
      result.assign(found.begin(), found.end());
    } else {
      result = transforms::vjp_of(rules_->function, arguments, cotangents,
                                  {wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(arguments_)});
    }
    result.resize(at.inputs.size());
    return result;
  }

  Differentials jvp(const Application& at, const Differentials& tangents) const override {
    const std::vector<array> arguments = arguments_of(at.inputs);
    std::vector<array> given;
    std::vector<int> argnums;
    for (size_t i = 0; i < arguments_; ++i) {
      if (!tangents[i]) continue;
      given.push_back(*tangents[i]);
      argnums.push_back(static_cast<int>(i));
    }
    if (rules_->jvp) {
      const std::vector<array> found = (*rules_->jvp)(arguments, given, argnums);
      check_count(found.size(), at.outputs.size(), "custom_function", "tangents");
      return {found.begin(), found.end()};
    }
    if (rules_->vjp) {
      // With a gradient of its own, that is the derivative: not what the function's operations would give.
      return Operation::jvp({at.inputs.first(arguments_), at.outputs},
                            {tangents.begin(), tangents.begin() + static_cast<std::ptrdiff_t>(arguments_)});
    }
    std::vector<array> all;
    for (size_t i = 0; i < arguments_; ++i) all.push_back(value_or_zeros(tangents[i], arguments[i]));
    const std::vector<array> found = lazuli::jvp(rules_->function, arguments, all).second;
    return {found.begin(), found.end()};
  }

  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override {
    const std::vector<array> arguments = arguments_of(inputs);
    std::vector<int> axes;
    for (size_t i = 0; i < arguments_; ++i) axes.push_back(batched[i] ? 0 : -1);
    if (!rules_->vmap) {
      // The rules go with each member: they are not lost under a transform of the batch.
      const auto rules = std::make_shared<CustomRules>(*rules_);
      rules->function = lazuli::vmap(rules_->function, axes);
      if (rules_->vjp) rules->vjp = batched_vjp(*rules_->vjp, axes);
      if (rules_->jvp) rules->jvp = batched_jvp(*rules_->jvp, axes);
      return applied(rules, arguments);
    }
    auto [results, found] = (*rules_->vmap)(arguments, axes);
    check_count(found.size(), results.size(), "custom_function", "axes");
    for (size_t i = 0; i < results.size(); ++i) {
      results[i] = found[i] < 0 ? transforms::repeated(results[i], batch)
                                : transforms::with_axis_moved(results[i], found[i], 0);
    }
    return results;
  }

  static std::vector<array> applied(const std::shared_ptr<const CustomRules>& rules,
                                    const std::vector<array>& arguments) {
    std::vector<array> operands = arguments;
    const std::vector<array> results = rules->function(arguments);
    operands.insert(operands.end(), results.begin(), results.end());
    if (results.empty()) return {};
    return apply_multiple(make_ref<CustomFunction>(rules, arguments.size()), std::move(operands));
  }

 private:
  std::vector<array> arguments_of(std::span<const array> inputs) const {
    return {inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(arguments_)};
  }

  static array value_or_zeros(const std::optional<array>& differential, const array& of) {
    return differential ? *differential : transforms::zeros({of.shape(), of.dtype()});
  }

  /// A gradient rule over a batch. What all members share gets the sum of its cotangents.
  static CustomVjp batched_vjp(const CustomVjp& rule, const std::vector<int>& axes) {
    return [=](const std::vector<array>& primals, const std::vector<array>& cotangents,
               const std::vector<array>& outputs) {
      std::vector<array> inputs = primals;
      inputs.insert(inputs.end(), cotangents.begin(), cotangents.end());
      inputs.insert(inputs.end(), outputs.begin(), outputs.end());
      std::vector<int> in_axes = axes;
      in_axes.resize(inputs.size(), 0);
      const auto member = [&](const std::vector<array>& all) {
        const auto split = all.begin() + static_cast<std::ptrdiff_t>(primals.size());
        const auto end = split + static_cast<std::ptrdiff_t>(cotangents.size());
        return rule({all.begin(), split}, {split, end}, {end, all.end()});
      };
      std::vector<array> found = lazuli::vmap(ArrayFunction(member), in_axes)(inputs);
      for (size_t i = 0; i < found.size(); ++i) {
        if (axes[i] < 0) found[i] = transforms::total(found[i]);
      }
      return found;
    };
  }

  static CustomJvp batched_jvp(const CustomJvp& rule, const std::vector<int>& axes) {
    return [=](const std::vector<array>& primals, const std::vector<array>& tangents,
               const std::vector<int>& argnums) {
      std::vector<array> inputs = primals;
      inputs.insert(inputs.end(), tangents.begin(), tangents.end());
      std::vector<int> in_axes = axes;
      for (int argnum : argnums) in_axes.push_back(axes[static_cast<size_t>(argnum)]);
      const auto member = [&](const std::vector<array>& all) {
        const auto split = all.begin() + static_cast<std::ptrdiff_t>(primals.size());
        return rule({all.begin(), split}, {split, all.end()}, argnums);
      };
      return lazuli::vmap(ArrayFunction(member), in_axes)(inputs);
    };
  }

  std::shared_ptr<const CustomRules> rules_;
  size_t arguments_;
};

}  // namespace

ArrayFunction custom_function(ArrayFunction fun, std::optional<CustomVjp> fun_vjp,
                              std::optional<CustomJvp> fun_jvp, std::optional<CustomVmap> fun_vmap) {
  auto rules = std::make_shared<const CustomRules>(
      CustomRules{std::move(fun), std::move(fun_vjp), std::move(fun_jvp), std::move(fun_vmap)});
  return [rules = std::move(rules)](const std::vector<array>& arguments) {
    return CustomFunction::applied(rules, arguments);
  };
}

ArrayFunction custom_vjp(ArrayFunction fun, CustomVjp fun_vjp) {
  return custom_function(std::move(fun), std::move(fun_vjp));
}

ArrayFunction checkpoint(ArrayFunction fun) {
  CustomVjp recomputing = [fun](const std::vector<array>& primals, const std::vector<array>& cotangents,
                                const std::vector<array>&) {
    // Once the cotangents are there, and not before: until then nothing of the function is kept.
    const bool are_symbols = transforms::is_transposing();
    return lazuli::vjp(fun, are_symbols ? primals : transforms::ordered_after(primals, cotangents),
                       cotangents)
        .second;
  };
  CustomJvp forward = [fun](const std::vector<array>& primals, const std::vector<array>& tangents,
                            const std::vector<int>& argnums) {
    std::vector<array> all;
    for (const array& primal : primals) all.push_back(transforms::zeros({primal.shape(), primal.dtype()}));
    for (size_t i = 0; i < argnums.size(); ++i) all[static_cast<size_t>(argnums[i])] = tangents[i];
    return lazuli::jvp(fun, primals, all).second;
  };
  return custom_function(std::move(fun), std::move(recomputing), std::move(forward));
}

}  // namespace lazuli
