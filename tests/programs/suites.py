#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a program's own tests with glibc's malloc and with sparena's preloaded, and compares
them test by test.

Fails when a test that passes with glibc's does not with sparena's, unless a line of the
list of differences says why. A unit with a difference is run three times more both ways: a
test that passes once more or less in these four runs is flaky, which is only printed.
"""
import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import programs
from programs import OK, SKIPPED

AGAIN = 3
MISSING = "missing"
ENDS = "its end"  # a test that each unit has: its exit code, unless a failed test explains it
REPORTS = "its statistics"  # a test, too: that with the drop-in there are any
WAYS = ("glibc", "sparena")


stopping = threading.Event()  # by a signal: what runs is ended first


class Failed(Exception):
    """The run itself went wrong: there is no comparison."""


# ---- processes --------------------------------------------------------------------------


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:  # it has ended, or is not ours
        return ""


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


class Witness:
    """Looks which processes of a unit have the drop-in, while it runs. One that the loader
    is still about has no C library yet."""

    def __init__(self, program, library, mark):
        self.program = program
        self.library = os.path.realpath(library)
        self.mark = mark
        self.seen = {}

    def processes(self):
        """Ours, also those that left the session."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            path = executable(pid)
            if path and (self.is_in_folder(path) or self.mark in read(f"/proc/{pid}/environ")):
                yield int(pid), path

    def is_in_folder(self, path):
        return self.program.overwrites_environment and path.startswith(self.program.folder + "/")

    def look(self):
        for pid, path in self.processes():
            if path == self.program.program:
                maps = read(f"/proc/{pid}/maps")
                if "libc.so" in maps or self.library in maps:
                    self.seen[pid] = self.seen.get(pid, False) or self.library in maps

    def end_all(self):
        """Also what was forked meanwhile."""
        left = list(self.processes())
        while left:
            for pid, _ in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
            left = list(self.processes())


class Runner:
    """Runs units of a program, each in a folder of its own for what it and sparena write."""

    def __init__(self, program, library, conf, timeout):
        self.program = program
        self.library = library
        self.conf = conf
        self.timeout = timeout
        self.with_it = {way: 0 for way in WAYS}  # processes of the program that have the drop-in
        self.without = {way: 0 for way in WAYS}

    def environment(self, way, unit, scratch, mark):
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LOGNAME") if name in os.environ}
        kept.update(LC_ALL="C.UTF-8", TMPDIR=scratch, SPARENA_TEST_RUN=mark, **self.program.environment(unit))
        if way == "sparena":
            conf = f"{self.conf},stats_file:{scratch}/stats.%p,strict:true".lstrip(",")
            kept.update(LD_PRELOAD=self.library, SPARENA_CONF=conf)
        return kept

    def run(self, way, unit):
        """The unit's results, and what it wrote."""
        scratch = tempfile.mkdtemp(prefix="sparena-")  # short: sockets have their paths in it
        os.chmod(scratch, 0o1777)  # a server may become another user
        try:
            return self.run_in(scratch, way, unit)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def run_in(self, scratch, way, unit):
        mark = f"SPARENA_TEST_RUN={os.path.basename(scratch)}"
        witness = Witness(self.program, self.library, mark)
        cwd = scratch if isinstance(self.program, programs.Python) else self.program.folder
        with open(os.path.join(scratch, "out"), "wb") as out, subprocess.Popen(
                self.program.command(unit, scratch), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=self.environment(way, unit, scratch, mark.partition("=")[2])) as process:
            end = self.wait(process, witness)
        witness.end_all()
        self.count(way, witness)
        text = read(os.path.join(scratch, "out"))
        results = self.program.results(unit, text, scratch)
        results[ENDS] = OK if end.startswith("exit code") and programs.FAILED in results.values() else end
        results[REPORTS] = OK if way == "glibc" or self.has_reports(scratch) else MISSING
        return results, text

    def wait(self, process, witness):
        until = time.monotonic() + self.timeout
        while process.poll() is None and time.monotonic() < until and not stopping.is_set():
            witness.look()
            time.sleep(0.1)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own
            process.wait()
            return f"no end within {self.timeout} s"
        code = process.returncode
        return OK if code == 0 else f"signal {-code}" if code < 0 else f"exit code {code}"

    def count(self, way, witness):
        self.with_it[way] += sum(witness.seen.values())
        self.without[way] += sum(not has for has in witness.seen.values())

    @staticmethod
    def has_reports(scratch):
        """Whether a process wrote the drop-in's statistics. One may have been ended in the middle."""
        for name in os.listdir(scratch):
            with contextlib.suppress(ValueError):
                if name.startswith("stats.") and json.loads(read(os.path.join(scratch, name)))["committed_peak"] > 0:
                    return True
        return False


