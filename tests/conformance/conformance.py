#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Puts what malloc and its relatives do under sparena beside what they do under glibc.

Runs each case of each program in a process of its own, and joins the results into a
table. It fails when a difference is explained nowhere, when one that is explained is
none any more, and when the table is not the one that is kept.
"""
import argparse
import os
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import table

TIMEOUT = 60
WAYS = {"glibc": ("dynamic", "static"), "sparena": ("preloaded", "linked", "static")}
SKIPPED = "skipped: "


class Failed(Exception):
    """The run itself went wrong: there is no table."""


class Program:
    def __init__(self, text, library):
        name, _, self.path = text.partition("=")
        self.column, _, self.way = name.partition(":")
        if not self.path or self.way not in WAYS.get(self.column, ()):
            raise Failed(f"{text}: not COLUMN:WAY=PROGRAM")
        self.environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment["LC_ALL"] = "C"
        if self.way == "preloaded":
            self.environment["LD_PRELOAD"] = library

    def run(self, argument):
        """Its exit code, negative for a signal, or None for no end; and what it wrote."""
        with subprocess.Popen([self.path, argument], env=self.environment, start_new_session=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT)
                code = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # a group of its own
                out, err = process.communicate()
                code = None
        return code, out.decode(errors="replace"), err.decode(errors="replace")

    def asked(self, argument):
        code, out, err = self.run(argument)
        if code != 0:
            raise Failed(f"{self.path} {argument}: {end_of(code)}\n{err}")
        return out.splitlines()

    def cases(self):
        """The names of its cases; it is checked that they will be the right allocator's."""
        found = self.asked("--allocator")
        if found != [self.column]:
            raise Failed(f"{self.path}, {self.way}: runs with {found}, not {self.column}")
        names = [name for name in self.asked("--list") if name]
        if not names:
            raise Failed(f"{self.path}: no cases")
        return names

    def result(self, case):
        code, out, err = self.run(case)
        parts = [" ".join(out.split())]
        if code == 0 and err:
            parts.append("a message on stderr: " + " ".join(err.split()))
        if code != 0:
            parts.append(end_of(code))
        return "; ".join(filter(None, parts)) or "nothing"


def end_of(code):
    if code is None:
        return f"no end within {TIMEOUT} s"
    return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"


def is_crash(result):
    return any(word in result for word in ("signal ", "exit code 3", "no end within", "broken off"))


class Row:
    """A case: the result of each column and way."""

    def __init__(self, case):
        self.case = case
        self.results = {column: {} for column in WAYS}

    def skips(self):
        return [text for column in self.results.values() for text in column.values() if text.startswith(SKIPPED)]

    def differs(self):
        """Static programs are compared with static ones."""
        glibc = self.results["glibc"]
        return any(text != glibc["static" if way == "static" else "dynamic"]
                   for way, text in self.results["sparena"].items())

    def crashes(self):
        return any(is_crash(text) for text in self.results["sparena"].values())

    def check(self):
        for column, names in (("glibc", ("dynamic", "static")), ("sparena", ("preloaded", "static"))):
            if not any(way in self.results[column] for way in names):
                raise Failed(f"{self.case}: no result of {column}")
        if ("static" in self.results["glibc"]) != ("static" in self.results["sparena"]):
            raise Failed(f"{self.case}: static in one column only")


def run_all(programs):
    rows = {}
    jobs = []
    for program in programs:
        jobs += [(program, case) for case in program.cases()]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda job: job[0].result(job[1]), jobs)
    for (program, case), text in zip(jobs, results):
        row = rows.setdefault(case, Row(case))
        if program.way in row.results[program.column]:
            raise Failed(f"{case}: twice in {program.column}, {program.way}")
        row.results[program.column][program.way] = text
    for row in rows.values():
        row.check()
    return rows


def read_explanations(path):
    """case<TAB>why, a line each."""
    why = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            case, tab, text = line.rstrip("\n").partition("\t")
            if not tab or not text.strip() or case in why:
                raise Failed(f"{path}: not CASE<TAB>WHY, or twice: {line.strip()}")
            why[case] = text.strip()
    return why


def compare(rows, why, without):
    """What is wrong between the results and the explanations: (text, is a crash)."""
    wrong = []
    for row in rows.values():
        if row.skips():
            continue
        if row.differs() and (row.case not in why or row.crashes()):  # nothing explains a crash
            glibc, sparena = (table.cell(row.results[column]) for column in WAYS)
            wrong.append((f"unexplained: {row.case}\n    glibc:   {glibc}\n    sparena: {sparena}", row.crashes()))
        if not row.differs() and row.case in why:
            wrong.append((f"explained, but there is no difference: {row.case}", False))
    for case in why:
        if case not in rows and case.partition("/")[0] not in without:
            wrong.append((f"explained, but there is no such case: {case}", False))
    return wrong


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="libsparena_malloc.so, for what is preloaded")
    parser.add_argument("--differences", required=True, metavar="FILE", help="CASE<TAB>WHY on each line")
    parser.add_argument("--table", metavar="FILE", help="the table that is kept")
    parser.add_argument("--write", action="store_true", help="write it instead of comparing")
    parser.add_argument("--without", action="append", default=[], metavar="GROUP=REASON",
                        help="this group's program could not be built")
    parser.add_argument("programs", nargs="+", metavar="COLUMN:WAY=PROGRAM")
    return parser.parse_args()


def report(rows, without):
    differ = sum(row.differs() for row in rows.values())
    print(f"{len(rows)} cases, {differ} differ")
    for row in rows.values():
        for reason in sorted(set(row.skips())):
            print(f"{row.case}: {reason}")
    for group, reason in without.items():
        print(f"{group}/...: {SKIPPED}{reason}")


def strict_overcommit():
    """Under it any call may be refused, glibc's most."""
    try:
        with open("/proc/sys/vm/overcommit_memory", encoding="ascii") as file:
            return file.read().strip() == "2"
    except OSError:
        return False


def main():
    a = arguments()
    if strict_overcommit():
        print(SKIPPED + "vm.overcommit_memory is 2: the table is of machines that overcommit")
        return 77
    without = dict(text.split("=", 1) for text in a.without)
    system = f"{os.confstr('CS_GNU_LIBC_VERSION')}, {platform.machine()}"
    rows = run_all([Program(text, a.library) for text in a.programs])
    why = read_explanations(a.differences)
    wrong = compare(rows, why, without)
    report(rows, without)
    if a.write:
        skipped = [row.case for row in rows.values() if row.skips()]
        if without or skipped:
            raise Failed(f"the table would lack what was skipped: {' '.join(skipped)} {' '.join(without)}")
        table.write(a.table, table.make(rows.values(), why, system))
    elif a.table:
        kept = table.read(a.table)
        if kept.system != system:
            for text, _ in wrong:
                print(text)
            if any(crash for _, crash in wrong):
                return 1
            print(f"{SKIPPED}the table is of {kept.system}, here is {system}: differences are only reported")
            return 77
        wrong += [(text, False) for text in table.changes(kept, rows, why, without)]
    for text, _ in wrong:
        print(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, OSError) as failed:
        sys.exit(f"conformance: {failed}")
