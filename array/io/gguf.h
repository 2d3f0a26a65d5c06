#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// A value of a GGUF file's metadata: nothing, a number or boolean (an array without dimensions), a list of
/// these (one dimension), a text, or a list of texts.
using GGUFMetaData = std::variant<std::monostate, array, std::string, std::vector<std::string>>;
/// The arrays of a GGUF file by name, and its metadata.
using GGUFLoad =
    std::pair<std::unordered_map<std::string, array>, std::unordered_map<std::string, GGUFMetaData>>;

/// Maps a GGUF file (versions 2 and 3) and gives its tensors: F16, BF16, F32, F64 and integers over the file,
/// without copies; blocks Q4_0 to Q8_1 and Q2_K to Q8_K dequantized to `dequantized`, a floating point dtype.
/// Extents stand in the order of arrays, the outermost first. Throws std::runtime_error
/// `[load_gguf] FILE: what is wrong` for files that break the format's rules, and for other block formats.
/// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
GGUFLoad load_gguf(const std::string& file, StreamOrDevice s = {}, Dtype dequantized = float16);

/// Evaluates the arrays and writes them as a GGUF file of version 3, row-major, in the order of their names;
/// dtypes as for loading. Metadata arrays have at most one dimension. The file appears when it is complete.
/// ".gguf" is added to a name that lacks it. Throws std::runtime_error `[save_gguf] FILE: what is wrong`,
/// also for dtypes that the format does not have (bool, unsigned integers and complex64 as tensors).
void save_gguf(std::string file, std::unordered_map<std::string, array> array_map,
               std::unordered_map<std::string, GGUFMetaData> meta_data = {});

}  // namespace lazuli
