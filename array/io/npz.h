#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include <lazuli/array/array.h>
#include <lazuli/array/io/reader_writer.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// Evaluates the arrays and writes them as NumPy's .npz archive: a ZIP file with a .npy file for each, in the
/// order of their names. The file appears when it is complete. ".npz" is added to a name that lacks it.
/// Throws std::runtime_error `[savez] FILE: what is wrong`.
void savez(std::string file, std::unordered_map<std::string, array> arrays);
/// The same at a writer's position.
void savez(std::shared_ptr<io::Writer> out_stream, std::unordered_map<std::string, array> arrays);
/// The same, deflated.
void savez_compressed(std::string file, std::unordered_map<std::string, array> arrays);
void savez_compressed(std::shared_ptr<io::Writer> out_stream, std::unordered_map<std::string, array> arrays);

/// The arrays of a .npz archive by name, without ".npy". The file is mapped: stored arrays that are aligned
/// (as `savez` aligns them) are not copied. All checksums are compared. Throws std::runtime_error
/// `[load_npz] FILE: what is wrong`.
std::unordered_map<std::string, array> load_npz(const std::string& file, StreamOrDevice s = {});
/// The same for what a reader has from its position to its end.
std::unordered_map<std::string, array> load_npz(std::shared_ptr<io::Reader> in_stream, StreamOrDevice s = {});

}  // namespace lazuli
