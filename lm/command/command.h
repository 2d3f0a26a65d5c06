#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <lazuli/lm/model/causal_model.h>

namespace lazuli::command {

// Each adds its subcommand, whose work is done while the arguments are parsed. Failures are exceptions:
// CLI::ParseError for wrong usage, anything else for all that can go wrong at work.
void add_generate(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_logits(CLI::App& app);
void add_perplexity(CLI::App& app);
void add_convert(CLI::App& app);
void add_bench(CLI::App& app);
void add_cache(CLI::App& app);
void add_explain(CLI::App& app);

/// What all subcommands that run a model take.
struct ModelOptions {
  std::filesystem::path directory;
  std::string activations;
  int threads = 0;
  int kv_bits = 0;  ///< 0: keys and values as they are
  int kv_group_size = 64;

  void add_to(CLI::App& app);
  /// The options that say how a model computes, without its folder.
  void add_choices_to(CLI::App& app);
  std::optional<lm::Activations> chosen_activations() const;
  std::optional<lm::Quantization> chosen_cache() const;
  lm::CausalModel load() const;
};

/// Token ids written as "1,2,3", "1 2 3" or "[1, 2, 3]". Throws CLI::ValidationError, which names `option`.
std::vector<std::int32_t> parse_token_ids(std::string_view text, const std::string& option);
/// All of a file, or of standard input for "-".
std::string read_text(const std::string& file);
/// Writes to standard output at once; throws std::runtime_error where that fails.
void print(std::string_view text);
/// One line of JSON.
void print_json(const nlohmann::ordered_json& value);

}  // namespace lazuli::command
