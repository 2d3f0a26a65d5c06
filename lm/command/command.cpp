#include <lazuli/lm/command/command.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

#include <lazuli/compiler/settings.h>

namespace lazuli::command {

void ModelOptions::add_to(CLI::App& app) {
  app.add_option("--model", directory, "Folder of the model")->type_name("DIR")->required();
  add_choices_to(app);
}

void ModelOptions::add_choices_to(CLI::App& app) {
  app.add_option("--activations", activations,
                 "Precision of activations; without it, int8 where weights are quantized, otherwise float32")
      ->type_name("NAME")
      ->check(CLI::IsMember({"float32", "bfloat16", "int8"}));
  app.add_option("--threads", threads, "Threads to compute with; without it, all cores")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  auto* bits = app.add_option("--kv-bits", kv_bits,
                              "Bits of keys and values in the cache; without it, they stay as computed")
                   ->check(CLI::IsMember({4, 8}));
  app.add_option("--kv-group-size", kv_group_size, "Elements that share a scale in a quantized cache")
      ->check(CLI::IsMember({32, 64, 128}))
      ->capture_default_str()
      ->needs(bits);
}

std::optional<lm::Activations> ModelOptions::chosen_activations() const {
  if (activations.empty()) return std::nullopt;
  return lm::activations_from_name(activations);
}

std::optional<lm::Quantization> ModelOptions::chosen_cache() const {
  if (kv_bits == 0) return std::nullopt;
  return lm::Quantization{kv_group_size, kv_bits};
}

lm::CausalModel ModelOptions::load() const {
  if (threads > 0) set_num_threads(threads);
  return lm::CausalModel::from_directory(directory, chosen_activations(), chosen_cache());
}

std::vector<std::int32_t> parse_token_ids(std::string_view text, const std::string& option) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  const auto trim = [&] {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  };
  trim();
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    trim();
  }
  std::vector<std::int32_t> ids;
  while (!text.empty()) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    const auto length = static_cast<std::size_t>(end - text.data());
    const bool complete = length == text.size() || text[length] == ',' || is_space(text[length]);
    if (error != std::errc() || !complete) {
      throw CLI::ValidationError(option, fmt::format("\"{}\" does not begin with a token id", text));
    }
    ids.push_back(id);
    text.remove_prefix(length);
    trim();
    if (text.empty()) break;
    if (text.front() != ',') continue;
    text.remove_prefix(1);
    trim();
    if (text.empty()) throw CLI::ValidationError(option, "a token id is missing behind the last comma");
  }
  return ids;
}

std::string read_text(const std::string& file) {
  if (file == "-") return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::ifstream stream(file, std::ios::binary);
  // A folder can be opened, but reading it throws.
  if (!stream || std::filesystem::is_directory(file)) {
    throw std::runtime_error(fmt::format("{} cannot be read", file));
  }
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw std::runtime_error(fmt::format("standard output cannot be written: {}", std::strerror(errno)));
  }
}

void print_json(const nlohmann::ordered_json& value) {
  print(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace lazuli::command
