# SPDX-License-Identifier: BSD-2-Clause
# Copies of the drop-in and of the programs that are linked from its objects, in broken/
# of the build directory, with broken.c between the floors; and the test that runs each
# suite on them.

set(broken_dir ${PROJECT_BINARY_DIR}/broken)
add_library(broken OBJECT broken.c)
target_link_libraries(broken PRIVATE sparena_build)
target_compile_options(broken PRIVATE -ftls-model=initial-exec)
set(broken_calls madvise munmap clock_gettime budget_charge pages_alloc region_commit region_commit_keep
  guard_ask guard_done)
list(TRANSFORM broken_calls PREPEND -Wl,--wrap= OUTPUT_VARIABLE broken_wraps)

# What of a target's properties makes its copy the same.
function(broken_like copy original)
  foreach(property LINK_LIBRARIES LINK_OPTIONS COMPILE_OPTIONS COMPILE_DEFINITIONS)
    get_target_property(value ${original} ${property})
    if(value)
      set_property(TARGET ${copy} APPEND PROPERTY ${property} ${value})
    endif()
  endforeach()
  target_link_libraries(${copy} PRIVATE broken)
  target_link_options(${copy} PRIVATE ${broken_wraps})
  set_target_properties(${copy} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${broken_dir} LIBRARY_OUTPUT_DIRECTORY ${broken_dir})
endfunction()

foreach(program test_os test_guard test_exact test_region test_region_fork test_pages test_heap test_heap_lazy
    test_failpoints test_jemalloc)
  get_target_property(sources ${program} SOURCES)
  get_target_property(folder ${program} SOURCE_DIR)
  list(TRANSFORM sources PREPEND ${folder}/)
  add_executable(broken_${program} ${sources})
  broken_like(broken_${program} ${program})
  set_target_properties(broken_${program} PROPERTIES OUTPUT_NAME ${program})
endforeach()

add_library(broken_malloc SHARED)
broken_like(broken_malloc sparena_malloc)
# Here the program's errno and the library's can be told apart.
target_link_options(broken_malloc PRIVATE -Wl,--wrap=__errno_location)
set_target_properties(broken_malloc PROPERTIES OUTPUT_NAME sparena_malloc LINKER_LANGUAGE C
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

# It takes the library that lies beside it.
add_custom_command(OUTPUT ${broken_dir}/sparena
  COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:sparena> ${broken_dir}/sparena DEPENDS sparena VERBATIM)
add_custom_target(broken_sparena ALL DEPENDS ${broken_dir}/sparena)

set(broken_test ${CMAKE_CURRENT_SOURCE_DIR}/test_broken.sh)
sparena_test(meta_broken LABEL meta TIMEOUT 600 COMMAND sh ${broken_test} ${CMAKE_CTEST_COMMAND} ${PROJECT_BINARY_DIR})
sparena_test(meta_broken_self LABEL meta TIMEOUT 60
  COMMAND sh ${broken_test} --self-test ${CMAKE_CTEST_COMMAND} ${PROJECT_BINARY_DIR})
# It takes every processor.
set_tests_properties(meta_broken PROPERTIES RUN_SERIAL TRUE)
