# The interpreter's loops are compiled once an instruction set, and chosen among when the program runs.
# They are optimised in every build type: unoptimised, inlined helpers of one set could be linked into another.

set(interpreter ${CMAKE_CURRENT_SOURCE_DIR}/compiler/interpreter)
set(loops -O2)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND loops -fvect-cost-model=dynamic)  # loops over a unit of 16 elements become vector code
endif()
set(avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(avx512 ${avx2} -mavx512f -mavx512cd -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512)
set_source_files_properties(${interpreter}/steps_baseline.cpp PROPERTIES COMPILE_OPTIONS "${loops}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${interpreter}/steps_avx2.cpp PROPERTIES COMPILE_OPTIONS "${loops};${avx2}")
  set_source_files_properties(${interpreter}/steps_avx512.cpp PROPERTIES COMPILE_OPTIONS "${loops};${avx512}")
endif()
