#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <lazuli/compiler/profiler.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "support/child.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

namespace fs = std::filesystem;

void work() {
  // Made before anything is counted.
  static const array x = [] {
    array numbers = reshape(arange(0, 64 * 50, float32), {64, 50});
    numbers.eval();
    return numbers;
  }();
  for (int i = 0; i < 3; ++i) {
    array left = tanh(x) * 2.0f;
    left.eval();  // a kernel of its own, not the product's prologue
    array y = matmul(left, swapaxes(x, 0, 1));
    y.eval();
  }
}

const profiler::Record* find(const std::vector<profiler::Record>& records, const std::string& name) {
  for (const profiler::Record& record : records) {
    if (record.name.find(name) != std::string::npos) return &record;
  }
  return nullptr;
}

TEST(Profiler, CountsWhatRuns) {
  work();
  profiler::start();
  work();
  profiler::stop();
  work();
  const auto records = profiler::report();
  const profiler::Record* product = find(records, "matmul");
  ASSERT_NE(product, nullptr);
  EXPECT_FALSE(product->is_kernel());
  EXPECT_EQ(product->calls, 3);
  EXPECT_EQ(product->operations, 3 * 2.0 * 64 * 64 * 50);
  EXPECT_EQ(product->bytes, 3 * 4.0 * (64 * 50 + 64 * 50 + 64 * 64));
  const profiler::Record* kernel = find(records, "elementwise");
  ASSERT_NE(kernel, nullptr);
  EXPECT_TRUE(kernel->is_kernel());
  EXPECT_EQ(kernel->calls, 3);
  EXPECT_GE(kernel->bytes, 3 * 4.0 * 64 * 50) << "what it stores";
  EXPECT_GT(kernel->operations, 3 * 2.0 * 64 * 50);
  for (const profiler::Record& record : records) {
    EXPECT_GT(record.seconds, 0);
    EXPECT_GT(record.share_of_limit, 0);
  }
  const std::string table = profiler::table();
  EXPECT_NE(table.find("[host] matmul"), std::string::npos) << table;
  EXPECT_NE(table.find(kernel->name), std::string::npos) << table;

  profiler::start();
  profiler::stop();
  EXPECT_TRUE(profiler::report().empty());
}

TEST(Profiler, CountsWhatIsFusedIntoAProduct) {
  array x = astype(reshape(arange(0, 300 * 64, float32), {300, 64}), float32) / 1000.0f;
  array w = reshape(arange(0, 64 * 80, float32), {64, 80}) / 1000.0f;
  array bias = arange(0, 80, float32);
  eval(x, w, bias);
  const auto fused = compile([](const std::vector<array>& in) {
    const array norm = fast::rms_norm(in[0], std::nullopt, 1e-5f);
    return std::vector<array>{maximum(matmul(norm, in[1]) + in[2], 0.0f)};
  });
  eval(fused({x, w, bias}));
  profiler::start();
  eval(fused({x, w, bias}));
  profiler::stop();
  const auto records = profiler::report();
  ASSERT_EQ(records.size(), 1u) << profiler::table();
  const double length = sizeof(int64_t);  // of a row, by which the mean is divided
  EXPECT_EQ(records[0].bytes, 4.0 * (300 * 64 + 64 * 80 + 80 + 300 * 80) + length)
      << "nothing is stored between";
  const double product = 2.0 * 300 * 64 * 80;
  EXPECT_GE(records[0].operations, product + 2.0 * 300 * 80 + 2.0 * 300 * 64);
  EXPECT_LT(records[0].operations, product + 10.0 * 300 * 80 + 10.0 * 300 * 64);
}

TEST(Profiler, SeesWhetherKernelsAreInterpreted) {
  const array x = arange(0, 1000, float32);
  const auto is_interpreted = [&](JitMode mode) {
    const test::JitModeScope scope(mode);
    profiler::start();
    array y = sqrt(x + 12.0f);
    y.eval();
    profiler::stop();
    const auto records = profiler::report();
    return records.at(0).is_interpreted;
  };
  EXPECT_TRUE(is_interpreted(JitMode::off));
  EXPECT_FALSE(is_interpreted(JitMode::sync));
}

