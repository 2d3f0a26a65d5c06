# Compiler settings that every Lazuli target shares.

add_library(lazuli_options INTERFACE)
target_compile_features(lazuli_options INTERFACE cxx_std_20)
target_compile_options(lazuli_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wno-psabi
  -fno-math-errno -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these inside the standard library's own inlined code.
  target_compile_options(lazuli_options INTERFACE
    -Wno-maybe-uninitialized -Wno-uninitialized -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
    -Wno-restrict -Wno-free-nonheap-object)
endif()
if(LAZULI_SANITIZE)
  target_compile_options(lazuli_options INTERFACE -fsanitize=${LAZULI_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=undefined)
  target_link_options(lazuli_options INTERFACE -fsanitize=${LAZULI_SANITIZE})
endif()

find_program(LAZULI_CCACHE ccache)
if(LAZULI_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LAZULI_CCACHE})
endif()

# Includes read <lazuli/array/array.h> in the tree and after installation: a folder of the build
# tree holds a link named `lazuli` to the sources.
set(LAZULI_INCLUDE_ROOT ${CMAKE_CURRENT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${LAZULI_INCLUDE_ROOT}/lazuli)
foreach(entry array graph compiler ops nn lm)
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${entry} ${LAZULI_INCLUDE_ROOT}/lazuli/${entry} SYMBOLIC)
endforeach()
file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/compatibility/mlx ${LAZULI_INCLUDE_ROOT}/mlx SYMBOLIC)
file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/lazuli.h ${LAZULI_INCLUDE_ROOT}/lazuli/lazuli.h SYMBOLIC)

function(lazuli_configure_library target)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${LAZULI_INCLUDE_ROOT}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_definitions(${target} PRIVATE LAZULI_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${target}
    PRIVATE $<BUILD_INTERFACE:lazuli_options> $<BUILD_INTERFACE:lazuli_dependencies>)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON VERSION ${PROJECT_VERSION})
endfunction()

# Machine code on disk holds only for the generators that made it: `source` gets a hash of the files in the
# given folders as LAZULI_CODE_VERSION.
function(lazuli_set_code_version source)
  set(hashes "")
  foreach(folder IN LISTS ARGN)
    file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*)
    foreach(file IN LISTS files)
      file(SHA256 ${file} hash)
      string(APPEND hashes ${hash})
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    endforeach()
  endforeach()
  string(SHA256 version "${hashes}")
  set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS "LAZULI_CODE_VERSION=\"${version}\"")
endfunction()
