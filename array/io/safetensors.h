#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include <lazuli/array/array.h>
#include <lazuli/array/io/reader_writer.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// The arrays of a safetensors file by name, and its metadata.
using SafetensorsLoad =
    std::pair<std::unordered_map<std::string, array>, std::unordered_map<std::string, std::string>>;

/// Maps the file and gives arrays over it, without copying their data (but for unaligned ones). Throws
/// std::runtime_error `[load_safetensors] FILE: what is wrong` for files that break the format's rules.
/// 8-bit floating point numbers (F8_E4M3, F8_E5M2) become bfloat16; F8_E8M0 stays codes, in uint8.
SafetensorsLoad load_safetensors(const std::string& file, StreamOrDevice s = {});
/// The same for what a reader has from its position to its end.
SafetensorsLoad load_safetensors(std::shared_ptr<io::Reader> in_stream, StreamOrDevice s = {});

/// Evaluates the arrays and writes them, row-major, in the order of their names among those of one element
/// size. The file appears when it is complete; where something fails, an older one of that name stays.
/// ".safetensors" is added to names that lack it.
void save_safetensors(std::string file, std::unordered_map<std::string, array> arrays,
                      std::unordered_map<std::string, std::string> metadata = {});
/// The same at a writer's position.
void save_safetensors(std::shared_ptr<io::Writer> in_stream, std::unordered_map<std::string, array> arrays,
                      std::unordered_map<std::string, std::string> metadata = {});

}  // namespace lazuli
