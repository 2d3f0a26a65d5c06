#include <gtest/gtest.h>

#include <lazuli/lazuli.h>

#include "support/compare.h"

#include <lazuli/compiler/program/step_order.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>

namespace lazuli {
namespace {

using Arrays = std::vector<array>;
constexpr int64_t megabyte = 1 << 20;

std::shared_ptr<Program> program_of(const Arrays& inputs, const Arrays& results) {
  return Program::create(simplify(build_function_graph(inputs, results)), "test");
}

array matrix(int rows, int columns, uint64_t seed) {
  array result = random::normal({rows, columns}, float32, 0.0f, 0.1f, random::key(seed));
  result.eval();
  return result;
}

/// Two products of 4 MB for each branch, all made before they are brought together again.
array branches(const array& x, const Arrays& weights) {
  std::vector<array> wide;
  for (const array& w : weights) wide.push_back(matmul(x, w));
  array total = zeros({1, 1});
  for (const array& branch : wide) total = total + matmul(transpose(branch), branch);
  return total;
}

TEST(StepOrder, BranchesAreFinishedOneByOne) {
  const array x(Node::placeholder_of({{4096, 64}, float32}));
  Arrays weights;
  for (uint64_t i = 0; i < 6; ++i) weights.push_back(matrix(64, 256, i + 2));
  const std::shared_ptr<Program> program = program_of({x}, {branches(x, weights)});
  const StepMemory memory(program->plan(), program->steps());
  std::vector<int> order(program->steps().size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  const int64_t taken = memory.peak(order);
  // One branch at a time, and a few small results.
  EXPECT_LT(taken, 7 * megabyte);
  EXPECT_GE(taken, memory.lower_bound());
  ASSERT_LE(memory.step_count(), StepMemory::most_steps);
  const int64_t least = memory.peak(memory.best_order());
  EXPECT_LE(least, taken);
  EXPECT_GE(least, memory.lower_bound());
  EXPECT_LE(static_cast<double>(taken), 1.05 * static_cast<double>(least));
}

TEST(StepOrder, WhatIsPlannedIsWhatIsTaken) {
  const ArrayFunction function = [](const Arrays& in) {
    const array wide = tanh(matmul(in[0], in[1]));
    return Arrays{matmul(wide, in[2]), sum(wide, 0)};
  };
  const CompiledFunction compiled = compile(function);
  const Arrays in{matrix(1000, 64, 1), matrix(64, 900, 2), matrix(900, 64, 3)};
  const size_t planned = compiled.peak_memory(in);
  EXPECT_EQ(compiled.trace_count(), 1);
  compiled(in);  // constants and code
  const size_t before = get_active_memory();
  reset_peak_memory();
  const Arrays results = compiled(in);
  const size_t taken = get_peak_memory() - before;
  EXPECT_NEAR(static_cast<double>(taken), static_cast<double>(planned), 0.02 * static_cast<double>(planned));
  const Arrays expected = function(in);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(test::difference(results[i], expected[i], 1e-4), "");
}

TEST(StepOrder, ResultsTakeTheMemoryOfTemporariesThatAreGone) {
  // A chain of large temporaries, and a result as large.
  const CompiledFunction compiled = compile([](const Arrays& in) {
    const array first = matmul(in[0], in[1]);
    const array second = softmax(first, -1);
    const array third = matmul(second, in[2]);
    return Arrays{matmul(third, in[1])};
  });
  const Arrays in{matrix(1024, 32, 1), matrix(32, 1024, 2), matrix(1024, 32, 3)};
  // Of 4 MB each: first and second at a time; then the result, when both are gone.
  EXPECT_LT(compiled.peak_memory(in), size_t{9} * megabyte);
  const array wide = matmul(softmax(matmul(in[0], in[1]), -1), in[2]);
  EXPECT_EQ(test::difference(compiled(in)[0], matmul(wide, in[1]), 1e-4), "");
}

TEST(StepOrder, UpdatesComeAfterThoseWhoReadWhatTheyWriteOver) {
  const CompiledFunction compiled = compile([](const Arrays& in) {
    const array base = exp(in[0]);
    const array read = matmul(base, in[1]);
    return Arrays{slice_update(base, in[2], {0, 0}, {1, 700}), read};
  });
  const Arrays in{matrix(900, 700, 1), matrix(700, 300, 2), matrix(1, 700, 3)};
  const array base = exp(in[0]);
  const Arrays results = compiled(in);
  EXPECT_EQ(test::difference(results[1], matmul(base, in[1]), 1e-4), "");
  EXPECT_EQ(test::difference(results[0], concatenate({in[2], slice(base, {1, 0}, {900, 700})}, 0), 1e-5), "");
}

}  // namespace
}  // namespace lazuli
