# SPDX-License-Identifier: BSD-2-Clause
# What `cmake --install` puts where, so that others can build with it: headers, libraries,
# a pkg-config file for each library, a CMake package, the manual. And `uninstall`.
include_guard()
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sparena)
set(package_build ${PROJECT_BINARY_DIR}/package)

# First of all, so that it sees which directories are not there yet.
set(install_dirs
  ${CMAKE_INSTALL_BINDIR} ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${package_dir} ${CMAKE_INSTALL_INCLUDEDIR}/sparena
  ${CMAKE_INSTALL_DOCDIR} ${CMAKE_INSTALL_MANDIR}/man1 ${CMAKE_INSTALL_MANDIR}/man7
  ${CMAKE_INSTALL_LIBEXECDIR}/sparena)
configure_file(${PROJECT_SOURCE_DIR}/cmake/install/directories.cmake.in ${package_build}/directories.cmake @ONLY)
install(SCRIPT ${package_build}/directories.cmake)

set(installed sparena_shared sparena_static)
foreach(target sparena_malloc sparena_malloc_static sparena)
  if(TARGET ${target})
    list(APPEND installed ${target})
  endif()
endforeach()
foreach(name_target shared:sparena_shared static:sparena_static malloc:sparena_malloc malloc_static:sparena_malloc_static)
  string(REPLACE ":" ";" pair ${name_target})
  list(GET pair 0 name)
  list(GET pair 1 target)
  if(TARGET ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
    add_library(sparena::${name} ALIAS ${target})
  endif()
endforeach()
install(TARGETS ${installed} EXPORT sparena-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# ---- for builds with CMake: find_package(sparena) -------------------------------------

install(EXPORT sparena-targets NAMESPACE sparena:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/install/sparena-config.cmake.in
  ${package_build}/sparena-config.cmake INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change what there is.
write_basic_package_version_file(${package_build}/sparena-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${package_build}/sparena-config.cmake ${package_build}/sparena-config-version.cmake
  DESTINATION ${package_dir})

# ---- for all others: pkg-config ----------------------------------------------------

# The directories are found from where the file is, so that an installed tree can be moved.
# (A directory given as an absolute path stays what it is.)
function(pkg_config_dir out dir)
  if(IS_ABSOLUTE "${dir}")
    set(${out} "${dir}" PARENT_SCOPE)
  else()
    set(${out} "\${prefix}/${dir}" PARENT_SCOPE)
  endif()
endfunction()

function(pkg_config_file name description libs)
  set(PC_NAME ${name})
  set(PC_DESCRIPTION "${description}")
  set(PC_LIBS "${libs}")
  if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(PC_PREFIX "\${pcfiledir}/${up}")
  endif()
  pkg_config_dir(PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
  pkg_config_dir(PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/install/sparena.pc.in ${package_build}/${name}.pc @ONLY)
  install(FILES ${package_build}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

pkg_config_file(sparena "Sparse memory that is backed before it is used" "-lsparena")
if(TARGET sparena_malloc)
  pkg_config_file(sparena_malloc "A malloc that never promises memory it doesn't have"
    "-Wl,-u,malloc -Wl,--push-state,--no-as-needed -lsparena_malloc -Wl,--pop-state")
  install(FILES ${SPARENA_JEMALLOC_LICENSE} DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.jemalloc)
endif()

# ---- headers, manual, licence ------------------------------------------------

install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sparena)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
foreach(section 1 7)
  file(GLOB manual CONFIGURE_DEPENDS doc/*.${section})
  install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# ---- afterwards ----------------------------------------------------------------------

configure_file(${PROJECT_SOURCE_DIR}/cmake/install/ldconfig.cmake.in ${package_build}/ldconfig.cmake @ONLY)
install(SCRIPT ${package_build}/ldconfig.cmake)
configure_file(${PROJECT_SOURCE_DIR}/cmake/install/uninstall.cmake.in ${package_build}/uninstall.cmake @ONLY)
add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -P ${package_build}/uninstall.cmake
  COMMENT "Removing what was installed" VERBATIM)
