# SPDX-License-Identifier: BSD-2-Clause
"""Runs each suite on copies that have one promise switched off, and sees that the test
fails, and fails by saying what broken_table.py has for it. Before that the test must pass
on the copies as they are. Usage: broken.py [--self-test] CTEST BUILD_DIR [TEST...]
"""
import concurrent.futures
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

from broken_table import INSTEAD, KILLED, OTHER_LABELS, PROMISES, SWITCHES, TABLE, WITHOUT

SKIPPED = 77
SECONDS = 60  # most of these runs take less than one
QUICK = {"SPARENA_TEST_OPS": "3000", "SPARENA_FAULT_STRIDE": "97"}


class Test:
    def __init__(self, entry, build):
        values = {p["name"]: p["value"] for p in entry["properties"]}
        self.name = entry["name"]
        self.label = next(label for label in values["LABELS"] if label != "together")
        self.directory = values["WORKING_DIRECTORY"]
        self.command = [on_copies(word, build) for word in entry.get("command", [])]
        self.environment = {}
        for setting in values.get("ENVIRONMENT", []):
            key, _, value = setting.partition("=")
            self.environment[key] = on_copies(value, build)


def on_copies(word, build):
    """The copy of what a word of a command names, if there is one."""
    copies = os.path.join(build, "broken")
    if word == build:
        return copies
    copy = os.path.join(copies, os.path.basename(word))
    return copy if word.startswith(build + "/") and os.path.exists(copy) else word


def find_tests(ctest, build):
    listing = subprocess.run([ctest, "--show-only=json-v1"], cwd=build, check=True, stdout=subprocess.PIPE)
    tests = [Test(entry, build) for entry in json.loads(listing.stdout)["tests"] if entry.get("command")]
    return [test for test in tests if test.label not in OTHER_LABELS]


