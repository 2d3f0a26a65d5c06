#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/lm/model/config.h>
#include <lazuli/lm/model/weights.h>
#include <lazuli/ops/quantized.h>

namespace lazuli::lm {

/// What layers are made from.
struct LayerSource {
  const Weights& weights;
  const DecoderConfig& config;
  Activations activations;

  /// Of activations, caches and what is computed between them.
  Dtype compute_dtype() const { return activations == Activations::bfloat16 ? bfloat16 : float32; }
};

/// A matrix in MLX's affine format as it lies in the file.
struct QuantizedTensors {
  array codes;
  array scales;
  array biases;
  Quantization format;
};

/// The quantized matrix [rows, columns] at a path, or nothing where it is stored as it is.
std::optional<QuantizedTensors> find_quantized(const LayerSource& source, const std::string& path, int rows,
                                               int columns);

/// x · wᵀ + b for one or several w that stand side by side: projections of the same x are read in one pass
/// where the weights are quantized. Dense weights stay in the file's dtype, quantized ones are repacked here.
class Linear {
 public:
  /// `paths` name the layers ("model.layers.0.self_attn.q_proj"), `outputs` their widths.
  Linear(const LayerSource& source, const std::vector<std::string>& paths, int inputs,
         std::vector<int> outputs, bool bias);

  /// The result of each layer, in x's dtype.
  std::vector<array> operator()(const array& x) const;
  /// The result of the only layer.
  array single(const array& x) const;
  /// The packed bytes where all layers lie in one quantized matrix; null elsewhere.
  const array* packed_bytes() const;

 private:
  struct Dense {
    array weight;
    int outputs;
  };
  struct Packed {
    array bytes;
    Quantization format;
    int inputs;
    int outputs;
  };
  using Matrix = std::variant<Dense, Packed>;

  void load_matrices(const LayerSource& source, const std::vector<std::string>& paths, int inputs);
  array multiply(const Matrix& matrix, const array& x) const;

  std::vector<int> outputs_;
  /// One for each layer, or one for all.
  std::vector<Matrix> matrices_;
  /// For each layer, or none.
  std::vector<array> biases_;
  QuantizedActivations activations_;
};

/// A table from token to vector.
class Embedding {
 public:
  /// `tied` is the layer that multiplies by the same matrix, if any: where that is packed, rows are taken
  /// from there and the file's codes need not stay in memory.
  Embedding(const LayerSource& source, const std::string& path, int rows, int columns,
            const Linear* tied = nullptr);

  /// The rows for tokens, in the compute dtype.
  array operator()(const array& tokens) const;

 private:
  struct PackedTable {
    array bytes;
    int columns;
  };
  std::variant<array, QuantizedTensors, PackedTable> table_;
  Dtype dtype_;
};

}  // namespace lazuli::lm