# ---- comparison -------------------------------------------------------------------------


class Unit:
    """A unit's results in each run: runs[way] is a list of them."""

    def __init__(self, name):
        self.name = name
        self.runs = {way: [] for way in WAYS}
        self.out = {way: "" for way in WAYS}

    def run(self, runner):
        alone = runner.program.overwrites_environment or self.name in runner.program.fixed_ports
        with ThreadPoolExecutor(1 if alone else len(WAYS)) as pool:
            both = list(pool.map(lambda way: runner.run(way, self.name), WAYS))
        for way, (results, text) in zip(WAYS, both):
            self.runs[way].append(results)
            self.out[way] += f"==== run {len(self.runs[way])}\n{text}"

    def tests(self):
        return list(dict.fromkeys(test for way in WAYS for run in self.runs[way] for test in run))

    def outcomes(self, test):
        return tuple([run.get(test, MISSING) for run in self.runs[way]] for way in WAYS)

    def differing(self):
        return [test for test in self.tests() if len({tuple(texts) for texts in self.outcomes(test)}) > 1]

    def unexplained(self, program, why):
        return [test for test in self.differing() if f"{program.name}/{self.name}/{test}" not in why]

    def all_skipped(self, test):
        return all(text == SKIPPED for texts in self.outcomes(test) for text in texts)


def judge(glibc, sparena):
    """Of the results of one test in all runs: same, flaky, better or worse."""
    if glibc == sparena:
        return "same"
    if sorted(glibc) == sorted(sparena):
        return "flaky"
    passed = [texts.count(OK) for texts in (glibc, sparena)]
    if len(glibc) > 1 and abs(passed[0] - passed[1]) <= 1 and max(passed) > 0:
        return "flaky"
    return "better" if passed[1] > passed[0] else "worse"


def said(texts):
    """ok ok ok -> 3 of 3 ok; for a single one, itself."""
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(f"{texts.count(text)} of {len(texts)} {text}" for text in dict.fromkeys(texts))


class Comparison:
    """Of one program: its units, and what is wrong."""

    def __init__(self, program, why):
        self.program = program
        self.why = {key: text for key, text in why.items() if key.startswith(program.name + "/")}
        self.found = set()
        self.counts = dict.fromkeys(("units", "tests", "same", "skipped", "flaky", "better", "known", "worse"), 0)
        self.lines = []

    def add(self, unit):
        self.counts["units"] += 1
        self.check_there_is_something(unit)
        for test in unit.tests():
            glibc, sparena = unit.outcomes(test)
            verdict = judge(glibc, sparena)
            key = f"{self.program.name}/{unit.name}/{test}"
            if verdict != "same" and key in self.why:
                self.found.add(key)
                verdict = "known"
            if verdict == "same" and unit.all_skipped(test):
                verdict = "skipped"
            self.counts["tests"] += 1
            self.counts[verdict] += 1
            if verdict not in ("same", "skipped"):
                self.lines.append(f"{verdict}: {key}\n    glibc:   {said(glibc)}\n    sparena: {said(sparena)}"
                                  + (f"\n    {self.why[key]}" if verdict == "known" else ""))

    def check_there_is_something(self, unit):
        """Nothing and nothing are not the same."""
        first = unit.runs["glibc"][0]
        if set(first) <= {ENDS, REPORTS} and first[ENDS] != OK:
            self.counts["worse"] += 1
            self.lines.append(f"worse: {self.program.name}/{unit.name}: nothing to compare with, glibc's: {first[ENDS]}")

    def stale(self, units):
        ran = {f"{self.program.name}/{unit}" for unit in units}
        return [key for key in self.why if key not in self.found and any(key.startswith(unit + "/") for unit in ran)]


