#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include <lazuli/graph/export/function_file.h>
#include <lazuli/graph/export/replay.h>
#include <lazuli/graph/operation_registry.h>
#include <lazuli/lazuli.h>

#include "export_cases.h"
#include "support/settings_scope.h"

using namespace lazuli;
using namespace lazuli::test;

namespace {

using Arrays = const std::vector<array>&;

/// A file that goes with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(testing::TempDir() + "lazuli_export_" + std::to_string(getpid()) + "_" + name) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }
  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

 private:
  std::string path_;
};

FunctionFile parse(const std::string& content) {
  Ref<Buffer> memory = Buffer::allocate(content.size());
  std::memcpy(memory->data(), content.data(), content.size());
  return parse_function_file(memory);
}

std::string bits(array a) {
  array whole = contiguous(a);
  const std::byte* data = whole.data<std::byte>();
  return std::string(reinterpret_cast<const char*>(data), whole.nbytes());
}

/// Calls the original and what was imported, and compares to the bit.
void expect_same(const ExportCase& of, const ImportedFunction& imported) {
  const std::vector<array> expected = of.function(of.arguments);
  const std::vector<array> actual = imported(of.arguments);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(actual[i].shape(), expected[i].shape()) << i;
    ASSERT_EQ(actual[i].dtype(), expected[i].dtype()) << i;
    ASSERT_EQ(bits(actual[i]), bits(expected[i])) << i;
  }
}

TEST(Export, EveryOperationRoundTrips) {
  // The same code every time, so that results are the same to the bit: no kernel arrives in the midst.
  const test::JitModeScope mode(JitMode::off);
  const TemporaryFile first("first");
  const TemporaryFile second("second");
  std::set<std::string> seen;
  for (const ExportCase& of : export_cases()) {
    for (const bool shapeless : {false, true}) {
      if (shapeless && of.is_like_others) continue;
      SCOPED_TRACE(of.name + (shapeless ? " (shapeless)" : ""));
      export_function(first.path(), of.function, of.arguments, shapeless);
      const ImportedFunction imported = import_function(first.path());
      expect_same(of, imported);
      // Nothing of an operation is lost if exporting what was imported gives the same file.
      export_function(second.path(), ArgsFunction([&](const Args& args) { return imported(args); }),
                      of.arguments, shapeless);
      if (!shapeless) {
        ASSERT_EQ(first.content(), second.content());
      }
      expect_same(of, import_function(second.path()));
      for (const StoredTrace& trace : parse(first.content()).traces) {
        for (const StoredNode& node : trace.nodes) seen.insert(node.key);
      }
      if (HasFatalFailure()) return;
    }
  }
  // Whoever adds an operation adds a case.
  for (const std::string_view key : registered_operations()) {
    EXPECT_TRUE(seen.contains(std::string(key))) << key << " is in no case";
  }
}

TEST(Export, ShapelessTracesHoldForOtherExtents) {
  const TemporaryFile file("shapeless");
  const ArgsFunction function = [](const Args& a) {
    const array rows = reshape(a[0], {a[0].shape(0) * 2, a[0].shape(1) / 2});
    return std::vector<array>{softmax(rows, -1), mean(a[0], 0),
                              slice(a[0], {1, 0}, {a[0].shape(0), a[0].shape(1)})};
  };
  export_function(file.path(), function, {make_numbers({3, 4})}, true);
  const ImportedFunction imported = import_function(file.path());
  const auto expect_for = [&](const Shape& shape) {
    const array x = make_numbers(shape);
    const auto actual = imported({x});
    const auto expected = function({x});
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(actual[i].shape(), expected[i].shape());
      EXPECT_EQ(bits(actual[i]), bits(expected[i]));
    }
  };
  expect_for({3, 4});
  expect_for({5, 8});
  expect_for({2, 100});
  // Within another function that is traced its extents stay symbols.
  CompiledFunction compiled = compile(ArrayFunction([&](Arrays a) { return imported(a); }));
  for (const Shape& shape : {Shape{3, 4}, Shape{5, 8}, Shape{9, 6}}) {
    const array x = make_numbers(shape);
    // Compiled, it is fused in another way.
    EXPECT_TRUE(allclose(compiled({x})[0], function({x})[0], 1e-6, 1e-6).item<bool>());
  }
  EXPECT_EQ(compiled.trace_count(), 1);
  // The function wants an even width; a width of 1 is another case.
  EXPECT_THROW(imported({make_numbers({3, 5})}), std::invalid_argument);
  EXPECT_THROW(imported({make_numbers({1, 4})}), std::invalid_argument);
  EXPECT_THROW(imported({make_numbers({4})}), std::invalid_argument);
}

