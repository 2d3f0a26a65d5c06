// A program as one writes it for MLX: logistic regression by hand-made steps, then a small network trained
// with `value_and_grad` inside of `compile`. Nothing in it knows of Lazuli.

#include <cmath>
#include <iostream>
#include <vector>

#include <mlx/mlx.h>

namespace mx = mlx::core;

namespace {

using Arrays = std::vector<mx::array>;

/// Points on both sides of a random plane, and on which side each lies.
std::pair<mx::array, mx::array> separable_points(int count, int features) {
  const mx::array normal = mx::random::normal({features});
  const mx::array points = mx::random::normal({count, features});
  return {points, mx::astype(mx::matmul(points, normal) > mx::array(0.0f), mx::float32)};
}

float logistic_regression() {
  constexpr int features = 50, count = 1000, steps = 300;
  const auto [points, labels] = separable_points(count, features);
  const mx::array x = points, y = labels;
  // The mean of log(1 + exp(z)) - y z.
  const auto loss = [&](const mx::array& w) {
    const mx::array z = mx::matmul(x, w);
    return mx::mean(mx::logaddexp(mx::array(0.0f), z) - y * z);
  };
  const auto gradient = mx::grad(std::function<mx::array(const mx::array&)>(loss));
  mx::array w = mx::zeros({features});
  for (int step = 0; step < steps; ++step) {
    w = w - mx::array(1.0f) * gradient(w);
    mx::eval(w);
  }
  const mx::array right = mx::equal(mx::matmul(x, w) > mx::array(0.0f), y > mx::array(0.5f));
  return mx::mean(mx::astype(right, mx::float32)).item<float>();
}

/// Two layers learn sin(x) on [-3, 3]; the loss at the end.
float small_network() {
  constexpr int width = 64, steps = 400;
  constexpr float rate = 0.05f;
  const mx::array x = mx::reshape(mx::linspace(-3.0, 3.0, 256), {256, 1});
  const mx::array y = mx::sin(x);
  const auto loss = [](const Arrays& in) {
    const mx::array hidden = mx::tanh(mx::matmul(in[4], in[0]) + in[1]);
    const mx::array out = mx::matmul(hidden, in[2]) + in[3];
    return mx::mean(mx::square(out - in[5]));
  };
  const auto loss_and_gradients =
      mx::value_and_grad(std::function<mx::array(const Arrays&)>(loss), std::vector<int>{0, 1, 2, 3});
  const auto step = mx::compile([loss_and_gradients](const Arrays& in) {
    const auto [value, gradients] = loss_and_gradients(in);
    Arrays results{value};
    for (size_t i = 0; i < gradients.size(); ++i) results.push_back(in[i] - mx::array(rate) * gradients[i]);
    return results;
  });

  Arrays parameters{mx::random::normal({1, width}), mx::zeros({width}),
                    mx::random::normal({width, 1}) / mx::array(std::sqrt(static_cast<float>(width))),
                    mx::zeros({1})};
  float value = 0;
  for (int i = 0; i < steps; ++i) {
    Arrays inputs = parameters;
    inputs.push_back(x);
    inputs.push_back(y);
    Arrays results = step(inputs);
    value = results[0].item<float>();
    parameters.assign(results.begin() + 1, results.end());
  }
  return value;
}

}  // namespace

int main() {
  mx::random::seed(7);
  const float accuracy = logistic_regression();
  std::cout << "logistic regression: " << 100 * accuracy << " % right\n";
  const float loss = small_network();
  std::cout << "small network: mean squared error " << loss << "\n";
  return accuracy > 0.95f && loss < 0.05f ? 0 : 1;
}