TEST(Profiler, EstimatesWork) {
  const kir::Kernel kernel = kir::parse(R"(kernel parallel reduce
a0 input float32 any unit
a1 input bfloat16 zero unit
a2 scratch float32 zero unit
a3 output float32 unit zero
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = mul.float32 %0, %1
  store.float32 a2, %2
  %4 = reduce_sum.float32 %2
point_block
  %5 = constant.float32 0x40000000
  %6 = fma.float32 %4, %5, %4
  store.float32 a3, %6)");
  const int64_t extents[] = {10, 7};
  const WorkEstimate estimate = estimate_work(kernel, extents);
  EXPECT_EQ(estimate.bytes, 4.0 * 70 + 2.0 * 7 + 4.0 * 10);
  EXPECT_EQ(estimate.operations, 2.0 * 70 + 2.0 * 10);
}

TEST(Profiler, WritesATrace) {
  profiler::start();
  work();
  profiler::stop();
  const fs::path file = fs::temp_directory_path() / ("lazuli-trace-" + std::to_string(getpid()) + ".json");
  profiler::write_trace(file);
  const auto trace = nlohmann::json::parse(std::ifstream(file));
  fs::remove(file);
  ASSERT_GE(trace["traceEvents"].size(), 6u);
  double before = -1;
  for (const auto& event : trace["traceEvents"]) {
    EXPECT_EQ(event["ph"], "X");
    EXPECT_GE(event["ts"].get<double>(), before);
    EXPECT_GE(event["dur"].get<double>(), 0);
    EXPECT_GT(event["args"]["bytes"].get<double>(), 0);
    before = event["ts"];
  }
  EXPECT_THROW(profiler::write_trace("/no/such/folder/x.json"), std::runtime_error);
}

TEST(ProfilerChild, Works) {
  if (!test::is_child()) GTEST_SKIP() << "runs in child processes only";
  work();
}

TEST(Profiler, IsStartedByTheEnvironment) {
  const auto run = [](const std::string& value) {
    return test::run_test_in_child("ProfilerChild.Works", {{"LAZULI_PROFILE", value}});
  };
  const test::ChildOutcome table = run("table");
  EXPECT_EQ(table.status, 0);
  EXPECT_NE(table.err.find("[host] matmul"), std::string::npos) << table.err;
  const fs::path file = fs::temp_directory_path() / ("lazuli-profile-" + std::to_string(getpid()) + ".json");
  EXPECT_EQ(run(file).status, 0);
  EXPECT_GE(nlohmann::json::parse(std::ifstream(file))["traceEvents"].size(), 6u);
  fs::remove(file);
  EXPECT_NE(run("/no/such/folder/x.json").err.find("lazuli: LAZULI_PROFILE: the trace cannot be written"),
            std::string::npos);
  EXPECT_NE(run("chart").err.find("lazuli: LAZULI_PROFILE is 'chart'"), std::string::npos);
  EXPECT_EQ(run("").err, "");
}

TEST(PerfMap, NamesKernels) {
  const test::ChildOutcome child = test::run_test_in_child(
      "ProfilerChild.Works", {{"LAZULI_PERF_MAP", "1"}, {"LAZULI_JIT", "sync"}, {"LAZULI_CACHE_DIR", ""}});
  EXPECT_EQ(child.status, 0);
  const fs::path file = "/tmp/perf-" + std::to_string(child.pid) + ".map";
  std::ifstream lines(file);
  ASSERT_TRUE(lines.is_open());
  bool has_kernel = false, has_template = false;
  std::string address, size, name;
  while (lines >> address >> size >> name) {
    EXPECT_GT(std::stoull(address, nullptr, 16), 0u);
    EXPECT_GT(std::stoull(size, nullptr, 16), 0u);
    EXPECT_EQ(name.rfind("lazuli_", 0), 0u);
    has_kernel = has_kernel || name.find("elementwise") != std::string::npos;
    has_template = has_template || name.find("gemm") != std::string::npos;
  }
  fs::remove(file);
  EXPECT_TRUE(has_kernel);
  EXPECT_TRUE(has_template);
}

}  // namespace
}  // namespace lazuli
