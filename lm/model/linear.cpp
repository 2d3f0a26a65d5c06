#include <lazuli/lm/model/linear.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <lazuli/array/evaluator.h>
#include <lazuli/ops/ops.h>

namespace lazuli::lm {
namespace {

/// Several matrices one below another, as one.
QuantizedTensors stacked(std::vector<QuantizedTensors> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  std::vector<array> codes, scales, biases;
  for (QuantizedTensors& part : parts) {
    codes.push_back(std::move(part.codes));
    scales.push_back(std::move(part.scales));
    biases.push_back(std::move(part.biases));
  }
  return {concatenate(std::move(codes), 0), concatenate(std::move(scales), 0),
          concatenate(std::move(biases), 0), parts.front().format};
}

/// Whether they can be read as one matrix.
bool are_alike(const std::vector<QuantizedTensors>& parts) {
  return std::all_of(parts.begin(), parts.end(), [&](const QuantizedTensors& part) {
    return part.format == parts.front().format && part.scales.dtype() == parts.front().scales.dtype();
  });
}

}  // namespace

std::optional<QuantizedTensors> find_quantized(const LayerSource& source, const std::string& path, int rows,
                                               int columns) {
  if (!source.weights.contains(path + ".scales")) return std::nullopt;
  const std::optional<Quantization> format = source.config.quantization_of(path);
  if (!format) {
    throw std::runtime_error(fmt::format(
        "[load] tensor \"{}.scales\" is there, but config.json does not say how \"{}\" is quantized", path,
        path));
  }
  if (columns % format->group_size != 0) {
    throw std::runtime_error(fmt::format("[load] \"{}\" has {} columns, no multiple of its groups of {}",
                                         path, columns, format->group_size));
  }
  const Shape groups{rows, columns / format->group_size};
  const array& codes = source.weights.get(path + ".weight", {rows, columns * format->bits / 32}, uint32);
  const array& scales = source.weights.get_floating(path + ".scales", groups);
  const array& biases = source.weights.get(path + ".biases", groups, scales.dtype());
  return QuantizedTensors{codes, scales, biases, *format};
}

Linear::Linear(const LayerSource& source, const std::vector<std::string>& paths, int inputs,
               std::vector<int> outputs, bool bias)
    : outputs_(std::move(outputs)),
      activations_(source.activations == Activations::int8 ? QuantizedActivations::int8
                                                           : QuantizedActivations::float32) {
  load_matrices(source, paths, inputs);
  if (!bias) return;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    biases_.push_back(source.weights.get_floating(paths[i] + ".bias", {outputs_[i]}));
  }
}

void Linear::load_matrices(const LayerSource& source, const std::vector<std::string>& paths, int inputs) {
  std::vector<QuantizedTensors> quantized;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto found = find_quantized(source, paths[i], outputs_[i], inputs);
    if (found) quantized.push_back(*std::move(found));
  }
  const auto pack = [&](const QuantizedTensors& tensors, int width) {
    array bytes = pack_quantized(tensors.codes, tensors.scales, tensors.biases, tensors.format.group_size,
                                 tensors.format.bits);
    // Now: the file's pages need not stay in memory beside the packed ones.
    bytes.eval();
    matrices_.push_back(Packed{std::move(bytes), tensors.format, inputs, width});
  };
  if (quantized.size() == paths.size() && are_alike(quantized)) {
    pack(stacked(std::move(quantized)), std::accumulate(outputs_.begin(), outputs_.end(), 0));
    return;
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (const auto tensors = find_quantized(source, paths[i], outputs_[i], inputs)) {
      pack(*tensors, outputs_[i]);
    } else {
      matrices_.push_back(
          Dense{source.weights.get_floating(paths[i] + ".weight", {outputs_[i], inputs}), outputs_[i]});
    }
  }
}

array Linear::multiply(const Matrix& matrix, const array& x) const {
  if (const auto* dense = std::get_if<Dense>(&matrix)) {
    // The conversion is left to the product's kernel, which reads weights as they are stored.
    return matmul(x, transpose(astype(dense->weight, x.dtype())));
  }
  const auto& packed = std::get<Packed>(matrix);
  return packed_quantized_matmul(x, packed.bytes, packed.outputs, packed.inputs, packed.format.group_size,
                                 packed.format.bits, activations_);
}

std::vector<array> Linear::operator()(const array& x) const {
  std::vector<array> results;
  if (matrices_.size() == outputs_.size()) {
    for (const Matrix& matrix : matrices_) results.push_back(multiply(matrix, x));
  } else {
    Shape ends;
    int end = 0;
    for (std::size_t i = 0; i + 1 < outputs_.size(); ++i) ends.push_back(end += outputs_[i]);
    results = split(multiply(matrices_.front(), x), ends, -1);
  }
  for (std::size_t i = 0; i < biases_.size(); ++i) {
    results[i] = results[i] + astype(biases_[i], x.dtype());
  }
  return results;
}

array Linear::single(const array& x) const {
  return (*this)(x).front();
}

const array* Linear::packed_bytes() const {
  const auto* packed = matrices_.size() == 1 ? std::get_if<Packed>(&matrices_.front()) : nullptr;
  return packed == nullptr ? nullptr : &packed->bytes;
}

Embedding::Embedding(const LayerSource& source, const std::string& path, int rows, int columns,
                     const Linear* tied)
    : table_([&]() -> std::variant<array, QuantizedTensors, PackedTable> {
        if (tied != nullptr && tied->packed_bytes() != nullptr)
          return PackedTable{*tied->packed_bytes(), columns};
        auto quantized = find_quantized(source, path, rows, columns);
        if (quantized) return *std::move(quantized);
        return source.weights.get_floating(path + ".weight", {rows, columns});
      }()),
      dtype_(source.compute_dtype()) {}

array Embedding::operator()(const array& tokens) const {
  if (const auto* table = std::get_if<array>(&table_)) return astype(take(*table, tokens, 0), dtype_);
  if (const auto* packed = std::get_if<PackedTable>(&table_)) {
    return packed_quantized_take(packed->bytes, tokens, packed->columns, dtype_);
  }
  // Rows first, so that the scales of no more than these are converted.
  const auto& [codes, scales, biases, format] = std::get<QuantizedTensors>(table_);
  return dequantize(take(codes, tokens, 0), astype(take(scales, tokens, 0), dtype_),
                    astype(take(biases, tokens, 0), dtype_), format.group_size, format.bits);
}

}  // namespace lazuli::lm
