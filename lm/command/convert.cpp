#include <iostream>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <lazuli/lm/convert/convert.h>

#include <lazuli/lm/command/command.h>

namespace lazuli::command {
namespace {

struct ConvertCommandOptions {
  std::filesystem::path model;
  std::filesystem::path out;
  std::string dtype;
  bool quantize = false;
  lm::Quantization quantization;
};

void run(const ConvertCommandOptions& options) {
  lm::ConvertOptions convert;
  if (!options.dtype.empty()) convert.dtype = dtype_from_name(options.dtype);
  if (options.quantize) convert.quantization = options.quantization;
  const lm::ConvertReport report = lm::convert(options.model, options.out, convert);
  for (const std::string& notice : report.notices) std::cerr << "lazuli: note: " << notice << "\n";
  std::cerr << fmt::format("{} tensors, {} of them quantized; {:.2f} MB, {:.2f} bits per weight\n",
                           report.tensors, report.quantized, static_cast<double>(report.bytes) / 1e6,
                           report.bits_per_weight());
}

}  // namespace

void add_convert(CLI::App& app) {
  auto options = std::make_shared<ConvertCommandOptions>();
  CLI::App* command =
      app.add_subcommand("convert", "Writes a model in another dtype or quantized, for Lazuli and MLX.");
  command->add_option("--model", options->model, "Folder of the model")->type_name("DIR")->required();
  command->add_option("--out", options->out, "Folder to write, new or empty")->type_name("DIR")->required();
  command
      ->add_option("--dtype", options->dtype,
                   "Dtype of what is not quantized, and of scales; without it, as it is")
      ->type_name("NAME")
      ->check(CLI::IsMember({"float32", "float16", "bfloat16"}));
  auto* quantize =
      command->add_flag("--quantize", options->quantize, "Quantize linear layers and embeddings");
  command->add_option("--bits", options->quantization.bits, "Bits per weight")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::IsMember({2, 3, 4, 5, 6, 8}))
      ->needs(quantize);
  command
      ->add_option("--group-size", options->quantization.group_size, "Weights that share a scale and a bias")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::IsMember({32, 64, 128}))
      ->needs(quantize);
  command->callback([options] { run(*options); });
}

}  // namespace lazuli::command
