#include <fstream>
#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "../../bench/kernels/kernels.h"

#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct KernelBenchOptions {
  std::string filter;
  std::string json, chart;
  double seconds = 0.3;
  int threads = 0;
  bool check = false;
};

void write_file(const std::string& path, const std::string& text) {
  const std::string unfinished = path + ".unfinished";
  {
    std::ofstream file(unfinished, std::ios::binary);
    file << text;
    if (!file.flush()) throw std::runtime_error(fmt::format("cannot write {}", path));
  }
  std::filesystem::rename(unfinished, path);
}

void run_kernels(const KernelBenchOptions& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  bench::Table table(options.filter, options.seconds);
  bench::bench_elementwise(table);
  bench::bench_reductions(table);
  bench::bench_rows(table);
  bench::bench_movement(table);
  bench::bench_overhead(table);
  if (!options.json.empty()) write_file(options.json, table.to_json() + "\n");
  if (!options.chart.empty()) write_file(options.chart, bench::roofline_page(table.results()));
  const JitStatistics statistics = JitEngine::instance().statistics();
  print(fmt::format("{} threads; {} kernels compiled, {} loaded from disk; {} rows fall short\n",
                    num_threads(), statistics.compiled, statistics.loaded_from_disk, table.short_rows()));
  if (options.check && table.short_rows() > 0) {
    throw std::runtime_error(fmt::format("{} rows fall short of their figure", table.short_rows()));
  }
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "Measures speed against the machine's limits.");
  command->require_subcommand(1);
  auto options = std::make_shared<KernelBenchOptions>();
  CLI::App* kernels = command->add_subcommand("kernels", "Every kind of kernel, against limits and peers.");
  kernels
      ->add_option("--filter", options->filter,
                   "Only rows whose \"group/name\" this regular expression is found in")
      ->type_name("REGEX");
  kernels->add_option("--json", options->json, "Also write the table here, as JSON")->type_name("FILE");
  kernels->add_option("--chart", options->chart, "Also write a roofline chart here, as HTML")
      ->type_name("FILE");
  kernels->add_option("--seconds", options->seconds, "Time to spend on each contender of a row")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 60.0));
  kernels->add_option("--threads", options->threads, "Threads to run on; all cores by default")
      ->type_name("N");
  kernels->add_flag("--check", options->check, "Fail (exit status 1) where a row falls short of its figure");
  kernels->callback([options] { run_kernels(*options); });
}

}  // namespace lazuli::command