class Run:
    """One run of a test; switch None: with every promise kept."""

    def __init__(self, test, switch, build, scratch):
        self.test, self.switch = test, switch
        mark = os.path.join(scratch, f"{test.name}-{switch}.mark")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARENA_", "LD_"))}
        environment.update(test.environment)
        environment.update(QUICK, LD_LIBRARY_PATH=os.path.join(build, "broken"))
        if switch:
            environment.update(BROKEN=switch, BROKEN_MARK=mark)
        command = test.command
        if test.name in INSTEAD and (switch is None or INSTEAD[test.name].always):
            environment["SPARENA_CONF"] = INSTEAD[test.name].options
            command = INSTEAD[test.name].command(command)
        start = time.monotonic()
        self.execute(command, environment)
        self.seconds = time.monotonic() - start
        self.took_effect = os.path.exists(mark)

    def execute(self, command, environment):
        with tempfile.TemporaryFile() as file:
            process = subprocess.Popen(command, cwd=self.test.directory, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                self.code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.code = None
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own: what it started goes, too
                process.wait()
            file.seek(0)
            self.output = file.read().decode(errors="replace")


def judge(run, says):
    """What is wrong with a run with a promise off, or None."""
    if run.code is None:
        return f"does not end in {SECONDS} s"
    if run.code == 0:
        return "goes unnoticed" if run.took_effect else "was never put to the test"
    if run.code == SKIPPED:
        return "is skipped, but not when the promise is kept"
    if not run.took_effect:
        return f"fails without it: exit code {run.code}"
    if says is KILLED and run.code == -signal.SIGKILL:
        return None
    return None if re.search(says, run.output) else f"fails (exit code {run.code}), but does not say {says!r}"


def rows_of(test):
    """Switch: what the test says; None: the table does not have it."""
    for pattern, rows in TABLE.items():
        if re.fullmatch(pattern, test.name):
            return rows
    return None


def reason_without(test):
    return next((why for pattern, why in WITHOUT.items() if re.fullmatch(pattern, test.name)), None)


def unlisted(tests):
    return [test.name for test in tests if rows_of(test) is None and not reason_without(test)]


def not_tried(noticed):
    """Suites in which a promise that every suite makes was not switched off."""
    suites = sorted({label for label, _ in noticed})
    return [f"{suite}: {PROMISES[p]}" for suite in suites for p in ("P1", "P2", "P3") if (suite, p) not in noticed]


def line_of(match):
    start = match.string.rfind("\n", 0, match.start()) + 1
    line = match.string[start:].split("\n", 1)[0].strip()
    return line if len(line) < 100 else match.group()


class Report:
    def __init__(self):
        self.failures, self.runs, self.noticed = 0, 0, set()

    def line(self, test, what, verdict):
        print(f"{test.name:<30} {what:<28} {verdict}", flush=True)

    def fail(self, test, what, verdict, run):
        self.failures += 1
        self.line(test, what, f"FAIL: {verdict}")
        for line in run.output.splitlines()[-15:]:
            print(f"    {line}")

    def kept(self, run):
        """Whether the test is fit for the rest."""
        if run.code == 0:
            return True
        if run.code == SKIPPED:
            self.line(run.test, "", "not tried: it is skipped here")
            return False
        self.fail(run.test, "every promise kept", "does not pass", run)
        return False

    def broken(self, run, says):
        self.runs += 1
        promise = SWITCHES[run.switch]
        what = f"{PROMISES[promise]} ({run.switch})"
        wrong = judge(run, says)
        if wrong:
            self.fail(run.test, what, wrong, run)
            return
        self.noticed.add((run.test.label, promise))
        said = re.search(says, run.output)
        said = line_of(said) if said else "killed"
        self.line(run.test, what, f"fails: {said}")


def try_all(tests, build):
    report = Report()
    for name in unlisted(tests):
        report.failures += 1
        print(f"FAIL: {name} is neither in broken_table.py's TABLE nor, with a reason, in its WITHOUT")
    listed = [test for test in tests if rows_of(test)]
    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        os.chmod(scratch, 0o777)  # servers leave their marks as somebody else
        kept = list(pool.map(lambda test: Run(test, None, build, scratch), listed))
        fit = [run.test for run in kept if report.kept(run)]
        pairs = [(test, switch) for test in fit for switch in rows_of(test)]
        for run in pool.map(lambda pair: Run(*pair, build, scratch), pairs):
            report.broken(run, rows_of(run.test)[run.switch])
    return report


def summary(report, tests):
    print("\n" + " " * 14 + "".join(f"{p + ' ' + PROMISES[p]:<24}" for p in PROMISES))
    for suite in sorted({test.label for test in tests}):
        cells = ("noticed" if (suite, p) in report.noticed else "-" for p in PROMISES)
        print(f"{suite:<14}" + "".join(f"{cell:<24}" for cell in cells))
    for test in tests:
        if reason_without(test):
            print(f"without: {test.name}: {reason_without(test)}")
    print(f"{report.runs} runs with a promise switched off, {report.failures} failures")


def self_test(tests, build):
    """What the judgement must find, it finds."""
    wrong = 0

    def expect(says, text):
        nonlocal wrong
        if text not in (says or ""):
            wrong += 1
            print(f"FAIL: {says!r} where {text!r} belongs")

    test = next(test for test in tests if test.name == "unit_region")
    with tempfile.TemporaryDirectory() as scratch:
        def verdict(switch, says):
            return judge(Run(test, switch, build, scratch), says)
        expect(verdict("nothing", "anything"), "never put to the test")
        expect(verdict("address", "anything"), "goes unnoticed")
        expect(verdict("populate", "what it never says"), "but does not say")
        expect(verdict("populate", KILLED), "but does not say")
        expect(verdict("no such switch", "anything"), "fails without it")
        if verdict("populate", "commit_is_resident_and_charged"):
            wrong += 1
            print("FAIL: a test that fails as it must is refused")
    test.name = "unit_new"
    expect(",".join(unlisted(tests)), "unit_new")
    expect(",".join(not_tried({("unit", "P1"), ("unit", "P2")})), "goes back")
    return wrong


def main():
    arguments = sys.argv[1:]
    alone = arguments[:1] == ["--self-test"]
    ctest, build, *names = arguments[alone:]
    build = os.path.abspath(build)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # many of these runs abort
    tests = find_tests(ctest, build)
    if alone:
        return self_test(tests, build)
    if names:
        tests = [test for test in tests if test.name in names]
    report = try_all(tests, build)
    for missing in [] if names else not_tried(report.noticed):
        report.failures += 1
        print(f"FAIL: not tried in the suite {missing}")
    summary(report, tests)
    return report.failures


sys.exit(1 if main() else 0)
