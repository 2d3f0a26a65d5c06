#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "lm/run_command.h"

namespace lazuli::lm {
namespace {

using test::expect_error;
using test::lazuli;
using test::Outcome;

/// Runs `explain`; its output.
std::string explain(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "explain");
  const Outcome outcome = lazuli(std::move(arguments));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  return outcome.out;
}

bool contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(ExplainCommand, ShowsEveryStage) {
  const std::string text =
      explain({"softmax(x * w + b, -1)", "--input", "x=f32[6,40]", "--input", "w=float32[40]", "--input",
               "b=bf16[40]", "--stage", "graph,simplified,groups,kernel,expanded,llvm,asm,cost"});
  for (const char* section :
       {"== graph, as built\n", "== graph, simplified\n", "== groups\n", "== kernel 1\n",
        "== expanded kernel: rows_", "== llvm: rows_", "== asm: rows_", "== cost"}) {
    EXPECT_TRUE(contains(text, section)) << section << "\n" << text;
  }
  EXPECT_EQ(count(text, "kernel over ["), 1u) << "softmax and what leads to it is one kernel";
  EXPECT_TRUE(contains(text, "kernel over [6,40r]"));
  EXPECT_TRUE(contains(text, "define void @kernel("));
  EXPECT_TRUE(contains(text, "# stores %"));
  EXPECT_TRUE(contains(text, "GB/s of memory"));
}

TEST(ExplainCommand, GivesReasonsForGroups) {
  const std::string text = explain({"mlp", "--stage", "groups"});
  EXPECT_TRUE(contains(text, "host matmul"));
  EXPECT_TRUE(contains(text, "needed whole by matmul")) << text;
  EXPECT_TRUE(contains(text, "a result")) << text;
  // A sum over rows cannot go on in a kernel that reduces over columns.
  const std::string sums =
      explain({"sum(sum(tanh(x), 0), 0)", "--input", "x=f32[3000,3000]", "--stage", "groups"});
  EXPECT_EQ(count(sums, "kernel over ["), 2u) << sums;
  EXPECT_TRUE(contains(sums, "# apart from the kernel that makes %")) << sums;
}

TEST(ExplainCommand, ShowsCodeForOtherMachines) {
  const std::vector<std::string> base = {"x * 2 + y", "--input",     "x=f32[4096]",
                                         "--input",   "y=f32[4096]", "--stage"};
  const auto for_target = [&](const char* stage, const char* target) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), {stage, "--target", target});
    return explain(arguments);
  };
  EXPECT_TRUE(contains(for_target("asm", "neon"), "fmla"));
  EXPECT_TRUE(contains(for_target("asm", "x86-64-v3"), "%ymm"));
  EXPECT_FALSE(contains(for_target("asm", "x86-64-v3"), "%zmm"));
  EXPECT_TRUE(contains(for_target("asm", "x86-64-v4"), "%zmm"));
  EXPECT_TRUE(contains(for_target("llvm", "x86-64-v4"), "<16 x float>"));
}

TEST(ExplainCommand, UnderstandsTheLanguage) {
  const auto graph_of = [](const std::string& expression) {
    return explain({expression, "--input", "x=f32[4,6]", "--input", "i=i32[3]", "--stage", "graph"});
  };
  EXPECT_TRUE(contains(graph_of("x @ transpose(x)"), "float32[4,4] = matmul"));
  EXPECT_TRUE(contains(graph_of("y = sum(x, [0], true); x - y, max(y)"), "float32[1,6] = reduce_sum"));
  EXPECT_TRUE(contains(graph_of("x[1:3, -1] * 2"), "float32[2]"));
  EXPECT_TRUE(contains(graph_of("astype(x, bf16)"), "bfloat16[4,6]"));
  EXPECT_TRUE(contains(graph_of("take(x, i, 1)"), "float32[4,3]"));
  EXPECT_TRUE(contains(graph_of("where(x > 0 , x, -x)"), "bool[4,6]"));
  EXPECT_TRUE(contains(graph_of("x * (2 + 3 * 4)"), "constant 14"));
  EXPECT_TRUE(contains(graph_of("reshape(x, [2, -1])"), "float32[2,12]"));
}

