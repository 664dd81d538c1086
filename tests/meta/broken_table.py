# SPDX-License-Identifier: BSD-2-Clause
"""For broken.py: which test fails when which promise is switched off, and what it says
then (a regular expression). broken.c says what each switch does.
"""
import collections

PROMISES = {
    "P1": "backed",
    "P2": "fails as C does",
    "P3": "goes back",
    "P4": "books balance",
    "P5": "zero when new",
}
SWITCHES = {
    "populate": "P1",
    "limit": "P2",
    "kill": "P2",
    "error": "P2",
    "errno": "P2",
    "guard": "P2",
    "address": "P2",
    "keep": "P3",
    "clock": "P3",
    "remains": "P4",
    "huge": "P4",
    "dirty": "P5",
}
KILLED = r"exit code 137"  # or by SIGKILL and without a word


def failed(name):
    """What CMocka says."""
    return rf"FAILED  \] {name}"


BOOKS = r"books: committed .*"
NO_ENOMEM = r'no "errno 12, again 1" in (its|the) output'

# Keys match whole names; a test is in one of them, or in WITHOUT.
TABLE = {
    "unit_os": {
        "populate": failed("test_populate_discard"),
        "address": failed("test_reserve"),
        "keep": failed("test_populate_discard"),
        "remains": failed("test_populate_discard"),
    },
    "unit_region": {
        "populate": failed("commit_is_resident_and_charged"),
        "limit": failed("limit_refuses_whole"),
        "error": failed("limit_refuses_whole"),
        "keep": failed("decommit_gives_back_and_zeroes"),
        "remains": failed("decommit_gives_back_and_zeroes"),
        "huge": failed("zones_say_what_may_be_huge"),
        "dirty": failed("decommit_gives_back_and_zeroes"),
    },
    "unit_region_fork": {
        "populate": r"not so: resident == r->committed",
        "keep": r"not so: resident == r->committed",
        "remains": r"not so: resident == r->committed",
        "limit": r"not so: region_commit\(r, 10 \* MiB, 30 \* MiB\) == -ENOMEM",
        "dirty": r"not so: r->base\[at\] == 0",
    },
    "unit_guard": {
        "guard": failed("cgroup_binds"),
        "populate": failed("commit_that_runs_short_is_undone"),
        "keep": failed("commit_that_runs_short_is_undone"),
        "remains": failed("commit_that_runs_short_is_undone"),
    },
    "unit_exact": {"guard": failed("full_cgroup_starts_none")},
    "unit_pages": {
        "populate": failed("used_part_keeps_its_huge_chunk"),
        "limit": failed("refusal_is_remembered_until_a_free"),
        "kill": KILLED,
        "error": failed("keep_is_left_free"),
        "keep": failed("trim_gives_everything_free_back"),
        "remains": failed("trim_gives_everything_free_back"),
        "dirty": r"not so: data.base\[at\] == 0",
    },
    "heap": {
        "populate": r"not so: resident\(\) == ",
        "limit": r"not so: committed <= budget_limit",
        "kill": KILLED,
        "keep": r"not so: resident\(\) == ",
        "clock": failed("idle_memory_goes_back"),
        "remains": r"not so: resident\(\) == ",
        "dirty": r"not so: p\[i\] == 0",
    },
    "heap_lazy": {
        "populate": r"not so: s.resident == backed",
        "limit": r"not so: charged\(\) <= budget_limit",
        "kill": KILLED,
        "keep": r"not so: touched\(\) <= lazy\(\)",
        "remains": r"not so: touched\(\) <= lazy\(\)",
        "dirty": r"is_zero\(p, 12 \* MiB\)",
    },
    "heap_lazy_random": {
        "populate": r"not so: resident\(\) == ",
        "kill": KILLED,
        "keep": r"not so: touched <= region_committed",
        "remains": r"not so: touched <= region_committed",
        "dirty": r"not so: p\[i\] == 0",
    },
    "fault_failpoints": {
        "populate": r"region_resident_now\(r\) is 0, ",
        "limit": r"not so: budget_charged\(&budget\) <= LIMIT",
        "kill": r"\(untouched\): signal 9",
        "address": r"address_space\(\) is \d+",
        "keep": r"resident is \d+, committed is 0",
        "remains": r"resident is \d+, committed is 0",
        "dirty": r"not so: p\[at\] == 0",
    },
    "fault_jemalloc": {
        "populate": r"s\.resident is \d+, ",
        "keep": r"s\.resident is \d+, ",
        "remains": r"s\.resident is \d+, ",
        "dirty": r"not so: from >= to .*",
    },
    "fault_(inject|once)": {
        "populate": r"fault_victim: committed .*",
        "limit": r"not so: n < 60",
        "kill": KILLED,
        "errno": r"not so: .*errno == ENOMEM",
        "keep": r"fault_victim: committed .*",
        "remains": r"fault_victim: committed .*",
        "dirty": r"not so: p\[i\] == 0",
    },
    "integration_guard_grow": {"guard": r"FAIL: blocks of .*: exit code 137"},
    "integration_guard_race": {"guard": r"FAIL: . racing: the kernel killed"},
    "integration_guard_python": {"guard": r"FAIL: python3: exit code 137"},
    "integration_cli": {
        "populate": r"\d+ are charged, \d+ resident",
        "limit": r"committed_peak is \d+",
        "kill": KILLED,
        "errno": NO_ENOMEM,
        "keep": r"\d+ are charged, \d+ resident",
        "remains": r"\d+ are charged, \d+ resident",
    },
    "integration_heaps_dropin": {
        "populate": failed("test_(family|limit)"),
        "limit": failed("test_limit"),
        "kill": KILLED,
        "keep": failed("test_(family|limit)"),
        "remains": failed("test_(family|limit)"),
        "dirty": failed("test_family"),
    },
    "preload_family(_linked)?": {
        "populate": failed("test_backed"),
        "limit": failed("test_limit_and_back"),
        "kill": KILLED,
        "errno": failed("test_impossible_sizes"),
        "keep": failed("test_limit_and_back"),
        "remains": failed("test_limit_and_back"),
        "dirty": failed("test_calloc_reads_zero"),
    },
    "preload_glibc(_linked)?": {
        "populate": failed("test_trim"),
        "errno": failed("test_foreign_others"),
        "keep": failed("test_trim"),
        "remains": failed("test_trim"),
    },
    "preload_cxx(_linked)?": {
        "limit": "first > 50 && first <= 256",
        "kill": KILLED,
    },
    "preload_programs": {"kill": KILLED, "dirty": "FAIL: .*"},
    "preload_python_limit": {
        "limit": "FAIL: peak resident, KiB: .*",
        "kill": KILLED,
        "keep": "resident of the region at the end, KiB: .*",
        "clock": "resident of the region at the end, KiB: .*",
    },
    "preload_memcached": {
        "limit": "FAIL: peak resident, KiB: .*",
        "kill": "memcached ended with 137",
    },
    "preload_options": {
        "limit": "SPARENA_CONF=limit:64M: MiB: .*",
        "kill": KILLED,
        "errno": NO_ENOMEM,
    },
    "preload_lazy": {
        "populate": r"FAIL: lazy_above:never: resident, MiB: .*",
        "limit": r"FAIL: limit:200M,lazy_above:512K: got, MiB: .*",
        "kill": KILLED,
        "errno": r'no "errno 12," in (its|the) output',
    },
    "preload_ulimit": {
        "limit": "limit:100M under ulimit -v: MiB: .*",
        "kill": KILLED,
        "errno": NO_ENOMEM,
    },
    "stress_exhaustion(_small_pages)?": {
        "populate": BOOKS,
        "limit": BOOKS,
        "kill": KILLED,
        # Or the C library finds it out, which starts a thread without memory.
        "errno": r"not so: errno == ENOMEM|Unexpected error",
        "keep": BOOKS,
        "remains": BOOKS,
        "dirty": r"not so: p\[i\] == 0",
    },
    "stress_many_threads": {
        "populate": BOOKS,
        "limit": BOOKS,
        "kill": KILLED,
        "errno": r"not so: p \|\| errno == ENOMEM",
        "keep": BOOKS,
        "remains": BOOKS,
    },
    "stress_mthp": {"populate": BOOKS, "limit": BOOKS, "kill": KILLED, "errno": r"errno == ENOMEM", "keep": BOOKS,
                    "remains": BOOKS},
    "stress_thp_modes": {"populate": BOOKS, "keep": BOOKS, "remains": BOOKS},
}

