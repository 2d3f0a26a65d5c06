#pragma once

// Reading and writing arrays.

#include <lazuli/array/io/gguf.h>
#include <lazuli/array/io/npy.h>
#include <lazuli/array/io/npz.h>
#include <lazuli/array/io/reader_writer.h>
#include <lazuli/array/io/safetensors.h>
