#pragma once

#include <lazuli/array/array.h>

struct DLManagedTensor;  // dlpack/dlpack.h, which those who look inside include themselves

/// Arrays from and for other libraries in the same process, without copies: the DLPack protocol
/// (https://dmlc.github.io/dlpack/latest/). Memory is the host's.
namespace lazuli {

/// Evaluates the array and describes its memory, which stays as long as the tensor: whoever takes it calls
/// its `deleter` once. It must not be written to, since other arrays may share it. Booleans have DLPack's
/// code 6.
DLManagedTensor* to_dlpack(const array& a);

/// An array over a tensor's memory, which nobody may change from now on; takes the tensor over, and calls its
/// `deleter` when the last array over it goes. Data that are not aligned to their element size are copied.
/// Throws std::invalid_argument `[from_dlpack] ...`, leaving the tensor to the caller, for memory of other
/// devices, dtypes that arrays do not have, and extents beyond 31 bits.
array from_dlpack(DLManagedTensor* tensor);

}  // namespace lazuli
