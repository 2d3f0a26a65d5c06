# What Lazuli is built from; docs/dependencies.md says why each is there.

find_package(Threads REQUIRED)
find_package(TBB REQUIRED)
find_package(fmt REQUIRED)
# Headers only; the package's target would link a library that its headers do not need.
find_path(LAZULI_XSIMD_INCLUDE xsimd/xsimd.hpp REQUIRED)
# The header only: the library is loaded when it is needed.
find_path(LAZULI_LAPACKE_INCLUDE lapacke.h REQUIRED)
find_path(LAZULI_DLPACK_INCLUDE dlpack/dlpack.h REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

find_program(LAZULI_LLVM_CONFIG NAMES llvm-config-19 REQUIRED)
execute_process(COMMAND ${LAZULI_LLVM_CONFIG} --includedir
                OUTPUT_VARIABLE LAZULI_LLVM_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${LAZULI_LLVM_CONFIG} --libdir
                OUTPUT_VARIABLE LAZULI_LLVM_LIBDIR OUTPUT_STRIP_TRAILING_WHITESPACE)
find_library(LAZULI_LLVM_LIBRARY NAMES LLVM-19 libLLVM.so.19.1 PATHS ${LAZULI_LLVM_LIBDIR} NO_DEFAULT_PATH REQUIRED)

add_library(lazuli_dependencies INTERFACE)
target_include_directories(lazuli_dependencies SYSTEM INTERFACE ${LAZULI_LLVM_INCLUDE})
target_link_libraries(lazuli_dependencies INTERFACE
  Threads::Threads TBB::tbb fmt::fmt nlohmann_json::nlohmann_json
  PkgConfig::PCRE2 PkgConfig::UTF8PROC ZLIB::ZLIB ${LAZULI_LLVM_LIBRARY} ${CMAKE_DL_LIBS})
