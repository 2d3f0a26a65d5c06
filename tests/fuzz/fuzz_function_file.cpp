#include <lazuli/graph/export/function_file.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    // The checksum would keep the fuzzer out.
    const FunctionFile file = parse_function_file_unchecked(fuzz::buffer_of(data, size));
    for (const array& constant : file.constants) fuzz::touch(constant);
    for (const StoredTrace& trace : file.traces) {
      try {
        const std::vector<int64_t> places = trace.dims.evaluate(trace.symbol_values);
        trace.dims.guards_hold(places);
      } catch (const std::overflow_error&) {
      }
      for (const StoredNode& node : trace.nodes) parse_attributes(node.attributes);
    }
  });
}
