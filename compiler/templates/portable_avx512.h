#pragma once

#include <lazuli/compiler/templates/kernels.h>

namespace lazuli::templates {

/// Replaces the kernels of a table that gain by it by those in 64-byte vectors: softmax, Fourier transforms,
/// products with codes, depthwise convolutions. Only for machines with AVX-512.
void use_avx512_kernels(Kernels& table);

/// The same for those that multiply bytes: attention over codes, products with codes as they lie. Only for
/// machines with VNNI, too.
void use_avx512_vnni_kernels(Kernels& table);

}  // namespace lazuli::templates