# What is run in a test's place: its script takes minutes, or sets up the machine. Always,
# or only where every promise is kept, as a script that fails does so at its beginning.
Instead = collections.namedtuple("Instead", "command options always")
INSTEAD = {
    "fault_inject": Instead(lambda command: [command[-1], "once"], "limit:48M,strict:true", False),
    "stress_mthp": Instead(lambda command: [command[-1]], "limit:30M,decay_ms:20,strict:true", True),
    "stress_thp_modes": Instead(lambda command: [command[-1]], "limit:400M,strict:true", True),
}

# Tests that no promise of memory is behind, and why.
WITHOUT = {
    "unit_base": "arithmetic, bitmaps and text",
    "unit_os_(file|descriptor)": "read and write files; what becomes of their pages is seen in unit_backing",
    "unit_backing(_each)?": "one floor's calls, each compared with the kernel's own view at once",
    "unit_region_trap(_each)?|integration_heaps_(dropin_)?(harden|trap)|preload_(family|lifetime)_harden":
        "the same program with another option",
    "(heap|preload)_harden": "mistakes of programs",
    "unit_(region|pages|wide)_each":
        "set up file systems and pools, for minutes; on private memory the same are unit_region and unit_pages",
    "heap_lazy_fork": "what is in the data of parent and child; the sizes are those of heap_lazy",
    "fork_.*|heap_memfd_.*|integration_fork_shared":
        "set up file systems and pools; the books of each child are compared with the kernel's own view",
    "preload_(redis|postgresql)": "what is in the data of parent and child; the sizes are preload_memcached's",
    "preload_suite_.*": "tests of other programs, of which none looks at memory's books; the sizes are preload_memcached's",
    "unit_bench(_(alloc|pageout))?": "arithmetic and text",
    "integration_bench(_(alloc|pageout|programs))?": "measures",
    "fuzz_(conf|proc|pages|heap)": "look for what no test thought of; the models are unit_pages' and heap's",
    "heap_broken_pages": "what a commit does where a page is lost; books after each step",
    "integration_merged": "what the kernel merges; commits are heap's and unit_region's",
    "preload_memcached_locked": "what mlockall fills; the sizes are preload_memcached's",
    "heap_locked": "what is locked, beside what the kernel says is resident",
    "integration_swapped": "what is in swap, with books of its own after each step; commits are heap's and unit_region's",
    "integration_security": "who may open and see what; that new memory reads zero is unit_region's and heap's",
    "fault_memcheck": "what Valgrind says of mistakes",
    "preload_thread_cache": "counts what a thread keeps; limits are preload_family's",
    "fault_inject_(lazy|files|helper)": "as fault_inject, of other calls: those of lazy_above, of memory files, of the helper",
    "fault_calls_(region|heap|process|each)":
        "as fault_failpoints, of the C library's calls, with which the switches would come between, too",
    "integration_(matrix|mounts)|preload_memcached_backings":
        "set up file systems and pools, for minutes; each cell is compared with the kernel's own view",
    "integration_(heaps|heaps_memfd|open_heap)": "integration_heaps_dropin by another library, or on another backing",
    "unit_conf": "parses options",
    "stress_soak(_malloc)?": "as stress_exhaustion and heap, for long",
    "preload_overcommit_(ulimit|strict)":
        "programs that are tests themselves, where the system gives less; one changes settings of the machine",
    "integration_guard_(vm|hugetlb|levels|cache|limits|descriptors|memcached|postgresql)":
        "the guard as in integration_guard_grow, in other boxes",
    "unit_stats": "prints numbers that it makes up",
    "unit_os_helper": "a process: what it has, whom it ends with; the memory that it takes is seen in unit_exact",
    "integration_guard_helper_.*": "as unit_exact, in a cgroup; it counts whom the kernel kills there",
    "unit_os_fault": "whose fault it is, and who handles it",
    "unit_os_(cgroup|cgroup_level|machine)": "read /proc and /sys, from planted files too",
    "unit_(check|report)": "what `sparena check` says, and how",
    "unit_semantics|integration_check_semantics": "what the kernel does, and that each row of a table can fail",
    "unit_interleave":
        "orders of threads, by the same --wrap as broken.c's; what one thread gets is seen in unit_region and unit_pages",
    "unit_shards": "who finds which run; whether it is backed is seen in unit_pages",
    "unit_attend": "when it looks, and is rung for; whether what it commits is backed is seen in unit_pages",
    "(integration|preload)_background": "when memory goes back, and that it does; books at quiet moments",
    "unit_runset": "an index; whether what it lists is backed is seen in unit_pages",
    "preload_(constructor|atexit|key|dlopen|fork|fork_in_thread|close_all|cancel)(_linked)?|preload_cancel_(limit|backing)_.*":
        "that malloc works there at all; its promises are the same as in preload_family",
    "integration_check(_(cgroup|hugetlb|swap|zram|overcommit|thp|ksm))?":
        "what `sparena check` finds; it changes settings of the machine",
    "preload_demo": "shows to people what preload_programs, _python_limit and _memcached test",
    "conformance_(table|driver)":
        "what malloc answers beside glibc's; whether that is backed is seen in preload_family",
    "jemalloc_.*": "jemalloc's own programs, on hooks whose promises heap and fault_jemalloc test",
    "preload_cross_free(_linked)?":
        "that no block is lost between threads, far below the limit",
}

# Suites about something else: the sources and the files of the build, what is installed.
OTHER_LABELS = {"meta", "install"}
