#pragma once

#include <string>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// Evaluates the array and writes it, row-major, in NumPy's .npy format (version 1); bfloat16 as "<V2". The
/// file appears when it is complete. ".npy" is added to a name that lacks it.
void save(std::string file, array a);

/// Maps a .npy file and gives an array over it; data in the other byte order is copied. Throws
/// std::runtime_error `[load] FILE: what is wrong` for other files and for dtypes that arrays do not have.
array load(std::string file, StreamOrDevice s = {});

}  // namespace lazuli
