#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/dtype.h>
#include <lazuli/lm/model/config.h>

namespace lazuli::lm {

struct ConvertOptions {
  /// Of what is not quantized, and of scales and biases; without it, as it is.
  std::optional<Dtype> dtype;
  /// Applies to linear layers and embeddings.
  std::optional<Quantization> quantization;
};

struct ConvertReport {
  int tensors = 0;
  int quantized = 0;
  std::int64_t weights = 0;
  std::int64_t bytes = 0;
  /// What was not done as asked, and why.
  std::vector<std::string> notices;

  double bits_per_weight() const {
    return weights == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
  }
};

/// Writes the model in `model` to a folder that Lazuli and MLX can load: config.json, the tokenizer's files
/// as they are, and safetensors, several where one would be large. A layer whose width the group does not
/// divide stays as it is. The folder comes into being at once, complete: it is written under a temporary name
/// beside it. Throws std::runtime_error `[convert] ...` where `out` is there and not empty, where the model
/// is quantized already, or where a file cannot be read or written.
ConvertReport convert(const std::filesystem::path& model, const std::filesystem::path& out,
                      const ConvertOptions& options);

}  // namespace lazuli::lm
