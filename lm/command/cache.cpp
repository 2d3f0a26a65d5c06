#include <memory>

#include <fmt/format.h>

#include <lazuli/compiler/llvm/jit.h>

#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

constexpr double megabyte = 1024.0 * 1024.0;

void show(bool as_json) {
  const DiskCacheInfo info = JitEngine::instance().disk_info();
  if (as_json) {
    print_json({{"directory", info.directory.string()},
                {"entries", info.entries},
                {"bytes", info.bytes},
                {"limit", info.limit}});
  } else if (info.directory.empty()) {
    print("Compiled kernels are not kept on disk (LAZULI_CACHE_DIR is empty).\n");
  } else {
    print(fmt::format("{}\n{} compiled kernels, {:.1f} MB of at most {:.0f} MB\n", info.directory.string(),
                      info.entries, static_cast<double>(info.bytes) / megabyte,
                      static_cast<double>(info.limit) / megabyte));
  }
}

void clear() {
  const uint64_t removed = JitEngine::instance().clear_disk();
  print(fmt::format("{} files removed\n", removed));
}

}  // namespace

void add_cache(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "cache",
      "Shows or empties the cache of compiled kernels on disk (see LAZULI_CACHE_DIR, LAZULI_CACHE_LIMIT).");
  command->require_subcommand(0, 1);
  auto as_json = std::make_shared<bool>(false);
  CLI::App* info = command->add_subcommand("info", "Its folder, entries, bytes and limit; the default.");
  info->add_flag("--json", *as_json, "As one line of JSON");
  info->callback([as_json] { show(*as_json); });
  command->add_subcommand("clear", "Removes all entries. Programs that run compile anew what they need.")
      ->callback([] { clear(); });
  command->callback([command] {
    if (command->get_subcommands().empty()) show(false);
  });
}

}  // namespace lazuli::command
