#include <exception>
#include <iostream>

#include <fmt/format.h>

#include <lazuli/lm/command/command.h>

namespace {

enum ExitStatus { kSuccess = 0, kFailure = 1, kUsage = 2 };

int fail(ExitStatus status, const std::string& message) {
  std::cerr << "lazuli: error: " << message << std::endl;
  return status;
}

int run(int argc, char** argv) {
  CLI::App app("Runs language models through Lazuli's graph compiler.", "lazuli");
  app.set_version_flag("--version", "lazuli " LAZULI_VERSION);
  // Not required by CLI11, which would then not name an unknown one.
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(34);
  lazuli::command::add_generate(app);
  lazuli::command::add_tokenize(app);
  lazuli::command::add_logits(app);
  lazuli::command::add_perplexity(app);
  lazuli::command::add_convert(app);
  lazuli::command::add_bench(app);
  lazuli::command::add_cache(app);
  lazuli::command::add_explain(app);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) throw CLI::RequiredError("A subcommand");
    return kSuccess;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string place = "lazuli";
    for (const CLI::App* subcommand : app.get_subcommands()) place += " " + subcommand->get_name();
    return fail(kUsage, fmt::format("{}\nRun \"{} --help\" for more.", error.what(), place));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return fail(kFailure, error.what());
  }
}
