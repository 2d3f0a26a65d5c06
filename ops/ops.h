#pragma once

// All operations.

#include <lazuli/ops/convolution.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/cumulative.h>
#include <lazuli/ops/depends.h>
#include <lazuli/ops/einsum.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/factorizations.h>
#include <lazuli/ops/fast.h>
#include <lazuli/ops/fft.h>
#include <lazuli/ops/fp8.h>
#include <lazuli/ops/gathered_products.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/linear_equations.h>
#include <lazuli/ops/norms.h>
#include <lazuli/ops/powers_of_two.h>
#include <lazuli/ops/quantized.h>
#include <lazuli/ops/random.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/signal.h>
#include <lazuli/ops/sorting.h>
