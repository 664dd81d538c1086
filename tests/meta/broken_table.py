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
    "fault_failpoints": {
        "populate": r"region_resident_now\(r\) is 0, ",
        "limit": r"not so: budget_charged\(&budget\) <= LIMIT",
        "kill": r"\(untouched\): signal 9",
        "address": r"address_space\(\) is \d+",
        "keep": r"resident is \d+, committed is 0",
        "remains": r"resident is \d+, committed is 0",
        "dirty": r"not so: p\[at\] == 0",
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
    "stress_thp_modes": {"populate": BOOKS, "keep": BOOKS, "remains": BOOKS},
}

# What is run in a test's place: its script takes minutes, or sets up the machine. Always,
# or only where every promise is kept, as a script that fails does so at its beginning.
Instead = collections.namedtuple("Instead", "command options always")
INSTEAD = {
    "fault_inject": Instead(lambda command: [command[-1], "once"], "limit:48M,strict:true", False),
    "stress_thp_modes": Instead(lambda command: [command[-1]], "limit:400M,strict:true", True),
}

# Tests that no promise of memory is behind, and why.
WITHOUT = {
    "unit_base": "arithmetic, bitmaps and text",
    "unit_os_(file|descriptor)": "read and write files; what becomes of their pages is seen in unit_backing",
    "unit_backing(_each)?": "one floor's calls, each compared with the kernel's own view at once",
    "unit_(region|pages|wide)_each":
        "set up file systems and pools, for minutes; on private memory the same are unit_region and unit_pages",
    "fork_.*|heap_memfd_.*|integration_fork_shared":
        "set up file systems and pools; the books of each child are compared with the kernel's own view",
    "preload_(redis|postgresql)": "what is in the data of parent and child; the sizes are preload_memcached's",
    "unit_bench(_alloc)?": "arithmetic and text",
    "integration_bench(_(alloc|programs))?": "measures",
    "fault_shared": "as fault_failpoints; what a descriptor's memory takes is seen in integration_matrix",
    "integration_(matrix|mounts)|preload_memcached_backings":
        "set up file systems and pools, for minutes; each cell is compared with the kernel's own view",
    "integration_(heaps|heaps_memfd|open_heap)": "integration_heaps_dropin by another library, or on another backing",
    "unit_conf": "parses options",
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
    "unit_runset": "an index; whether what it lists is backed is seen in unit_pages",
    "preload_(constructor|atexit|key|dlopen|fork|fork_in_thread|close_all|cancel)(_linked)?|preload_cancel_(limit|backing)_.*":
        "that malloc works there at all; its promises are the same as in preload_family",
    "integration_check(_(cgroup|hugetlb|swap|zram|overcommit|thp|ksm))?":
        "what `sparena check` finds; it changes settings of the machine",
    "preload_demo": "shows to people what preload_programs, _python_limit and _memcached test",
    "conformance_(table|driver)":
        "what malloc answers beside glibc's; whether that is backed is seen in preload_family",
    "preload_cross_free(_linked)?":
        "that no block is lost between threads, far below the limit",
}

# Suites about something else: the sources and the files of the build, what is installed.
OTHER_LABELS = {"meta", "install"}
