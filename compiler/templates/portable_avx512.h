#pragma once

#include <lazuli/compiler/templates/kernels.h>

namespace lazuli::templates {

/// Replaces the softmax kernels of a table by those in 64-byte vectors. Only for machines with AVX-512.
void use_avx512_softmax(Kernels& table);

}  // namespace lazuli::templates