TEST(ExplainCommand, ListsWhatThereIs) {
  const std::string text = explain({"--list"});
  for (const char* name : {"gelu", "softmax", "mlp", "scaled_dot_product_attention", "x=f32[1024,1024]"}) {
    EXPECT_TRUE(contains(text, name)) << name;
  }
  for (const char* example : {"gelu", "rms_norm", "statistics", "attention", "rotate"}) {
    EXPECT_TRUE(contains(explain({example}), "== cost")) << example;
  }
}

TEST(ExplainCommand, MistakesAreErrors) {
  const auto fails = [](const std::string& expression, const std::string& what) {
    expect_error(lazuli({"explain", expression, "--input", "x=f32[4,6]", "--stage", "graph"}), 1, what);
  };
  fails("x +", "[explain] At character 4: a value is missing");
  fails("x + y", "'y' is no input, function or dtype");
  fails("frobnicate(x)", "there is no function 'frobnicate'");
  fails("x y", "did not expect 'y'");
  fails("(x", "')' is missing");
  fails("x $ x", "did not expect '$'");
  fails("tanh(x, x)", "[explain] tanh: 2 arguments where 1 are expected");
  fails("astype(x, 3)", "argument 2 is no dtype");
  fails("sum(x, 0.5)", "no whole number");
  fails("x[0, 0, 0]", "more indices than dimensions");
  fails("sum(x, 7)", "[sum]");
  fails("reshape(x, [5])", "[reshape]");
  fails("x", "nothing is left to compute");
  fails("1 + 2", "nothing is left to compute");
  fails(std::string(1000, '('), "nested too deeply");
  expect_error(lazuli({"explain"}), 2, "EXPRESSION");
  expect_error(lazuli({"explain", "x", "--stage", "magic"}), 2, "magic");
  expect_error(lazuli({"explain", "x", "--input", "x"}), 1, "has no name");
  expect_error(lazuli({"explain", "x", "--input", "x=f32[3]", "--input", "x=f32[4]"}), 1, "two inputs 'x'");
  expect_error(lazuli({"explain", "x", "--input", "x=f99[3]"}), 1, "has no dtype that is known");
  for (const char* input : {"x=f32", "x=f32[3", "x=f32[3,]", "x=f32[-1]", "x=f32[a]", "x=f32[1 2]"}) {
    expect_error(lazuli({"explain", "x", "--input", input}), 1, "has no shape");
  }
  expect_error(lazuli({"explain", "x", "--input", "x=f32[99999,99999]"}), 1, "is too large");
  expect_error(lazuli({"explain", "x + 1", "--input", "x=f32[9]", "--stage", "asm", "--target", "z80"}), 1,
               "z80");
}

// docs/compiler.md --------------------------------------------------------------------------------------

/// The words of a command line, of which some stand in double quotes.
std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> found;
  std::string word;
  bool quoted = false, any = false;
  for (const char c : line + " ") {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any || !word.empty()) found.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
    }
  }
  return found;
}

TEST(CompilerDocument, ShowsWhatTheCompilerDoes) {
  const std::string file = std::string(LAZULI_DOCS) + "/compiler.md";
  std::istringstream lines(test::read_file(file));
  std::string made, line;
  int commands = 0;
  while (std::getline(lines, line)) {
    made += line + "\n";
    if (line.rfind("$ lazuli ", 0) != 0) continue;
    ++commands;
    std::vector<std::string> arguments = words(line.substr(2));
    arguments.erase(arguments.begin());
    const Outcome outcome = lazuli(arguments, "", {"LAZULI_NUM_THREADS=2"});
    ASSERT_EQ(outcome.status, 0) << line << "\n" << outcome.err;
    made += outcome.out;
    while (std::getline(lines, line) && line != "```") {
    }
    made += line + "\n";
  }
  EXPECT_GE(commands, 4);
  if (std::getenv("LAZULI_UPDATE_DOCS") != nullptr) {
    test::write_file(file, made);
    return;
  }
  EXPECT_EQ(test::read_file(file), made) << "run this test with LAZULI_UPDATE_DOCS=1 to bring it up to date";
}

}  // namespace
}  // namespace lazuli::lm
