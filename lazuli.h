#pragma once

// Everything.

#include <lazuli/array/array.h>
#include <lazuli/array/device.h>
#include <lazuli/array/dtype.h>
#include <lazuli/array/dtype_info.h>
#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/io.h>
#include <lazuli/array/memory.h>
#include <lazuli/array/print.h>
#include <lazuli/array/shape.h>
#include <lazuli/array/stream.h>
#include <lazuli/compiler/compile.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/graph/dot.h>
#include <lazuli/graph/export/export.h>
#include <lazuli/graph/transforms/transforms.h>
#include <lazuli/ops/ops.h>