TEST(Export, CustomTransformsStayBehind) {
  const TemporaryFile file("custom");
  const ArrayFunction f = custom_vjp(
      [](Arrays in) { return std::vector<array>{in[0] * in[0]}; },
      [](Arrays, Arrays cotangents, Arrays) { return std::vector<array>{cotangents[0] * 100.0f}; });
  const array x = make({1, 2, 3}, {3});
  expect_array(vjp(f, {x}, {ones({3})}).second[0], {3}, float32, {100, 100, 100});
  export_function(file.path(), ArgsFunction([&](const Args& args) { return f(args); }), {x});
  const ImportedFunction imported = import_function(file.path());
  expect_array(imported({x})[0], {3}, float32, {1, 4, 9});
  const ArrayFunction of_file = [&](Arrays in) { return imported(in); };
  expect_array(vjp(of_file, {x}, {ones({3})}).second[0], {3}, float32, {2, 4, 6});
}

TEST(Export, SeveralTracesShareConstants) {
  const TemporaryFile file("several");
  const array weight = make_numbers({100, 100});
  const ArgsFunction function = [weight](const Args& a) {
    return std::vector<array>{a.size() == 2 ? matmul(a[0], weight) + a[1] : matmul(a[0], weight)};
  };
  {
    FunctionExporter traces = exporter(file.path(), function, false, {{"made by", "a test"}});
    traces({make_numbers({1, 100})});
    traces({make_numbers({2, 100})});
    traces({make_numbers({2, 100}), array(1.0f)});
    EXPECT_THROW(traces({make_numbers({2, 100})}), std::invalid_argument);
  }
  EXPECT_LT(file.content().size(), 2 * weight.nbytes());
  const ImportedFunction imported = import_function(file.path());
  EXPECT_EQ(imported.trace_count(), 3u);
  EXPECT_EQ(imported.metadata().at("made by"), "a test");
  EXPECT_EQ(imported({make_numbers({1, 100})})[0].shape(), (Shape{1, 100}));
  EXPECT_EQ(bits(imported({make_numbers({2, 100}), array(1.0f)})[0]),
            bits(function({make_numbers({2, 100}), array(1.0f)})[0]));
  try {
    imported({make_numbers({3, 100})});
    FAIL();
  } catch (const std::invalid_argument& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("no trace for (float32(3,100))"), std::string::npos) << text;
    EXPECT_NE(text.find("(float32(2,100), float32())"), std::string::npos) << text;
  }
}

TEST(Export, Keywords) {
  const TemporaryFile file("keywords");
  const array x = make_numbers({3});
  export_function(file.path(),
                  KwargsFunction([](const Kwargs& a) { return std::vector<array>{a.at("x") - a.at("y")}; }),
                  {{"x", x}, {"y", array(1.0f)}});
  ImportedFunction imported = import_function(file.path());
  EXPECT_EQ(bits(imported({{"y", array(1.0f)}, {"x", x}})[0]), bits(x - array(1.0f)));
  EXPECT_THROW(imported({{"x", x}}), std::invalid_argument);
  EXPECT_THROW(imported({{"x", x}, {"z", array(1.0f)}}), std::invalid_argument);
  EXPECT_THROW(imported(Args{x, array(1.0f)}), std::invalid_argument);
  export_function(file.path(), ArgsKwargsFunction([](const Args& a, const Kwargs& b) {
                    return std::vector<array>{a[0] * b.at("scale")};
                  }),
                  {x}, {{"scale", array(2.0f)}});
  EXPECT_EQ(bits(import_function(file.path())({x}, {{"scale", array(3.0f)}})[0]), bits(x * 3.0f));
}

