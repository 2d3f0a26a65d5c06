#include <lazuli/lm/convert/convert.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/safetensors.h>
#include <lazuli/lm/convert/quantizer.h>
#include <lazuli/lm/model/weights.h>
#include <lazuli/ops/ops.h>

namespace lazuli::lm {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// What one file of weights holds at most: it is put together in memory.
constexpr std::int64_t kShardBytes = std::int64_t{4} << 30;

/// Files that go along with the weights, as they are.
constexpr const char* kCompanions[] = {"generation_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "tokenizer.model",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "vocab.json",
                                       "merges.txt",
                                       "vocab.txt",
                                       "chat_template.jinja",
                                       "chat_template.json"};

/// A folder that goes away again, unless it is given its name.
class UnfinishedFolder {
 public:
  explicit UnfinishedFolder(fs::path target) : target_(std::move(target)) {
    const fs::path parent = target_.parent_path();
    if (!parent.empty()) fs::create_directories(parent);
    path_ = parent / fmt::format(".{}.{}.partial", target_.filename().string(), ::getpid());
    fs::remove_all(path_);
    fs::create_directory(path_);
  }
  ~UnfinishedFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  UnfinishedFolder(const UnfinishedFolder&) = delete;
  UnfinishedFolder& operator=(const UnfinishedFolder&) = delete;

  const fs::path& path() const { return path_; }
  void finish() {
    fs::rename(path_, target_);  // also onto an empty folder
    path_.clear();
  }

 private:
  fs::path target_;
  fs::path path_;
};

/// A tensor of the model and what becomes of it.
struct Conversion {
  std::string name;
  array tensor;
  std::optional<Quantization> quantization;
  Dtype dtype;  ///< of what is stored, or of scales and biases
  std::int64_t bytes;
};

std::string without_suffix(const std::string& name, std::string_view suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : std::string();
}

/// Tensors that hold nothing of their own.
bool is_redundant(const std::string& name, const DecoderConfig& config) {
  return name.ends_with(".rotary_emb.inv_freq") || (config.tied_embeddings && name == "lm_head.weight");
}

std::int64_t quantized_bytes(const array& tensor, const Quantization& format, Dtype dtype) {
  const auto elements = static_cast<std::int64_t>(tensor.size());
  return elements * format.bits / 8 + elements / format.group_size * 2 * dtype.size();
}

std::vector<Conversion> plan(const Weights& weights, const DecoderConfig& config,
                             const ConvertOptions& options, ConvertReport& report) {
  std::vector<Conversion> conversions;
  for (const std::string& name : weights.names()) {
    if (is_redundant(name, config)) continue;
    const array& tensor = weights.get(name);
    const bool floating = is_weight_dtype(tensor.dtype());
    const Dtype dtype = floating && options.dtype ? *options.dtype : tensor.dtype();
    Conversion conversion{name, tensor, std::nullopt, dtype,
                          static_cast<std::int64_t>(tensor.size()) * dtype.size()};
    // Linear layers and embeddings are the models' only matrices.
    const std::string layer = without_suffix(name, ".weight");
    if (options.quantization && !layer.empty() && tensor.ndim() == 2 && floating) {
      const int width = tensor.shape(1);
      if (width % options.quantization->group_size == 0) {
        conversion.quantization = options.quantization;
        conversion.bytes = quantized_bytes(tensor, *options.quantization, dtype);
        ++report.quantized;
      } else {
        report.notices.push_back(
            fmt::format("{} stays as it is: its width {} is no multiple of the group size {}", layer, width,
                        options.quantization->group_size));
      }
    }
    ++report.tensors;
    report.weights += static_cast<std::int64_t>(tensor.size());
    report.bytes += conversion.bytes;
    conversions.push_back(std::move(conversion));
  }
  return conversions;
}

/// Does one conversion; the tensors to write.
void apply(const Conversion& conversion, std::unordered_map<std::string, array>& out) {
  if (!conversion.quantization) {
    out.emplace(conversion.name, astype(conversion.tensor, conversion.dtype));
    return;
  }
  try {
    QuantizedMatrixArrays quantized =
        quantize_closely(conversion.tensor, *conversion.quantization, conversion.dtype);
    const std::string layer = without_suffix(conversion.name, ".weight");
    out.emplace(conversion.name, std::move(quantized.codes));
    out.emplace(layer + ".scales", std::move(quantized.scales));
    out.emplace(layer + ".biases", std::move(quantized.biases));
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(fmt::format("{}: tensor \"{}\"", error.what(), conversion.name));
  }
}

void write_json(const fs::path& file, const ordered_json& value) {
  std::ofstream stream(file, std::ios::binary);
  stream << value.dump(2) << '\n';
  stream.flush();
  if (!stream) throw std::runtime_error(fmt::format("[convert] {} cannot be written", file.string()));
}

void write_weights(const fs::path& folder, const std::vector<Conversion>& conversions) {
  std::vector<std::vector<const Conversion*>> shards(1);
  std::int64_t filled = 0;
  std::int64_t total = 0;
  for (const Conversion& conversion : conversions) {
    if (!shards.back().empty() && filled + conversion.bytes > kShardBytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&conversion);
    filled += conversion.bytes;
    total += conversion.bytes;
  }
  ordered_json map = ordered_json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string file = shards.size() == 1
                                 ? "model.safetensors"
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    std::unordered_map<std::string, array> tensors;
    for (const Conversion* conversion : shards[i]) apply(*conversion, tensors);
    for (const auto& [name, tensor] : tensors) map[name] = file;
    save_safetensors((folder / file).string(), std::move(tensors), {{"format", "mlx"}});
  }
  if (shards.size() == 1) return;
  write_json(folder / "model.safetensors.index.json",
             {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}});
}

