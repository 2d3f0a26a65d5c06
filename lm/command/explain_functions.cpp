#include <lazuli/lm/command/explain_functions.h>

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <lazuli/ops/ops.h>

namespace lazuli::command {
namespace {

using Functions = std::map<std::string, ExpressionFunction>;

ExpressionFunction unary(array (*function)(const array&, StreamOrDevice)) {
  return [function](const Arguments& a) -> Argument {
    a.expect(1, 1);
    return function(a.value(0), {});
  };
}

ExpressionFunction binary(array (*function)(const array&, const array&, StreamOrDevice)) {
  return [function](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return function(a.value(0), a.value(1), {});
  };
}

/// f(x), f(x, axes) and f(x, axes, keepdims).
ExpressionFunction reduction(array (*over_all)(const array&, bool, StreamOrDevice),
                             array (*over_axes)(const array&, const std::vector<int>&, bool,
                                                StreamOrDevice)) {
  return [=](const Arguments& a) -> Argument {
    a.expect(1, 3);
    if (a.size() == 1) return over_all(a.value(0), false, {});
    return over_axes(a.value(0), a.list(1), a.size() > 2 && a.flag(2), {});
  };
}

Shape shape_of(const std::vector<int>& extents) {
  return Shape(extents.begin(), extents.end());
}

void add_elementwise(Functions& f) {
  f["abs"] = unary(abs);
  f["ceil"] = unary(ceil);
  f["cos"] = unary(cos);
  f["erf"] = unary(erf);
  f["exp"] = unary(exp);
  f["expm1"] = unary(expm1);
  f["floor"] = unary(floor);
  f["isnan"] = unary(isnan);
  f["log"] = unary(log);
  f["log1p"] = unary(log1p);
  f["negative"] = unary(negative);
  f["reciprocal"] = unary(reciprocal);
  f["rsqrt"] = unary(rsqrt);
  f["sigmoid"] = unary(sigmoid);
  f["sign"] = unary(sign);
  f["sin"] = unary(sin);
  f["sqrt"] = unary(sqrt);
  f["square"] = unary(square);
  f["tan"] = unary(tan);
  f["tanh"] = unary(tanh);
  f["add"] = binary(add);
  f["divide"] = binary(divide);
  f["logaddexp"] = binary(logaddexp);
  f["maximum"] = binary(maximum);
  f["minimum"] = binary(minimum);
  f["multiply"] = binary(multiply);
  f["power"] = binary(power);
  f["subtract"] = binary(subtract);
  f["where"] = [](const Arguments& a) -> Argument {
    a.expect(3, 3);
    return where(a.value(0), a.value(1), a.value(2));
  };
  f["astype"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return astype(a.value(0), a.dtype(1));
  };
}

void add_reductions(Functions& f) {
  f["sum"] = reduction(sum, sum);
  f["prod"] = reduction(prod, prod);
  f["max"] = reduction(max, max);
  f["min"] = reduction(min, min);
  f["mean"] = reduction(mean, mean);
  f["logsumexp"] = reduction(logsumexp, logsumexp);
  f["all"] = reduction(all, all);
  f["any"] = reduction(any, any);
  f["var"] = [](const Arguments& a) -> Argument {
    a.expect(1, 3);
    if (a.size() == 1) return var(a.value(0), false);
    return var(a.value(0), a.list(1), a.size() > 2 && a.flag(2));
  };
  f["argmax"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return argmax(a.value(0), a.integer(1));
  };
  f["argmin"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return argmin(a.value(0), a.integer(1));
  };
  f["softmax"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return softmax(a.value(0), a.list(1));
  };
}

void add_shapes(Functions& f) {
  f["reshape"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return reshape(a.value(0), shape_of(a.list(1)));
  };
  f["broadcast_to"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return broadcast_to(a.value(0), shape_of(a.list(1)));
  };
  f["transpose"] = [](const Arguments& a) -> Argument {
    a.expect(1, 2);
    return a.size() == 1 ? transpose(a.value(0)) : transpose(a.value(0), a.list(1));
  };
  f["swapaxes"] = [](const Arguments& a) -> Argument {
    a.expect(3, 3);
    return swapaxes(a.value(0), a.integer(1), a.integer(2));
  };
  f["expand_dims"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return expand_dims(a.value(0), a.list(1));
  };
  f["squeeze"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return squeeze(a.value(0), a.list(1));
  };
  f["flip"] = [](const Arguments& a) -> Argument {
    a.expect(2, 2);
    return flip(a.value(0), a.list(1));
  };
  f["concatenate"] = [](const Arguments& a) -> Argument {
    a.expect(3, 9);
    std::vector<array> parts;
    for (size_t i = 0; i + 1 < a.size(); ++i) parts.push_back(a.value(i));
    return concatenate(std::move(parts), a.integer(a.size() - 1));
  };
  f["take"] = [](const Arguments& a) -> Argument {
    a.expect(3, 3);
    return take(a.value(0), a.value(1), a.integer(2));
  };
}

void add_products(Functions& f) {
  f["matmul"] = binary(matmul);
  f["rms_norm"] = [](const Arguments& a) -> Argument {
    a.expect(3, 3);
    return fast::rms_norm(a.value(0), a.value(1), static_cast<float>(a.number(2)));
  };
  f["layer_norm"] = [](const Arguments& a) -> Argument {
    a.expect(4, 4);
    return fast::layer_norm(a.value(0), a.value(1), a.value(2), static_cast<float>(a.number(3)));
  };
  f["scaled_dot_product_attention"] = [](const Arguments& a) -> Argument {
    a.expect(4, 4);
    return fast::scaled_dot_product_attention(a.value(0), a.value(1), a.value(2),
                                              static_cast<float>(a.number(3)));
  };
}

}  // namespace

void Arguments::fail(const std::string& what) const {
  throw std::invalid_argument(fmt::format("[explain] {}: {}", function_, what));
}

const Argument& Arguments::at(size_t i) const {
  if (i >= values_.size()) fail(fmt::format("argument {} is missing", i + 1));
  return values_[i];
}

void Arguments::expect(size_t least, size_t most) const {
  if (size() >= least && size() <= most) return;
  const std::string wanted = least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
  fail(fmt::format("{} arguments where {} are expected", size(), wanted));
}

array Arguments::value(size_t i) const {
  if (const auto* value = std::get_if<array>(&at(i))) return *value;
  if (const auto* number = std::get_if<double>(&at(i))) return array(static_cast<float>(*number));
  fail(fmt::format("argument {} is no array", i + 1));
}

double Arguments::number(size_t i) const {
  if (const auto* number = std::get_if<double>(&at(i))) return *number;
  fail(fmt::format("argument {} is no number", i + 1));
}

int Arguments::integer(size_t i) const {
  const double value = number(i);
  if (value != static_cast<double>(static_cast<int>(value)))
    fail(fmt::format("argument {} is no whole number", i + 1));
  return static_cast<int>(value);
}

std::vector<int> Arguments::list(size_t i) const {
  if (const auto* list = std::get_if<std::vector<int>>(&at(i))) return *list;
  return {integer(i)};
}

Dtype Arguments::dtype(size_t i) const {
  if (const auto* dtype = std::get_if<Dtype>(&at(i))) return *dtype;
  fail(fmt::format("argument {} is no dtype", i + 1));
}

bool Arguments::flag(size_t i) const {
  if (const auto* flag = std::get_if<bool>(&at(i))) return *flag;
  fail(fmt::format("argument {} is neither true nor false", i + 1));
}

const std::map<std::string, ExpressionFunction>& functions() {
  static const Functions all_functions = [] {
    Functions f;
    add_elementwise(f);
    add_reductions(f);
    add_shapes(f);
    add_products(f);
    return f;
  }();
  return all_functions;
}

}  // namespace lazuli::command