TEST(Export, WhatIsImportedIsDifferentiated) {
  const TemporaryFile file("gradient");
  const array x = between(0.5, 2, {4});
  export_function(file.path(), ArgsFunction([](const Args& a) {
                    return std::vector<array>{sum(sin(a[0]) * stop_gradient(a[0]))};
                  }),
                  {x}, true);
  const ImportedFunction imported = import_function(file.path());
  const array gradient =
      grad(std::function<array(const array&)>([&](const array& a) { return imported({a})[0]; }))(x);
  EXPECT_EQ(bits(gradient), bits(cos(x) * x));
}

TEST(Export, WhatCannotBeExported) {
  const TemporaryFile file("none");
  const array x = make_numbers({3});
  const auto export_of = [&](const ArgsFunction& function) { export_function(file.path(), function, {x}); };
  EXPECT_THROW(export_of([](const Args& a) {
                 a[0].item<float>();
                 return a;
               }),
               std::exception);
  EXPECT_THROW(export_of([](const Args&) -> std::vector<array> { throw std::domain_error("own"); }),
               std::domain_error);
  EXPECT_FALSE(std::filesystem::exists(file.path()));
  EXPECT_THROW(
      export_function(file.path() + "/no/folder", ArgsFunction([](const Args& a) { return a; }), {x}),
      std::runtime_error);
  const CompiledFunction inside = compile(ArrayFunction([&](Arrays a) {
    export_function(file.path(), ArgsFunction([](const Args& b) { return b; }), a);
    return a;
  }));
  EXPECT_THROW(inside({x}), std::invalid_argument);
}

TEST(Export, CallbacksAreTold) {
  std::vector<ExportCallbackInput> told;
  export_function([&](const ExportCallbackInput& entry) { told.push_back(entry); },
                  ArgsKwargsFunction([](const Args& a, const Kwargs& b) {
                    return std::vector<array>{sum(a[0] * b.at("y") + make_numbers({3}), 0)};
                  }),
                  {make_numbers({2, 3})}, {{"y", array(2.0f)}});
  const auto text = [](const ExportCallbackInput& entry, const char* key) {
    return std::get<std::string>(entry.at(key));
  };
  using Described = std::vector<std::tuple<std::string, Shape, Dtype>>;
  ASSERT_EQ(told.size(), 8u);
  EXPECT_EQ(text(told[0], "type"), "inputs");
  EXPECT_EQ(std::get<Described>(told[0].at("inputs")).size(), 2u);
  EXPECT_EQ(text(told[1], "type"), "keyword_inputs");
  EXPECT_EQ((std::get<std::vector<std::pair<std::string, std::string>>>(told[1].at("keywords"))),
            (std::vector<std::pair<std::string, std::string>>{{"y", "B"}}));
  EXPECT_EQ(
      (std::get<std::vector<std::pair<std::string, array>>>(told[2].at("constants")).at(0).second.shape()),
      (Shape{3}));
  EXPECT_EQ(text(told[3], "name"), "multiply");
  EXPECT_EQ(text(told[4], "name"), "add");
  EXPECT_EQ(text(told[5], "name"), "reduce_sum");
  const auto& arguments = std::get<std::vector<StateT>>(told[5].at("arguments"));
  EXPECT_EQ(std::get<std::vector<int>>(arguments.at(0)), std::vector<int>{0});
  EXPECT_EQ(std::get<Dtype>(arguments.at(1)), float32);
  EXPECT_EQ(text(told[7], "type"), "outputs");
  EXPECT_EQ(std::get<1>(std::get<Described>(told[7].at("outputs")).at(0)), (Shape{3}));
}

