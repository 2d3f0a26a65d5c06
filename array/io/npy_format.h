#pragma once

#include <cstddef>

#include <lazuli/array/array.h>
#include <lazuli/array/io/reader_writer.h>

namespace lazuli {

/// Writes a computed array in .npy format. Throws std::runtime_error, without a prefix, as all of these do.
void write_npy(io::Writer& writer, const array& a);
/// The array of a .npy file that is `size` bytes of memory from `offset`: over that memory where possible.
array read_npy(Ref<Buffer> memory, size_t offset, size_t size);

}  // namespace lazuli
