# `cmake --install`: headers under <lazuli/...>, the library, its CMake package and the command.

install(TARGETS lazuli EXPORT lazuli-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS lazuli-command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(layer IN LISTS LAZULI_LAYERS)
  install(DIRECTORY ${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lazuli FILES_MATCHING PATTERN "*.h"
          PATTERN "command" EXCLUDE)
endforeach()
install(DIRECTORY compatibility/mlx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES lazuli.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lazuli)
install(EXPORT lazuli-targets NAMESPACE lazuli:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lazuli
        FILE lazuli-config.cmake)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/lazuli-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lazuli-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lazuli)
