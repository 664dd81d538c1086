# SPDX-License-Identifier: BSD-2-Clause
# Checks that are no tests: which lines of src/ the tests run, and clang-tidy (its packages
# are as large as all others together, so that CI does without it).

# sparena_counted(<target>): its lines are counted when they are run.
function(sparena_counted target)
  if(SPARENA_COVERAGE)
    target_compile_options(${target} PRIVATE -fprofile-arcs -ftest-coverage -fprofile-update=atomic -O0 -DNDEBUG)
    target_link_options(${target} INTERFACE --coverage)
    # Not in shared libraries: processes that end with memory full, or in a fork, are theirs.
    target_link_libraries(${target} PUBLIC
      $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:sparena_coverage_exit>)
  endif()
endfunction()

# One file a run: clang-tidy 14 takes a va_list for uninitialised in the second.
find_program(SPARENA_CLANG_TIDY NAMES clang-tidy)
mark_as_advanced(SPARENA_CLANG_TIDY)
if(SPARENA_CLANG_TIDY AND SPARENA_DROPIN)
  cmake_host_system_information(RESULT processors QUERY NUMBER_OF_LOGICAL_CORES)
  file(GLOB_RECURSE tidy_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.c)
  list(JOIN tidy_sources "\n" tidy_sources)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tidy.txt CONTENT "@tidy_sources@\n" @ONLY)
  add_custom_target(tidy
    COMMAND xargs -a tidy.txt -n 1 -P ${processors} ${SPARENA_CLANG_TIDY} -p . --quiet
    USES_TERMINAL VERBATIM)
endif()

if(SPARENA_COVERAGE)
  add_library(sparena_coverage_exit STATIC ${PROJECT_SOURCE_DIR}/tests/support/coverage_exit.c)
  set_target_properties(sparena_coverage_exit PROPERTIES C_VISIBILITY_PRESET default)
  # Counts of objects that are no more would only be complained of.
  add_custom_target(coverage_anew ALL COMMAND find . -name *.gcda -delete VERBATIM)
  add_custom_target(coverage
    COMMAND python3 ${PROJECT_SOURCE_DIR}/cmake/coverage.py ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}
    USES_TERMINAL VERBATIM)
endif()
