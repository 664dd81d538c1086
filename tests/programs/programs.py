# SPDX-License-Identifier: BSD-2-Clause
"""Programs with tests of their own: which units those have, how one is run, and what it
says of each test. A unit is what is run at once; its results are {test: OK, FAILED or SKIPPED}.
"""
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

OK = "ok"
FAILED = "not ok"
SKIPPED = "skipped"

PYTHON = "/usr/bin/python3"


class Missing(Exception):
    """What has to be there for a program's tests is not."""


class Results(dict):
    """Tests may share a name: the second is NAME (2). Where time decides how often a test is
    repeated, all of a name are one."""

    def __init__(self, repeats=False):
        super().__init__()
        self.repeats = repeats

    def add(self, name, result):
        times = 1
        unique = name
        if self.repeats and self.get(name) == FAILED:
            return
        while unique in self and not self.repeats:
            times += 1
            unique = f"{name} ({times})"
        self[unique] = result


class Program:
    """One that was built in a folder, by build.sh."""
    name = ""
    server = ""  # its program in the folder, which must run with the drop-in
    repeating = ()  # units whose tests are repeated for a time, or as often as time allows
    # Its processes are known by their folder then, so there is one run in it at a time.
    overwrites_environment = False
    fixed_ports = ()  # units that listen where they must: likewise

    def __init__(self, folder):
        self.folder = os.path.realpath(os.path.join(folder, "src"))
        self.program = os.path.join(self.folder, self.server)

    def units(self):
        raise NotImplementedError

    def command(self, unit, scratch):
        raise NotImplementedError

    def results(self, unit, out, scratch):
        raise NotImplementedError

    def environment(self, _unit):
        return {}


class Memcached(Program):
    """Its testapp and sizes, and t/*.t: all that `make test` runs. They write TAP."""
    name = "memcached"
    server = "memcached-debug"
    line = re.compile(r"(not )?ok\b *(\d*)([^#]*)(?:#\s*(skip|todo))?", re.IGNORECASE)
    repeating = ("t/maxconns.t",)
    fixed_ports = ("t/issue_67.t", "t/proxy.t")

    def units(self):
        # whitespace.t is of the source's own text, and wants git.
        scripts = sorted(name for name in os.listdir(os.path.join(self.folder, "t"))
                         if name.endswith(".t") and name != "whitespace.t")
        return ["sizes", "testapp"] + [f"t/{name}" for name in scripts]

    def command(self, unit, scratch):
        return ["perl", unit] if unit.startswith("t/") else [f"./{unit}"]

    def results(self, unit, out, scratch):
        """By number: what follows may be another text in each run."""
        results = Results(unit in self.repeating)
        for line in out.splitlines():
            if re.match(r"1\.\.0\b", line):
                results.add("all", SKIPPED)
            match = self.line.match(line)
            if match:
                failed, number, name, directive = match.groups()
                directive = (directive or "").lower()
                result = SKIPPED if directive == "skip" else FAILED if failed and not directive else OK
                results.add(name.strip(" -") if results.repeats else number or "?", result)
        return results


class Redis(Program):
    """Its runtest, without the tests that it calls slow."""
    name = "redis"
    server = "src/redis-server"
    repeating = ("integration/psync2", "integration/psync2-reg")
    overwrites_environment = True  # by its title
    line = re.compile(r"\[(ok|err|exception|skip|ignore|TIMEOUT)\]: (.*)")
    words = {"ok": OK, "skip": SKIPPED, "ignore": SKIPPED}

    def units(self):
        return subprocess.run(["./runtest", "--list-tests"], cwd=self.folder, check=True, text=True,
                              stdout=subprocess.PIPE).stdout.split()

    def command(self, unit, scratch):
        return ["./runtest", "--single", unit, "--clients", "1", "--tags", "-slow"]

    def results(self, unit, out, scratch):
        results = Results(unit in self.repeating)
        for line in re.sub("\x1b\\[[0-9;]*m", "", out).splitlines():
            match = self.line.match(line)
            if match:
                name = re.sub(r" \(\d+ ms\)$| in tests/[\w/.-]*tcl$", "", match.group(2))
                name = re.sub(r"#\d+|= \d+", "N", name)  # random ones
                results.add(name, self.words.get(match.group(1), FAILED))
        return results


class Python(Program):
    """The modules of its own tests that are about memory, threads, processes and what it
    keeps in memory."""
    name = "python"
    variables = {}
    modules = """
        test_array test_bigaddrspace test_bigmem test_buffer test_bytes test_bz2 test_collections
        test_concurrent_futures test_copy test_ctypes test_deque test_dict test_exceptions test_faulthandler
        test_fork1 test_functools test_gc test_io test_itertools test_list test_lzma test_marshal test_memoryio
        test_memoryview test_mmap test_multiprocessing_fork test_multiprocessing_forkserver
        test_multiprocessing_main_handling test_multiprocessing_spawn test_ordered_dict test_os test_pickle
        test_picklebuffer test_pickletools test_popen test_posix test_queue test_resource test_set test_shelve
        test_struct test_subprocess test_sys test_thread test_threadedtempfile test_threading
        test_threading_local test_threadsignals test_tracemalloc test_tuple test_unicode test_wait3 test_wait4
        test_weakref test_xml_etree_c test_zlib""".split()

    def __init__(self, folder):
        self.folder = folder
        self.program = os.path.realpath(PYTHON)

    def units(self):
        if not os.path.exists(PYTHON):
            raise Missing(f"no {PYTHON}")
        ask = "import os, sys, test; print('libpython%d.%d-testsuite' % sys.version_info[:2], os.path.dirname(test.__file__))"
        package, tests = subprocess.run([PYTHON, "-c", ask], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
        if not os.path.exists(os.path.join(tests, "test_pickle.py")):
            raise Missing(f"no tests of python3 (Debian: {package})")
        return self.modules

    def command(self, unit, scratch):
        return [PYTHON, "-m", "test", "--junit-xml", os.path.join(scratch, "results.xml"), unit]

    def results(self, unit, out, scratch):
        """Of a test with a failed subtest the file has no name."""
        results = Results()
        name = "beginning"
        try:
            root = ElementTree.parse(os.path.join(scratch, "results.xml")).getroot()
        except (OSError, ElementTree.ParseError):
            return results
        for case in root.iter("testcase"):
            kinds = {child.tag for child in case}
            failed = kinds & {"failure", "error"}
            skipped = "skipped" in kinds or case.get("result") == "skipped"
            if case.get("name"):
                name = case.get("name")
                results.add(name, FAILED if failed else SKIPPED if skipped else OK)
            else:
                results.add(f"after {name}", FAILED)
        return results

    def environment(self, _unit):
        return self.variables


class PythonMalloc(Python):
    """Every object a block of malloc's, where python3 has a layer of its own otherwise."""
    name = "python PYTHONMALLOC=malloc"
    variables = {"PYTHONMALLOC": "malloc"}
    modules = [name for name in Python.modules  # those that take minutes, once is enough
               if not name.endswith(("_spawn", "_forkserver", "_futures"))]
