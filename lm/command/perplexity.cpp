#include <unistd.h>

#include <iostream>
#include <memory>

#include <fmt/format.h>

#include <lazuli/lm/evaluate/perplexity.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct PerplexityCommandOptions {
  ModelOptions model;
  std::string file;
  lm::PerplexityOptions evaluation;
  bool json = false;
};

void run(const PerplexityCommandOptions& options) {
  const std::string text = read_text(options.file);
  const lm::Tokenizer tokenizer = lm::Tokenizer::from_directory(options.model.directory);
  const lm::CausalModel model = options.model.load();
  const bool watched = isatty(STDERR_FILENO) != 0;
  const auto show = [&](const lm::PerplexityResult& so_far) {
    if (watched)
      std::cerr << fmt::format("\rwindow {}: {:.4f} ", so_far.windows, so_far.mean_nll) << std::flush;
  };
  const lm::PerplexityResult result =
      lm::perplexity(model, tokenizer.encode(text, false), options.evaluation, show);
  if (watched) std::cerr << "\r\x1b[K";
  if (options.json) {
    print_json({{"mean_nll", result.mean_nll},
                {"perplexity", result.perplexity()},
                {"windows", result.windows},
                {"window", options.evaluation.window},
                {"scored_tokens", result.scored_tokens}});
  } else {
    print(
        fmt::format("mean negative log-likelihood {:.6f}, perplexity {:.4f} ({} windows, {} tokens scored)\n",
                    result.mean_nll, result.perplexity(), result.windows, result.scored_tokens));
  }
}

}  // namespace

void add_perplexity(CLI::App& app) {
  auto options = std::make_shared<PerplexityCommandOptions>();
  CLI::App* command = app.add_subcommand("perplexity", "Measures how well a model predicts a text.");
  options->model.add_to(*command);
  command->add_option("--file", options->file, "Text file; \"-\" reads standard input")
      ->type_name("TEXT")
      ->required();
  command->add_option("--window", options->evaluation.window, "Tokens in a window; each is scored on its own")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  command
      ->add_option("--max-windows", options->evaluation.max_windows,
                   "Windows to score at most; without it, all")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 30));
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { run(*options); });
}

}  // namespace lazuli::command