def compare(runner, units, why, log):
    comparison = Comparison(runner.program, why)
    for name in units:
        unit = Unit(name)
        unit.run(runner)
        if stopping.is_set():
            raise Failed("stopped")
        for _ in range(AGAIN if unit.unexplained(runner.program, why) else 0):
            unit.run(runner)
        keep(log, runner.program, unit)
        comparison.add(unit)
        print(f"{runner.program.name} {name}: {len(unit.tests())} tests, {len(unit.differing())} differ", flush=True)
    return comparison


def keep(log, program, unit):
    """What a unit wrote, to be read after a difference."""
    if log and unit.differing():
        for way in WAYS:
            name = f"{program.name} {unit.name} {way}".replace("/", "_").replace(" ", "-")
            with open(os.path.join(log, name), "w", encoding="utf-8") as file:
                file.write(unit.out[way])


def check_witness(runner):
    """The processes of the program had the drop-in, each with it and none without. What a
    test of python3's starts may be without it: with an environment of its own."""
    if runner.with_it["glibc"] or not runner.with_it["sparena"]:
        raise Failed(f"{runner.program.name}: of the processes seen with glibc's malloc {runner.with_it['glibc']} "
                     f"have the drop-in, of those with sparena's {runner.with_it['sparena']}")
    if runner.without["sparena"] and not isinstance(runner.program, programs.Python):
        raise Failed(f"{runner.program.name}: {runner.without['sparena']} processes without the drop-in")


def read_differences(path):
    """PROGRAM/UNIT/TEST<TAB>WHY, a line each."""
    why = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            key, tab, text = line.rstrip("\n").partition("\t")
            if not tab or not text.strip() or key in why:
                raise Failed(f"{path}: not PROGRAM/UNIT/TEST<TAB>WHY, or twice: {line.strip()}")
            why[key] = text.strip()
    return why


# ---- the command ------------------------------------------------------------------------

SUITES = {"memcached": programs.Memcached, "redis": programs.Redis, "python": programs.Python,
          "python-malloc": programs.PythonMalloc}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="libsparena_malloc.so")
    parser.add_argument("--differences", required=True, metavar="FILE", help="PROGRAM/UNIT/TEST<TAB>WHY on each line")
    parser.add_argument("--folder", required=True, help="where build.sh built the program")
    parser.add_argument("--conf", default="", help="more of SPARENA_CONF")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for a unit")
    parser.add_argument("--log", metavar="FOLDER", help="keeps there what units with a difference wrote")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("units", nargs="*", help="all of them when none is named")
    return parser.parse_args()


def chosen(program, names):
    """The units of these names, in the program's order, or all."""
    there = program.units()
    unknown = set(names) - set(there)
    if unknown or not there:
        raise Failed(f"{program.name}: no such units: {' '.join(sorted(unknown))}")
    return [unit for unit in there if not names or unit in names]


def run(program, a, why):
    """Compares, prints and returns whether all is well."""
    runner = Runner(program, os.path.realpath(a.library), a.conf, a.timeout)
    units = chosen(program, a.units)
    comparison = compare(runner, units, why, a.log)
    check_witness(runner)
    print("\n".join(comparison.lines))
    stale = comparison.stale(units)
    for key in stale:
        print(f"known, but there is no difference: {key}")
    print_counts(comparison, runner)
    return not stale and comparison.counts["worse"] == 0


def print_counts(comparison, runner):
    """A line of the table, which run.sh collects."""
    print("table: " + "\t".join(
        [f"{comparison.program.name} {runner.conf}".strip(), *map(str, comparison.counts.values()), str(runner.with_it["sparena"])]), flush=True)


def main():
    a = arguments()
    why = read_differences(a.differences)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    # Some tests end programs by a signal.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if a.log:
        os.makedirs(a.log, exist_ok=True)
    return 0 if run(SUITES[a.suite](a.folder), a, why) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except programs.Missing as missing:
        print(f"skipped: {missing}")
        sys.exit(77)
    except (Failed, OSError) as failed:
        sys.exit(f"suites: {failed}")