ordered_json converted_config(ordered_json config, const ConvertOptions& options) {
  if (options.dtype) {
    const char* key = config.contains("torch_dtype") ? "torch_dtype" : "dtype";
    config[key] = std::string(dtype_name(*options.dtype));
  }
  if (options.quantization) {
    const ordered_json quantization = {{"group_size", options.quantization->group_size},
                                       {"bits", options.quantization->bits},
                                       {"mode", "affine"}};
    // MLX reads the first; others look for the second.
    config["quantization"] = quantization;
    config["quantization_config"] = quantization;
  }
  return config;
}

void convert_to(const fs::path& model, const fs::path& out, const ConvertOptions& options,
                ConvertReport& report) {
  const DecoderConfig config = DecoderConfig::from_directory(model);
  const Weights weights = Weights::from_directory(model);
  if (options.quantization && config.quantization) {
    throw std::runtime_error(fmt::format("[convert] {} is quantized already", model.string()));
  }
  if (fs::exists(out) && !(fs::is_directory(out) && fs::is_empty(out))) {
    throw std::runtime_error(fmt::format("[convert] {} exists already", out.string()));
  }
  const std::vector<Conversion> conversions = plan(weights, config, options, report);
  UnfinishedFolder folder(out);
  write_weights(folder.path(), conversions);
  write_json(folder.path() / "config.json", converted_config(read_json_file(model / "config.json"), options));
  for (const char* name : kCompanions) {
    if (!fs::exists(model / name)) continue;
    fs::copy_file(model / name, folder.path() / name);
    // The copy of a protected file is the user's own.
    fs::permissions(folder.path() / name, fs::perms::owner_write, fs::perm_options::add);
  }
  folder.finish();
}

}  // namespace

ConvertReport convert(const fs::path& model, const fs::path& out, const ConvertOptions& options) {
  ConvertReport report;
  // "out/" names the same folder as "out".
  const fs::path target = out.has_filename() ? out : out.parent_path();
  try {
    convert_to(model, target, options, report);
  } catch (const fs::filesystem_error& error) {
    throw std::runtime_error(fmt::format("[convert] {}", error.what()));
  }
  return report;
}

}  // namespace lazuli::lm
