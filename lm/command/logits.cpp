#include <memory>
#include <unordered_map>

#include <lazuli/array/io/safetensors.h>

#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct LogitsOptions {
  ModelOptions model;
  std::string prompt_ids;
  std::filesystem::path out;
};

void run(const LogitsOptions& options) {
  const std::vector<std::int32_t> ids = parse_token_ids(options.prompt_ids, "--prompt-ids");
  const lm::CausalModel model = options.model.load();
  lm::KvCache cache = model.make_cache();
  save_safetensors(options.out.string(), {{"logits", model.all_logits(ids, cache)}});
}

}  // namespace

void add_logits(CLI::App& app) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command =
      app.add_subcommand("logits", "Writes the logits after each token of a prompt to a file.");
  options->model.add_to(*command);
  command->add_option("--prompt-ids", options->prompt_ids, "Token ids, such as 1,2,3")
      ->type_name("IDS")
      ->required();
  command->add_option("--out", options->out, "File for \"logits\", float32 of shape (tokens, vocabulary)")
      ->type_name("FILE.safetensors")
      ->required();
  command->callback([options] { run(*options); });
}

}  // namespace lazuli::command
