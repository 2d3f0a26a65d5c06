#include <lazuli/compiler/templates/kernels.h>

namespace lazuli::templates {

const Kernels& kernels() {
  return portable_kernels();
}

}  // namespace lazuli::templates
