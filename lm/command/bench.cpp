#include <fstream>
#include <iostream>
#include <memory>
#include <regex>

#include <fmt/format.h>

#include "../../bench/kernels/kernels.h"
#include "../../bench/model/model_bench.h"
#include "../../bench/model/random_model.h"

#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct KernelBenchOptions {
  std::string filter;
  std::string json, chart, markdown;
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
  bench::bench_indexing(table);
  bench::bench_random(table);
  bench::bench_sorting(table);
  bench::bench_linalg(table);
  bench::bench_cumulative(table);
  bench::bench_matmul(table);
  bench::bench_convolution(table);
  bench::bench_quantized_matmul(table);
  bench::bench_fused_products(table);
  bench::bench_fft(table);
  bench::bench_attention(table);
  bench::bench_memory(table);
  bench::bench_overhead(table);
  if (!options.json.empty()) write_file(options.json, table.to_json() + "\n");
  if (!options.chart.empty()) write_file(options.chart, bench::roofline_page(table.results()));
  if (!options.markdown.empty()) {
    write_file(options.markdown, bench::markdown_table(table.results(), table.stated()));
  }
  const JitStatistics statistics = JitEngine::instance().statistics();
  print(fmt::format("{} threads; {} kernels compiled, {} loaded from disk; {} rows fall short\n",
                    num_threads(), statistics.compiled, statistics.loaded_from_disk, table.short_rows()));
  if (options.check && table.short_rows() > 0) {
    throw std::runtime_error(fmt::format("{} rows fall short of their figure", table.short_rows()));
  }
}

struct ModelBenchCommandOptions {
  ModelOptions model;
  std::string random;
  int bits = 4;
  bench::ModelBenchOptions run;
  bool json = false, check = false;
};

/// What a figure has to be, and whether it is.
struct Figure {
  std::string name;
  double value, wanted;
  bool at_most = false;
  bool met() const { return wanted <= 0 || (at_most ? value <= wanted : value >= wanted); }
};

std::vector<Figure> figures_of(const bench::ModelBenchResult& result, const lm::CausalModel& model,
                               const bench::ModelBenchOptions& run) {
  const std::optional<lm::Quantization>& quantization = model.config().quantization;
  const double decode = run.depth >= 2048 ? 0.80 : quantization && quantization->bits == 4 ? 0.85 : 0.90;
  const bool counts_prefill = model.activations() == lm::Activations::int8 && run.prompt >= 128;
  return {{"decode_share", result.decode_share, decode},
          {"prefill_share", result.prefill_share, counts_prefill ? 0.55 : 0},
          {"extra_megabytes", result.extra_bytes * 1e-6, 100, true},
          {"compiled_while_decoding", static_cast<double>(result.compiled_while_decoding), 0.5, true},
          {"traces_while_decoding", static_cast<double>(result.traces_while_decoding), 0.5, true}};
}

void print_result_json(const bench::ModelBenchResult& result, const std::vector<Figure>& figures,
                       const bench::ModelBenchOptions& run) {
  nlohmann::ordered_json json{{"prompt_tokens", run.prompt},
                              {"generation_tokens", run.generate},
                              {"depth", run.depth},
                              {"threads", num_threads()},
                              {"prompt_tokens_per_second", result.prefill_tokens_per_second},
                              {"generation_tokens_per_second", result.decode_tokens_per_second},
                              {"time_to_first_token", result.time_to_first_token},
                              {"read_bandwidth", result.read_bandwidth},
                              {"arithmetic_peak", result.arithmetic_peak},
                              {"weight_bytes", result.weight_bytes},
                              {"cache_bytes", result.cache_bytes},
                              {"peak_memory_bytes", result.peak_bytes},
                              {"decode_kernels", result.kernels},
                              {"traces", result.traces}};
  for (const bench::DecodePart& part : result.decode_parts) {
    json["decode_parts"].push_back({{"name", part.name}, {"calls", part.calls}, {"seconds", part.seconds}});
  }
  for (const Figure& figure : figures) json[figure.name] = figure.value;
  print_json(json);
}

