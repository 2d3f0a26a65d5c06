#include <memory>

#include <lazuli/lm/tokenizer/tokenizer.h>

#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct TokenizeOptions {
  std::filesystem::path directory;
  bool no_special_tokens = false;
  bool decode = false;
  std::string text = "-";
};

void run(const TokenizeOptions& options) {
  const lm::Tokenizer tokenizer = lm::Tokenizer::from_directory(options.directory);
  const std::string text = options.text == "-" ? read_text("-") : options.text;
  if (options.decode) {
    print(tokenizer.decode(parse_token_ids(text, "TEXT"), options.no_special_tokens) + "\n");
  } else {
    print_json(tokenizer.encode(text, !options.no_special_tokens));
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command =
      app.add_subcommand("tokenize", "Prints the token ids of a text as a JSON list, or the reverse.");
  command->add_option("--model", options->directory, "Folder of the model")->type_name("DIR")->required();
  command->add_flag("--no-special-tokens", options->no_special_tokens,
                    "Add no special tokens; with --decode, leave them out");
  command->add_flag("--decode", options->decode, "Print the text of token ids, such as 1,2,3 or [1, 2, 3]");
  command->add_option("text", options->text, "Text, or ids to decode; \"-\" or nothing reads standard input")
      ->type_name("TEXT");
  command->callback([options] { run(*options); });
}

}  // namespace lazuli::command
