# SPDX-License-Identifier: BSD-2-Clause
# sparena_archive(<target> <name> EXPORTS <file> OBJECTS ... LIBRARIES ...)
#
# lib<name>.a with one object in it, linked from all the others, in which only the names
# that EXPORTS lists (one a line) are global: a program may have functions called
# region_commit() or text_add() of its own. LIBRARIES are what its users must link.
include_guard()

function(sparena_archive target name)
  cmake_parse_arguments(arg "" "EXPORTS" "OBJECTS;LIBRARIES" ${ARGN})
  set(all ${PROJECT_BINARY_DIR}/archive/${name}-all.o)
  set(object ${PROJECT_BINARY_DIR}/archive/${name}.o)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/archive)
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_LINKER} -r -o ${all} ${arg_OBJECTS}
    COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${arg_EXPORTS} ${all} ${object}
    COMMAND ${CMAKE_COMMAND} -E rm ${all}
    DEPENDS ${arg_OBJECTS} ${arg_EXPORTS}
    COMMENT "Linking ${name} into one object" COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  add_library(${target} STATIC ${object})
  target_link_libraries(${target} INTERFACE ${arg_LIBRARIES})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${name} LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
