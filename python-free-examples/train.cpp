// Training: logistic regression, then a network of two layers, both with value_and_grad in a compiled step.

#include <cstdlib>
#include <iostream>

#include <lazuli/lazuli.h>

namespace lz = lazuli;
using Arrays = std::vector<lz::array>;

namespace {

/// Steps of gradient descent on `loss`, a function of parameters and then data; the gradients of the first
/// `parameters` arguments are computed, and applied, in one compiled function.
Arrays trained(const lz::ArrayFunction& loss, Arrays parameters, const Arrays& data, int steps, float rate,
               const char* name) {
  std::vector<int> argnums;
  for (size_t i = 0; i < parameters.size(); ++i) argnums.push_back(static_cast<int>(i));
  const auto value_and_gradients = lz::value_and_grad(loss, argnums);
  const auto step = lz::compile([=](const Arrays& in) {
    auto [values, gradients] = value_and_gradients(in);
    Arrays out{values[0]};
    for (size_t i = 0; i < gradients.size(); ++i) out.push_back(in[i] - rate * gradients[i]);
    return out;
  });
  for (int i = 0; i <= steps; ++i) {
    Arrays arguments = parameters;
    arguments.insert(arguments.end(), data.begin(), data.end());
    const Arrays out = step(arguments);
    parameters.assign(out.begin() + 1, out.end());
    if (i % (steps / 4) == 0) std::cout << "  step " << i << ": loss " << out[0].item<float>() << "\n";
  }
  std::cout << name << ": " << step.kernel_count() << " kernels a step\n";
  return parameters;
}

float accuracy(const lz::array& right) {
  return lz::mean(lz::astype(right, lz::float32)).item<float>();
}

}  // namespace

int main() {
  constexpr int examples = 2000;
  constexpr int features = 20;
  lz::random::seed(1);

  // Logistic regression: which side of a plane points lie on.
  const lz::array x = lz::random::normal({examples, features});
  const lz::array side = lz::matmul(x, lz::random::normal({features})) > lz::array(0.0f);
  const lz::array sign = lz::where(side, lz::array(1.0f), lz::array(-1.0f));
  const auto logistic = [](const Arrays& in) {
    return Arrays{lz::mean(lz::logaddexp(lz::array(0.0f), -in[2] * lz::matmul(in[1], in[0])))};
  };
  const Arrays plane =
      trained(logistic, {lz::zeros({features})}, {x, sign}, 200, 1.0f, "logistic regression");
  const float first = accuracy((lz::matmul(x, plane[0]) > lz::array(0.0f)) == side);
  std::cout << "logistic regression: accuracy " << first << "\n";

  // A network: how many of two numbers are positive, which no plane tells.
  const lz::array positive = lz::slice(x, {0, 0}, {examples, 2}) > lz::array(0.0f);
  const lz::array labels = lz::sum(lz::astype(positive, lz::uint32), 1, true);
  constexpr int hidden = 32;
  const auto scores = [](const lz::array& in, const Arrays& p) {
    return lz::addmm(p[3], lz::maximum(lz::addmm(p[1], in, p[0]), lz::array(0.0f)), p[2]);
  };
  const auto cross_entropy = [=](const Arrays& in) {
    const lz::array out = scores(in[4], in);
    return Arrays{lz::mean(lz::logsumexp(out, -1, true) - lz::take_along_axis(out, in[5], -1))};
  };
  const Arrays network = trained(cross_entropy,
                                 {0.3f * lz::random::normal({features, hidden}), lz::zeros({hidden}),
                                  0.3f * lz::random::normal({hidden, 3}), lz::zeros({3})},
                                 {x, labels}, 400, 0.5f, "network");
  const float second = accuracy(lz::argmax(scores(x, network), -1, true) == labels);
  std::cout << "network: accuracy " << second << "\n";
  return first > 0.97f && second > 0.95f ? EXIT_SUCCESS : EXIT_FAILURE;
}
