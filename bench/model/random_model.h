#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/lm/model/causal_model.h>

namespace lazuli::bench {

/// Names of the shapes that `random_model` knows.
std::vector<std::string> random_model_names();

/// The description of a well-known model: "llama-1b" (Llama 3.2 1B) or "llama-8b" (Llama 3.1 8B). Throws
/// std::invalid_argument for other names.
lm::DecoderConfig random_model_config(const std::string& name);

/// A model of that shape with weights made up in memory: quantized to `bits` in groups of 64 with bfloat16
/// scales, or bfloat16 where `bits` is 16. Nonsense, but every byte and operation is there.
lm::CausalModel random_model(const std::string& name, int bits,
                             std::optional<lm::Activations> activations = std::nullopt,
                             const std::optional<lm::Quantization>& cache = std::nullopt);

/// Bytes of weights that a decode step reads: all matrices once, without the rows of an untied embedding
/// table.
double weight_bytes(const lm::DecoderConfig& config, int bits);
/// The same of a model folder, as its files say.
double weight_bytes_of_folder(const std::filesystem::path& folder);
/// Multiply-adds, two operations each, that a token needs in matrices, the head's excepted.
double operations_a_token(const lm::DecoderConfig& config);

}  // namespace lazuli::bench