class BrokenFunctionFiles : public testing::Test {
 protected:
  BrokenFunctionFiles() : file_("broken") {
    export_function(file_.path(), ArgsFunction([](const Args& a) {
                      return std::vector<array>{matmul(reshape(a[0], {-1, 4}), make_numbers({4, 2}))};
                    }),
                    {make_numbers({6, 2})}, true, {{"key", "value"}});
    whole_ = file_.content();
  }
  std::string error_of(const std::string& content) {
    file_.write(content);
    try {
      import_function(file_.path());
    } catch (const std::runtime_error& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.rfind("[import_function] " + file_.path() + ": ", 0), 0u);
      return text;
    }
    return "";
  }
  TemporaryFile file_;
  std::string whole_;
};

TEST_F(BrokenFunctionFiles, AreRefused) {
  EXPECT_EQ(error_of(whole_), "");
  EXPECT_NE(error_of("").find("not a file of exported functions"), std::string::npos);
  EXPECT_NE(error_of("lazulixx" + whole_.substr(8)).find("not a file of"), std::string::npos);
  EXPECT_NE(error_of(whole_.substr(0, 20)).find("cut short"), std::string::npos);
  std::string newer = whole_;
  newer[8] = 2;
  EXPECT_NE(error_of(newer).find("version 2 of the format, the newest known is 1"), std::string::npos);
  for (size_t size = 8; size < whole_.size(); size += 7) {
    EXPECT_NE(error_of(whole_.substr(0, size)), "") << size;
  }
  for (size_t at = 0; at < whole_.size(); at += 5) {
    std::string damaged = whole_;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_NE(error_of(damaged), "") << at;
  }
}

/// Damage with the right checksum: import may fail or give a function, but nothing worse.
TEST_F(BrokenFunctionFiles, WithoutChecksumDoNoHarm) {
  std::mt19937 random(11);
  int imported = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole_;
    for (unsigned i = 0; i <= random() % 3; ++i) {
      const size_t at = 32 + random() % (damaged.size() - 32);
      damaged[at] = random() % 2 == 0 ? static_cast<char>(random()) : static_cast<char>(damaged[at] + 1);
    }
    Ref<Buffer> memory = Buffer::allocate(damaged.size());
    std::memcpy(memory->data(), damaged.data(), damaged.size());
    try {
      const FunctionFile file = parse_function_file_unchecked(memory);
      for (const StoredTrace& trace : file.traces) check_trace(trace, file.constants);
      ++imported;
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_GT(imported, 0);
}

TEST(ExportToDot, ShowsWhatIsToBeComputed) {
  const array a = make_numbers({2, 3});
  const array b = exp(a) + a;
  NodeNamer namer;
  namer.set_name(a, "input \"a\"");
  std::ostringstream os;
  export_to_dot(os, namer, {b});
  const std::string text = os.str();
  EXPECT_EQ(text,
            "digraph {\n"
            "  { rank=source; \"input \\\"a\\\"\" [tooltip=\"float32 (2,3)\"]; }\n"
            "  { 0 [label=\"exp\", shape=rectangle, tooltip=\"exp\"]; }\n"
            "  \"input \\\"a\\\"\" -> 0\n"
            "  { \"B\" [tooltip=\"float32 (2,3)\"]; }\n"
            "  0 -> \"B\"\n"
            "  { 1 [label=\"add\", shape=rectangle, tooltip=\"add\"]; }\n"
            "  \"B\" -> 1\n"
            "  \"input \\\"a\\\"\" -> 1\n"
            "  { \"C\" [tooltip=\"float32 (2,3)\"]; }\n"
            "  1 -> \"C\"\n"
            "  { rank=sink; \"C\"; }\n"
            "}\n");
  std::ostringstream lines;
  print_graph(lines, b);
  EXPECT_EQ(lines.str(),
            "Inputs: A [float32 (2,3)]\n"
            "Outputs: B [float32 (2,3)]\n"
            "exp A [float32 (2,3)] -> C [float32 (2,3)]\n"
            "add C [float32 (2,3)], A [float32 (2,3)] -> B [float32 (2,3)]\n");
}

}  // namespace
