#pragma once

#include <memory>
#include <string>

#include <lazuli/array/array.h>
#include <lazuli/array/io/reader_writer.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// Evaluates the array and writes it, row-major, in NumPy's .npy format (version 1); bfloat16 as "<V2". The
/// file appears when it is complete. ".npy" is added to a name that lacks it. Throws std::runtime_error
/// `[save] FILE: what is wrong`.
void save(std::string file, array a);
/// The same at a writer's position.
void save(std::shared_ptr<io::Writer> out_stream, array a);

/// Maps a .npy file and gives an array over it; data in the other byte order is copied. Throws
/// std::runtime_error `[load] FILE: what is wrong` for other files and for dtypes that arrays do not have.
array load(std::string file, StreamOrDevice s = {});
/// Reads an array in .npy format from a reader's position, and leaves that behind it.
array load(std::shared_ptr<io::Reader> in_stream, StreamOrDevice s = {});

}  // namespace lazuli
