// What programs take at most for temporaries and results, against the best order of their steps.

#include <functional>

#include <lazuli/compiler/program/step_order.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>
#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "memory";
constexpr double wanted_percent = 5;

using Arrays = std::vector<array>;

array gelu(const array& x) {
  return x * 0.5f * (1.0f + erf(x * 0.70710678f));
}

struct Case {
  const char* name;
  std::vector<Shape> inputs;
  ArrayFunction function;
};

array mlp(const Arrays& in) {
  return matmul(gelu(matmul(gelu(matmul(in[0], in[1])), in[2])), in[3]);
}

Arrays mlp_gradient(const Arrays& in) {
  const auto loss = [&](const Arrays& weights) {
    return mean(square(mlp({in[0], weights[0], weights[1], weights[2]}) - in[4]));
  };
  const auto [value, gradients] = value_and_grad(loss, {0, 1, 2})({in[1], in[2], in[3]});
  Arrays results{value};
  results.insert(results.end(), gradients.begin(), gradients.end());
  return results;
}

Arrays transformer_layer(const Arrays& in) {
  const array& x = in[0];
  const Dim tokens = x.shape(1), width = x.shape(2);
  constexpr int head_dim = 64;
  const auto heads = [&](const array& y) {
    return transpose(reshape(y, {1, tokens, -1, head_dim}), {0, 2, 1, 3});
  };
  const array normed = fast::rms_norm(x, in[1], 1e-5f);
  const array q = fast::rope(heads(matmul(normed, in[2])), head_dim, false, 10000.0f, 1.0f, 0);
  const array k = fast::rope(heads(matmul(normed, in[3])), head_dim, false, 10000.0f, 1.0f, 0);
  const array attended =
      fast::scaled_dot_product_attention(q, k, heads(matmul(normed, in[4])), 0.125f, "causal");
  const array h = x + matmul(reshape(transpose(attended, {0, 2, 1, 3}), {1, tokens, width}), in[5]);
  const array again = fast::rms_norm(h, in[1], 1e-5f);
  const array gate = matmul(again, in[6]);
  return {h + matmul(gate * sigmoid(gate) * matmul(again, in[7]), in[8])};
}

Arrays branches(const Arrays& in) {
  Arrays wide;
  for (size_t i = 1; i < in.size(); ++i) wide.push_back(matmul(in[0], in[i]));
  array total = zeros({1, 1});
  for (const array& branch : wide) total = total + matmul(transpose(branch), branch);
  return {total};
}

/// Down to a quarter of the width and up again, with what was on the way down beside it.
Arrays skip_connections(const Arrays& in) {
  const array first = gelu(matmul(in[0], in[1]));
  const array second = gelu(matmul(first, in[2]));
  const array deepest = gelu(matmul(second, in[3]));
  const array up = gelu(matmul(concatenate({deepest, second}, 1), in[4]));
  return {matmul(concatenate({up, first}, 1), in[5])};
}

std::vector<Case> cases() {
  const Shape square{1024, 1024};
  return {
      {"two-layer MLP",
       {{512, 1024}, {1024, 4096}, {4096, 4096}, {4096, 1024}},
       [](const Arrays& in) { return Arrays{mlp(in)}; }},
      {"its loss and gradients",
       {{512, 1024}, {1024, 2048}, {2048, 2048}, {2048, 1024}, {512, 1024}},
       mlp_gradient},
      {"transformer layer, 512 tokens",
       {{1, 512, 1024}, {1024}, square, square, square, square, {1024, 4096}, {1024, 4096}, {4096, 1024}},
       transformer_layer},
      {"attention from plain operations",
       {{8, 512, 64}, {8, 512, 64}, {8, 512, 64}},
       [](const Arrays& in) {
         return Arrays{matmul(softmax(matmul(in[0], swapaxes(in[1], -1, -2)) * 0.125f, -1), in[2])};
       }},
      {"six branches, brought together",
       {{4096, 64}, {64, 256}, {64, 256}, {64, 256}, {64, 256}, {64, 256}, {64, 256}},
       branches},
      {"skip connections",
       {{2048, 512}, {512, 1024}, {1024, 512}, {512, 256}, {768, 512}, {1536, 512}},
       skip_connections},
  };
}

}  // namespace

void bench_memory(Table& table) {
  for (const Case& of : cases()) {
    if (!table.wants(group, of.name)) continue;
    Arrays arguments;
    std::vector<ProgramInput> inputs;
    for (const Shape& shape : of.inputs) {
      arguments.emplace_back(Node::placeholder_of({shape, float32}));
      inputs.push_back({Buffer::allocate(64), 0, shape, row_major_strides(shape), false});
    }
    const auto program =
        Program::create(simplify(build_function_graph(arguments, of.function(arguments))), of.name);
    const StepMemory memory(program->plan(), program->steps());
    const bool few = memory.step_count() <= StepMemory::most_steps;
    const int64_t least = few ? memory.peak(memory.best_order()) : memory.lower_bound();
    const double percent =
        100 * (static_cast<double>(program->memory(inputs)) / static_cast<double>(least) - 1);
    table.state(group, of.name, percent, "% above the best order", wanted_percent);
  }
}

}  // namespace lazuli::bench
