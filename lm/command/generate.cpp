#include <iostream>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <lazuli/lm/chat/chat_template.h>
#include <lazuli/lm/generate/generate.h>

#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct GenerateOptions {
  ModelOptions model;
  std::optional<std::string> prompt;
  std::optional<std::string> prompt_ids;
  bool chat = false;
  bool json = false;
  lm::GenerationOptions generation;
};

std::vector<std::int32_t> encode_prompt(const GenerateOptions& options, const lm::Tokenizer& tokenizer) {
  if (options.prompt_ids) return parse_token_ids(*options.prompt_ids, "--prompt-ids");
  if (!options.chat) return tokenizer.encode(*options.prompt);
  lm::ChatInput input;
  input.messages.push_back({{"role", "user"}, {"content", *options.prompt}});
  input.add_generation_prompt = true;
  // The template writes the special tokens itself.
  return tokenizer.encode(lm::ChatTemplate::from_directory(options.model.directory).render(input), false);
}

void print_statistics(const lm::GenerationStatistics& statistics) {
  std::cerr << fmt::format(
      "prompt: {} tokens, {:.1f} tokens/s\n"
      "generation: {} tokens, {:.1f} tokens/s\n"
      "peak memory: {:.1f} MB\n",
      statistics.prompt_tokens, statistics.prompt_tokens_per_second(), statistics.generation_tokens,
      statistics.generation_tokens_per_second(), static_cast<double>(statistics.peak_memory_bytes) / 1e6);
}

nlohmann::ordered_json to_json(const lm::GenerationResult& result,
                               const std::vector<std::int32_t>& prompt_ids) {
  const lm::GenerationStatistics& statistics = result.statistics;
  return {{"text", result.text},
          {"token_ids", result.token_ids},
          {"prompt_ids", prompt_ids},
          {"finish_reason", result.finish_reason == lm::FinishReason::stop ? "stop" : "length"},
          {"prompt_tokens", statistics.prompt_tokens},
          {"prompt_tokens_per_second", statistics.prompt_tokens_per_second()},
          {"generation_tokens", statistics.generation_tokens},
          {"generation_tokens_per_second", statistics.generation_tokens_per_second()},
          {"peak_memory_bytes", statistics.peak_memory_bytes}};
}

void run(const GenerateOptions& options) {
  const lm::Tokenizer tokenizer = lm::Tokenizer::from_directory(options.model.directory);
  const std::vector<std::int32_t> prompt_ids = encode_prompt(options, tokenizer);
  const lm::CausalModel model = options.model.load();
  if (options.json) {
    print_json(to_json(lm::generate(model, tokenizer, prompt_ids, options.generation), prompt_ids));
    return;
  }
  const lm::GenerationResult result = lm::generate(model, tokenizer, prompt_ids, options.generation, print);
  print("\n");
  print_statistics(result.statistics);
}

}  // namespace

void add_generate(CLI::App& app) {
  auto options = std::make_shared<GenerateOptions>();
  lm::GenerationOptions& generation = options->generation;
  CLI::App* command = app.add_subcommand("generate", "Continues a prompt.");
  options->model.add_to(*command);
  auto* prompt = command->add_option_group("Prompt", "What to continue: exactly one of these");
  prompt->add_option("--prompt", options->prompt, "Text to continue")->type_name("TEXT");
  prompt->add_option("--prompt-ids", options->prompt_ids, "Token ids to continue, such as 1,2,3")
      ->type_name("IDS");
  prompt->require_option(1);
  command
      ->add_flag("--chat", options->chat, "The prompt is a user's message; the model's chat template applies")
      ->excludes("--prompt-ids");
  command->add_option("--max-tokens", generation.max_tokens, "Tokens to generate at most")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--temp", generation.sampling.temperature, "Temperature; 0 takes the most probable token")
      ->type_name("T")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--top-p", generation.sampling.top_p,
                   "Probability that the tokens drawn from have together")
      ->type_name("P")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--top-k", generation.sampling.top_k, "How many tokens to draw from; 0 for all")
      ->type_name("K")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--min-p", generation.sampling.min_p,
                   "Least probability, relative to that of the most probable token")
      ->type_name("P")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", generation.sampling.seed, "Makes sampling repeatable")->type_name("S");
  command->add_option("--stop", generation.stop, "Texts that end the generation")->type_name("TEXT");
  command->add_flag("--json", options->json, "Print one JSON object with text, ids and statistics");
  command->callback([options] { run(*options); });
}

}  // namespace lazuli::command
