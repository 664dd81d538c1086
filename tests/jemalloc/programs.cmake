# jemalloc's test programs, each once: what is run, as far as it can be, and what is not, and
# why. Where the private copy differs, it does so on purpose: src/heap/je_overrides.h.

# ---- what everybody is offered --------------------------------------------------------

jemalloc_test(integration/MALLOCX_ARENA)
jemalloc_test(integration/aligned_alloc)
jemalloc_test(integration/allocated)
jemalloc_test(integration/extent LEAVE_OUT
  "Expected purge" "an extent that exists is backed, and stays so: its pages are never purged")
jemalloc_test(integration/malloc)
jemalloc_test(integration/mallocx)
jemalloc_test(integration/overflow)
jemalloc_test(integration/posix_memalign)
jemalloc_test(integration/rallocx)
jemalloc_test(integration/sdallocx)
jemalloc_test(integration/thread_arena)
jemalloc_test(integration/thread_tcache_enabled)
jemalloc_test(integration/xallocx)

jemalloc_no_test("slabs have sizes of our own (je_glue.c), which come after the program's" integration/slab_sizes)
jemalloc_no_test("the function is not compiled in (--enable-experimental-smallocx)" integration/smallocx)
jemalloc_no_test("C++ operators are not compiled in (--disable-cxx); operator new is libstdc++'s, on our malloc"
  integration/cpp/basic integration/cpp/infallible_new_false integration/cpp/infallible_new_true)

# ---- what is inside -------------------------------------------------------------------

jemalloc_test(unit/a0)
jemalloc_test(unit/arena_reset LEAVE_OUT
  "test_arena_destroy_hooks_unmap" "it unmaps what our hooks gave it, and the books could not balance")
jemalloc_test(unit/base)
jemalloc_test(unit/batch_alloc JEMALLOC "tcache_gc_incr_bytes:2147483648")
jemalloc_test(unit/binshard JEMALLOC "narenas:1,bin_shards:1-160:16|129-512:4|256-256:8")
jemalloc_test(unit/buf_writer LEAVE_OUT
  "test_buf_write_oom" "only jemalloc's test build takes a size that is too large"
  "test_buf_write_pipe_oom" "only jemalloc's test build takes a size that is too large")
jemalloc_test(unit/counter)
jemalloc_test(unit/edata_cache)
jemalloc_test(unit/fork)
jemalloc_test(unit/hook)
jemalloc_test(unit/huge LEAVE_OUT
  "Wrong arena used for half huge" "no arena is set apart for large blocks (oversize_threshold:0)"
  "Huge and small should be from different arenas" "no arena is set apart for large blocks"
  "Wrong arena used after binding" "no arena is set apart for large blocks")
jemalloc_test(unit/inspect)
jemalloc_test(unit/mallctl LEAVE_OUT
  "test_arena_i_retain_grow_limit" "nothing is retained (retain:false)"
  "test_prof_active" "profiling is not compiled in")
jemalloc_test(unit/mq)
jemalloc_test(unit/oversize_threshold LEAVE_OUT
  "Expected no 512k purge" "arenas keep nothing: what is freed goes to our pages at once")
jemalloc_test(unit/pack)
jemalloc_test(unit/slab)
jemalloc_test(unit/stats LEAVE_OUT
  "At least one purge should have occurred" "arenas keep nothing that could be purged"
  "nrequests should be greater than zero" "jemalloc.c counts no requests (je_overrides.h)")
jemalloc_test(unit/stats_print)
jemalloc_test(unit/tcache_max LEAVE_OUT
  "tcache_max not expected" "the option is ours: thread_cache, 16 KiB at least")
jemalloc_test(unit/thread_event)
jemalloc_test(unit/zero_realloc_free)

if(SPARENA_JEMALLOC_DEBUG)
  jemalloc_test(unit/size_check)
  jemalloc_test(unit/uaf)
else()
  jemalloc_no_test("the checks are jemalloc's for debugging: preset dev" unit/size_check unit/uaf)
endif()

jemalloc_no_test("profiling is not compiled in" unit/arena_reset_prof unit/batch_alloc_prof unit/prof_accum
  unit/prof_active unit/prof_gdump unit/prof_hook unit/prof_idump unit/prof_log unit/prof_mdump unit/prof_recent
  unit/prof_reset unit/prof_stats unit/prof_sys_thread_name unit/prof_tctx unit/prof_thread_name)
jemalloc_no_test("the checks are not compiled in (--enable-opt-safety-checks)"
  unit/double_free unit/safety_check)
jemalloc_no_test("the log is not compiled in (--enable-log)" unit/log)
jemalloc_no_test("the option is fixed to another value (je_glue.c): junk:false, zero:false, zero_realloc:free"
  unit/junk unit/junk_alloc unit/junk_free unit/zero unit/zero_realloc_abort unit/zero_realloc_alloc)
jemalloc_no_test("jemalloc.c counts no requests, nor reallocs to 0 (je_overrides.h)" unit/zero_reallocs)
jemalloc_no_test("the name is taken: our fixed options stand there" unit/malloc_conf_2)
jemalloc_no_test("there are no background threads (je_overrides.h)" unit/background_thread
  unit/background_thread_enable)
jemalloc_no_test("huge pages are ours to find; jemalloc's allocator of them is off (hpa:false)"
  unit/hpa unit/hpa_background_thread unit/hpdata unit/psset unit/sec)
jemalloc_no_test("arenas keep nothing (je_glue.c), so there is nothing to decay and nothing retained"
  unit/decay unit/retained unit/san_bump)
jemalloc_no_test("the ecache hands out no guarded extents (je_glue.c)" unit/san)
jemalloc_no_test("it needs jemalloc's test build, which has other code for it than is used" unit/arena_decay
  unit/rtree unit/tsd unit/witness)
jemalloc_no_test("our cache_bin_info_init() finds a size by its place in jemalloc's table; the test has its own"
  unit/cache_bin)
jemalloc_no_test("arithmetic and data structures of jemalloc's alone, which have no hook under them"
  unit/SFMT unit/atomic unit/bit_util unit/bitmap unit/ckh unit/div unit/emitter unit/extent_quantize unit/fb
  unit/fxp unit/hash unit/malloc_io unit/math unit/mpsc_queue unit/mtx unit/nstime unit/peak unit/ph unit/prng
  unit/ql unit/qr unit/rb unit/sc unit/seq unit/size_classes unit/smoothstep unit/spin unit/sz unit/test_hooks
  unit/ticker)
jemalloc_no_test("it maps pages by itself, and they are none of ours" unit/pa unit/pages)

# ---- much of it -----------------------------------------------------------------------

jemalloc_test(stress/fill_flush ROUNDS_DIVISOR 20)
jemalloc_test(stress/large_microbench ROUNDS_DIVISOR 20)
jemalloc_test(stress/mallctl ROUNDS_DIVISOR 200)
jemalloc_test(stress/microbench ROUNDS_DIVISOR 200)

jemalloc_no_test("it makes so many calls for minutes, and in 3 GiB; unit/batch_alloc and unit/hook make the same"
  stress/batch_alloc stress/hookbench)
jemalloc_no_test("they print tables, and test nothing" analyze/prof_bias analyze/rand analyze/sizes)