void print_result(const bench::ModelBenchResult& result, const std::vector<Figure>& figures) {
  print(fmt::format(
      "decode   {:8.1f} tokens/s  {:5.1f} % of the read bandwidth ({:.1f} GB/s), {} kernels a step\n"
      "prefill  {:8.1f} tokens/s  {:5.1f} % of the arithmetic peak ({:.0f} GOP/s), first token after "
      "{:.3f} s\n"
      "memory   {:8.1f} MB at most; a step reads {:.1f} MB of weights, the cache is {:.1f} MB, {:.1f} MB "
      "beyond the two\n"
      "traces   {} in all, {} while decoding; {} kernels compiled while decoding\n",
      result.decode_tokens_per_second, 100 * result.decode_share, result.read_bandwidth * 1e-9,
      result.kernels, result.prefill_tokens_per_second, 100 * result.prefill_share,
      result.arithmetic_peak * 1e-9, result.time_to_first_token, result.peak_bytes * 1e-6,
      result.weight_bytes * 1e-6, result.cache_bytes * 1e-6, result.extra_bytes * 1e-6, result.traces,
      result.traces_while_decoding, result.compiled_while_decoding));
  print("a decode step spends\n");
  constexpr double least_share = 0.01;
  double shown = 0;
  for (const bench::DecodePart& part : result.decode_parts) {
    if (part.seconds < least_share * result.decode_seconds) break;
    print(fmt::format("  {:5.1f} %  {:4} x {}\n", 100 * part.seconds / result.decode_seconds, part.calls,
                      part.name));
    shown += part.seconds;
  }
  print(fmt::format("  {:5.1f} %  the rest\n", 100 * (1 - shown / result.decode_seconds)));
  for (const Figure& figure : figures) {
    if (figure.met()) continue;
    print(fmt::format("SHORT: {} is {:.3g}, wanted {} {:.3g}\n", figure.name, figure.value,
                      figure.at_most ? "at most" : "at least", figure.wanted));
  }
}

void run_model(const ModelBenchCommandOptions& options) {
  if (options.model.directory.empty() == options.random.empty()) {
    throw CLI::ValidationError("bench", "give either --model or --random, or the subcommand kernels");
  }
  if (options.model.threads > 0) set_num_threads(options.model.threads);
  const bool random = !options.random.empty();
  const lm::CausalModel model =
      random ? bench::random_model(options.random, options.bits, options.model.chosen_activations(),
                                   options.model.chosen_cache())
             : options.model.load();
  const double weight_bytes = random ? bench::weight_bytes(model.config(), options.bits)
                                     : bench::weight_bytes_of_folder(options.model.directory);
  const bench::ModelBenchResult result = bench::bench_model(model, weight_bytes, options.run);
  const std::vector<Figure> figures = figures_of(result, model, options.run);
  if (options.json) {
    print_result_json(result, figures, options.run);
  } else {
    print_result(result, figures);
  }
  int missed = 0;
  for (const Figure& figure : figures) missed += figure.met() ? 0 : 1;
  if (options.check && missed > 0) throw std::runtime_error(fmt::format("{} figures fall short", missed));
}

/// What is wrong with a regular expression; nothing if it is one.
std::string regular_expression(const std::string& text) {
  try {
    const std::regex expression(text);
    return {};
  } catch (const std::regex_error& error) {
    return fmt::format("\"{}\" is no regular expression: {}", text, error.what());
  }
}

void add_model_options(CLI::App& command, const std::shared_ptr<ModelBenchCommandOptions>& options) {
  command.add_option("--model", options->model.directory, "Model folder")->type_name("DIR");
  command
      .add_option("--random", options->random,
                  "Weights made up in memory, in the shape of a well-known model")
      ->check(CLI::IsMember(bench::random_model_names()));
  command.add_option("--bits", options->bits, "Bits of a made-up weight; 16 is bfloat16")
      ->check(CLI::IsMember({2, 3, 4, 5, 6, 8, 16}))
      ->capture_default_str();
  options->model.add_choices_to(command);
  command.add_option("-p,--prompt", options->run.prompt, "Tokens of the prompt")
      ->check(CLI::Range(0, 1 << 17))
      ->capture_default_str();
  command.add_option("-n,--generate", options->run.generate, "Tokens to decode")
      ->check(CLI::Range(1, 1 << 17))
      ->capture_default_str();
  command.add_option("--depth", options->run.depth, "Tokens in the cache before the prompt")
      ->check(CLI::Range(0, 1 << 17))
      ->capture_default_str();
  command.add_flag("--json", options->json, "One JSON object instead of text");
  command.add_flag("--check", options->check, "Fail (exit status 1) where a figure falls short");
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "Measures speed against the machine's limits.");
  auto model = std::make_shared<ModelBenchCommandOptions>();
  add_model_options(*command, model);

  auto options = std::make_shared<KernelBenchOptions>();
  CLI::App* kernels = command->add_subcommand("kernels", "Every kind of kernel, against limits and peers.");
  kernels
      ->add_option("--filter", options->filter,
                   "Only rows whose \"group/name\" this regular expression is found in")
      ->type_name("REGEX")
      ->check(regular_expression);
  kernels->add_option("--json", options->json, "Also write the table here, as JSON")->type_name("FILE");
  kernels->add_option("--chart", options->chart, "Also write a roofline chart here, as HTML")
      ->type_name("FILE");
  kernels->add_option("--markdown", options->markdown, "Also write the table here, as Markdown")
      ->type_name("FILE");
  kernels->add_option("--seconds", options->seconds, "Time to spend on each contender of a row")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 60.0));
  kernels->add_option("--threads", options->threads, "Threads to run on; all cores by default")
      ->type_name("N");
  kernels->add_flag("--check", options->check, "Fail (exit status 1) where a row falls short of its figure");
  kernels->callback([options] { run_kernels(*options); });
  command->callback([command, model] {
    if (command->get_subcommands().empty()) run_model(*model);
  });
}

}  // namespace lazuli::command
