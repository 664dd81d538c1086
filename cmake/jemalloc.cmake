# jemalloc 5.3.0, built privately while configuring, and kept in a cache outside the
# build directory, so that it is built once for each variant. Defines
#   sparena_jemalloc         jemalloc as one object, every name prefixed sparena_je_; it may
#                            be opened by dlopen(3), and starts when it is first used
#   sparena_jemalloc_malloc  the same, its entry points being malloc, free, ... (the drop-in);
#                            loaded with the program, and started by its constructor
#   SPARENA_JEMALLOC_OBJECT, SPARENA_JEMALLOC_MALLOC_OBJECT  their files
#   SPARENA_JEMALLOC_INCLUDE, SPARENA_JEMALLOC_MALLOC_INCLUDE  where their headers are
#   SPARENA_JEMALLOC_LICENSE its licence text
# Link one of the two, never both. Their include directory shows jemalloc's internals.

include_guard()

set(jemalloc_version 5.3.0)
set(jemalloc_sha256 2db82d1e7119df3e71b7640219b6dfe84789bc0537983c3b7ac4f7189aecfeaa)
set(jemalloc_url https://github.com/jemalloc/jemalloc/releases/download/5.3.0/jemalloc-5.3.0.tar.bz2)
# The entry points that need no code of ours between: exported as they are.
set(jemalloc_entries malloc free)
# Part of the cache's key. Raise it when the steps below change in a way that the rest of the key doesn't show.
set(jemalloc_recipe 5)

if(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(cache_default $ENV{XDG_CACHE_HOME}/sparena)
elseif(NOT "$ENV{HOME}" STREQUAL "")
  set(cache_default $ENV{HOME}/.cache/sparena)
else()
  set(cache_default ${PROJECT_BINARY_DIR}/cache)
endif()
set(SPARENA_CACHE_DIR ${cache_default} CACHE PATH "Where jemalloc's tarball and its builds are kept")
set(tarball ${SPARENA_CACHE_DIR}/jemalloc-${jemalloc_version}.tar.bz2)
set(scratch ${SPARENA_CACHE_DIR}/scratch)

# Runs a step of the build in DIRECTORY; the last lines of its output say why it failed.
function(jemalloc_run what directory)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${directory}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    file(REMOVE_RECURSE ${scratch})
    string(LENGTH "${output}" length)
    if(length GREATER 3000)
      math(EXPR from "${length} - 3000")
      string(SUBSTRING "${output}" ${from} -1 output)
    endif()
    message(FATAL_ERROR "jemalloc: ${what} failed (${result}):\n${output}")
  endif()
endfunction()

# Takes FILE into the cache as ${tarball} if it is the release; else notes in ${tried} why not.
function(jemalloc_accept from file)
  if(NOT EXISTS "${file}")
    list(APPEND tried "${from}: not there")
  else()
    file(SHA256 "${file}" actual)
    if(actual STREQUAL jemalloc_sha256)
      file(COPY_FILE "${file}" ${tarball}.new)
      file(RENAME ${tarball}.new ${tarball})
    else()
      list(APPEND tried "${from}: wrong sha256 ${actual}")
    endif()
  endif()
  set(tried "${tried}" PARENT_SCOPE)
endfunction()

# Leaves the verified tarball at ${tarball}, or stops.
function(jemalloc_tarball)
  set(tried)
  set(download ${scratch}/download)
  file(MAKE_DIRECTORY ${download})

  if(SPARENA_JEMALLOC_TARBALL)
    jemalloc_accept("SPARENA_JEMALLOC_TARBALL (${SPARENA_JEMALLOC_TARBALL})" "${SPARENA_JEMALLOC_TARBALL}")
  endif()
  if(EXISTS ${tarball})
    file(SHA256 ${tarball} actual)
    if(actual STREQUAL jemalloc_sha256)
      return()
    endif()
    file(REMOVE ${tarball})
  endif()

  message(STATUS "jemalloc: looking for Debian's source package")
  execute_process(COMMAND sh ${PROJECT_SOURCE_DIR}/cmake/debian-source.sh jemalloc ${download}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(result EQUAL 0)
    jemalloc_accept("Debian's source package" ${download}/jemalloc_${jemalloc_version}.orig.tar.bz2)
  else()
    string(REGEX REPLACE "[\n;]+" " " output "${output}")
    string(STRIP "${output}" output)
    list(APPEND tried "Debian's source package: ${output}")
  endif()

  if(NOT EXISTS ${tarball})
    message(STATUS "jemalloc: downloading ${jemalloc_url}")
    file(DOWNLOAD ${jemalloc_url} ${download}/upstream.tar.bz2
      TLS_VERIFY ON INACTIVITY_TIMEOUT 30 TIMEOUT 300 STATUS status)
    list(GET status 0 code)
    if(code EQUAL 0)
      jemalloc_accept("${jemalloc_url}" ${download}/upstream.tar.bz2)
    else()
      list(GET status 1 reason)
      list(APPEND tried "${jemalloc_url}: ${reason}")
    endif()
  endif()

  if(NOT EXISTS ${tarball})
    file(REMOVE_RECURSE ${scratch})
    list(JOIN tried "\n  " tried)
    message(FATAL_ERROR "jemalloc ${jemalloc_version} was not found. Tried:\n  ${tried}\n"
      "Name it by -DSPARENA_JEMALLOC_TARBALL=FILE (sha256 ${jemalloc_sha256}).")
  endif()
endfunction()

# Unpacks into the build directory those of the release's files that match the PATTERNS;
# ${out} is then where the release's top directory lies.
function(jemalloc_unpack out)
  file(MAKE_DIRECTORY ${SPARENA_CACHE_DIR})
  file(LOCK ${SPARENA_CACHE_DIR} DIRECTORY GUARD FUNCTION)
  jemalloc_tarball()
  file(REMOVE_RECURSE ${scratch})
  file(ARCHIVE_EXTRACT INPUT ${tarball} DESTINATION ${PROJECT_BINARY_DIR} PATTERNS ${ARGN})
  set(${out} ${PROJECT_BINARY_DIR}/jemalloc-${jemalloc_version} PARENT_SCOPE)
endfunction()

# Stops unless each overridden name is a weak function of ARCHIVE. A name that a change in
# jemalloc or a slip of ours made vanish would otherwise just never be called.
function(jemalloc_check archive)
  execute_process(COMMAND ${CMAKE_NM} ${archive} OUTPUT_VARIABLE symbols ERROR_QUIET
    COMMAND_ERROR_IS_FATAL ANY)
  foreach(name IN LISTS overrides)
    if(NOT symbols MATCHES " [TtW] sparena_je_${name}\n")
      list(APPEND wrong "sparena_je_${name} is not a function of it")
    elseif(NOT symbols MATCHES " W sparena_je_${name}\n")
      list(APPEND wrong "sparena_je_${name} is not weak")
    endif()
  endforeach()
  if(wrong)
    file(REMOVE_RECURSE ${scratch})
    list(JOIN wrong "\n  " wrong)
    message(FATAL_ERROR "jemalloc ${jemalloc_version} does not fit src/heap/je_overrides.h:\n  ${wrong}")
  endif()
endfunction()

# Builds jemalloc into ${kept}. All of it happens in ${scratch}, beside; one rename at the
# end, so that an interrupted build leaves nothing that looks like a finished one.
function(jemalloc_build)
  message(STATUS "jemalloc: building ${jemalloc_version} (about a minute, once)")
  set(source ${scratch}/jemalloc-${jemalloc_version})
  set(result ${scratch}/result)
  file(MAKE_DIRECTORY ${result})
  file(ARCHIVE_EXTRACT INPUT ${tarball} DESTINATION ${scratch})
  file(COPY ${overrides_header} DESTINATION ${source})

  # The caller's environment must not decide what is built.
  set(clean ${CMAKE_COMMAND} -E env --unset=CPPFLAGS --unset=LDFLAGS --unset=LIBS --unset=EXTRA_CFLAGS
    --unset=MAKEFLAGS --unset=MAKELEVEL --unset=MALLOC_CONF --unset=LD_PRELOAD)
  jemalloc_run("configure" ${source} ${clean} CC=${CMAKE_C_COMPILER} "CFLAGS=${cflags}"
    sh ./configure ${configure_flags})

  # The header goes in here and not by CFLAGS, or configure's own test programs would have it.
  # -g2: jemalloc's configure asks for -g3, whose macros make the objects four times as large.
  cmake_host_system_information(RESULT jobs QUERY NUMBER_OF_LOGICAL_CORES)
  find_program(SPARENA_MAKE NAMES gmake make REQUIRED)
  mark_as_advanced(SPARENA_MAKE)
  set(compile "-g2 -include ${source}/je_overrides.h -ffile-prefix-map=${source}=jemalloc-${jemalloc_version}")
  set(make ${clean} ${SPARENA_MAKE} -j${jobs})
  jemalloc_run("make" ${source} ${make} "EXTRA_CFLAGS=${compile} -DSPARENA_ENTRY_POINTS" src/jemalloc.pic.o)
  jemalloc_run("make" ${source} ${make} "EXTRA_CFLAGS=${compile}" lib/libjemalloc_pic.a)
  jemalloc_check(${source}/lib/libjemalloc_pic.a)

  # sparena_real_X is where X's original stays reachable once a strong sparena_je_X of
  # ours has replaced the weak one.
  list(TRANSFORM overrides REPLACE "(.+)" "--defsym=sparena_real_\\1=sparena_je_\\1" OUTPUT_VARIABLE originals)
  jemalloc_run("linking" ${source} ${CMAKE_LINKER} -r -o linked.o ${originals}
    --whole-archive lib/libjemalloc_pic.a)
  # Its options are fixed: no environment variable and no /etc/malloc.conf reaches it.
  set(fixed --redefine-sym=secure_getenv=sparena_no_environment --redefine-sym=readlink=sparena_no_link
    --redefine-sym=pthread_atfork=sparena_at_fork)
  if(NOT dropin)
    # Nobody pays for heaps who has none.
    jemalloc_run("renaming" ${source} ${CMAKE_OBJCOPY} ${fixed} --remove-section=.init_array
      linked.o ${result}/jemalloc.o)
  else()
    jemalloc_run("renaming" ${source} ${CMAKE_OBJCOPY} ${fixed} linked.o fixed.o)
    jemalloc_export(${source} ${result})
  endif()

  file(COPY ${source}/include DESTINATION ${result} FILES_MATCHING PATTERN *.h)
  file(COPY ${source}/COPYING DESTINATION ${result})
  file(RENAME ${result} ${kept})
endfunction()

# ${result}/jemalloc.o with malloc, free, ... as names.
function(jemalloc_export source result)
  # The drop-in exports jemalloc's functions themselves. They are renamed, and the prefixed
  # name is the alias, not the other way: an alias has size 0, and Valgrind and profilers
  # pass over an exported function without a size.
  list(TRANSFORM jemalloc_entries REPLACE "(.+)" "--redefine-sym=sparena_je_\\1=\\1" OUTPUT_VARIABLE renames)
  list(TRANSFORM jemalloc_entries REPLACE "(.+)" "--defsym=sparena_je_\\1=\\1" OUTPUT_VARIABLE aliases)
  jemalloc_run("renaming" ${source} ${CMAKE_OBJCOPY} ${renames} fixed.o renamed.o)
  jemalloc_run("linking" ${source} ${CMAKE_LINKER} -r -o ${result}/jemalloc.o ${aliases} renamed.o)
endfunction()

# Leaves the directory of one variant in ${out}, built if it is not in the cache.
function(jemalloc_find out dropin)
  file(STRINGS ${overrides_header} overrides REGEX "^#pragma weak sparena_je_[a-z0-9_]+")
  list(TRANSFORM overrides REPLACE "^#pragma weak sparena_je_([a-z0-9_]+).*" "\\1")
  file(SHA256 ${overrides_header} overrides_sha256)

  # The private namespace makes internal names sparena_je_ too, as the public prefix does.
  set(configure_flags --with-jemalloc-prefix=sparena_je_ --with-private-namespace=sparena_
    --disable-cxx --disable-cache-oblivious --disable-doc)
  # Else configure asks the processor of the machine that it runs on. User space has no more
  # unless a program asks mmap(2) for it, and with less than 49 the entries of jemalloc's
  # map of extents are of one word instead of two.
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|aarch64|arm64)$")
    list(APPEND configure_flags --with-lg-vaddr=48)
  endif()
  set(cflags "-O3 -funroll-loops -g -fPIC -fvisibility=hidden -std=gnu11")
  if(NOT dropin)
    list(APPEND configure_flags --disable-initial-exec-tls)
  endif()
  if(SPARENA_JEMALLOC_DEBUG)
    list(APPEND configure_flags --enable-debug)
    string(REPLACE "-O3" "-O1" cflags "${cflags}")
  endif()

  string(SHA256 key "${jemalloc_recipe} ${dropin} ${jemalloc_sha256} ${configure_flags} ${cflags} ${jemalloc_entries} \
${CMAKE_C_COMPILER} ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} ${overrides_sha256}")
  string(SUBSTRING ${key} 0 16 key)
  set(kept ${SPARENA_CACHE_DIR}/jemalloc-${jemalloc_version}-${key})

  if(NOT EXISTS ${kept})
    # One builder at a time: a second build directory waits, then finds the work done.
    file(MAKE_DIRECTORY ${SPARENA_CACHE_DIR})
    file(LOCK ${SPARENA_CACHE_DIR} DIRECTORY GUARD FUNCTION)
    if(NOT EXISTS ${kept})
      file(REMOVE_RECURSE ${scratch})
      jemalloc_tarball()
      jemalloc_build()
      file(REMOVE_RECURSE ${scratch})
    endif()
  endif()
  message(STATUS "jemalloc: ${kept}")
  set(${out} ${kept} PARENT_SCOPE)
endfunction()

set(overrides_header ${PROJECT_SOURCE_DIR}/src/heap/je_overrides.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${overrides_header})
jemalloc_find(library OFF)
jemalloc_find(dropin ON)

set(SPARENA_JEMALLOC_LICENSE ${dropin}/COPYING)
set(SPARENA_JEMALLOC_OBJECT ${library}/jemalloc.o)
set(SPARENA_JEMALLOC_INCLUDE ${library}/include)
set(SPARENA_JEMALLOC_MALLOC_OBJECT ${dropin}/jemalloc.o)
set(SPARENA_JEMALLOC_MALLOC_INCLUDE ${dropin}/include)
foreach(target_kept IN ITEMS sparena_jemalloc:${library} sparena_jemalloc_malloc:${dropin})
  string(REPLACE ":" ";" pair ${target_kept})
  list(GET pair 0 target)
  list(GET pair 1 kept)
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE ${kept}/jemalloc.o Threads::Threads ${CMAKE_DL_LIBS} m)
  target_include_directories(${target} SYSTEM INTERFACE ${kept}/include)
endforeach()
