#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What of src/ the tests ran, by folders; and each function with lines that none ran, which has
to be in the list of those, with the reason.

usage: coverage.py SOURCE_DIR BUILD_DIR     reads the counts in BUILD_DIR with gcovr
       coverage.py --read JSON LIST         reads what gcovr wrote before

The list: [reason] on a line of its own, then FILE: FUNCTION... as many as it is true of; a
whole file is FILE: *. Exit code 1: less is run than LEAST says, too many lines that are not
run are not in the list, or it names what there is not."""
import json
import os
import shutil
import subprocess
import sys

LEAST = {"lines": 95.0, "branches": 85.0}
# Some lines run now and then, as threads meet: so many may be missing in the list.
MOST_UNLISTED = 0.2  # per cent of all lines


class Share:
    """So many of so many."""

    def __init__(self):
        self.all = self.run = 0

    def add(self, count):
        self.all += 1
        self.run += count > 0

    def percent(self):
        return 100 * self.run / self.all if self.all else 100.0


class Coverage:
    def __init__(self, report):
        self.folders = {}
        self.not_run = {}  # (file, function): its lines
        self.functions = set()  # (file, function); (file, "*"): all of it
        for file in report["files"]:
            self.read(file)

    def read(self, file):
        name = file["file"]
        begins = sorted((f["lineno"], f["name"]) for f in file["functions"])
        self.functions.update((name, function) for function in ["*"] + [f for _, f in begins])
        for line in file["lines"]:
            if line.get("gcovr/noncode") or line.get("gcovr/excluded"):
                continue
            for folder in (os.path.dirname(name), "all"):
                shares = self.folders.setdefault(folder, {"lines": Share(), "branches": Share()})
                shares["lines"].add(line["count"])
                for branch in line["branches"]:
                    shares["branches"].add(branch["count"])
            if line["count"] == 0:
                number = line["line_number"]
                function = [f for begin, f in begins if begin <= number][-1:]
                self.not_run.setdefault((name, *function), []).append(number)


def read_list(path):
    """Returns {(file, function): reason}."""
    reasons, reason = {}, None
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("[") and line.endswith("]"):
                reason = line[1:-1]
            elif reason and ": " in line:
                file, functions = line.split(": ", 1)
                reasons.update({(file, function): reason for function in functions.split()})
            else:
                sys.exit(f"{path}:{number}: neither [REASON] nor FILE: FUNCTION...")
    return reasons


def print_folders(coverage):
    print(f'{"folder":<12} {"lines":>6} {"run":>9} {"branches":>9} {"taken":>9}')
    for name in sorted(coverage.folders, key=lambda n: (n == "all", n)):
        lines, branches = coverage.folders[name]["lines"], coverage.folders[name]["branches"]
        print(f"{name:<12} {lines.all:6} {lines.percent():7.1f} % {branches.all:9} {branches.percent():7.1f} %")


def check_least(coverage):
    wrong = []
    for what, least in LEAST.items():
        percent = coverage.folders["all"][what].percent()
        if percent < least:
            wrong.append(f"{percent:.1f} % of {what} are run, and {least:.0f} % have to be")
    return wrong


def check_list(coverage, reasons):
    wrong = [f"the list names {file}: {function}, which there is not"
             for file, function in reasons
             if (file, function) not in coverage.functions]
    by_reason, unlisted = {}, 0
    for (file, *function), lines in sorted(coverage.not_run.items()):
        reason = reasons.get((file, *function)) or reasons.get((file, "*"))
        if reason:
            by_reason[reason] = by_reason.get(reason, 0) + len(lines)
        else:
            unlisted += len(lines)
            print(f'not in the list: {file}: {" ".join(function)}, line {", ".join(map(str, lines))}')
    print("not run, by the reason:")
    for reason, count in sorted(by_reason.items(), key=lambda item: -item[1]):
        print(f"{count:6}  {reason}")
    print(f"{unlisted:6}  not in the list")
    if unlisted > MOST_UNLISTED / 100 * coverage.folders["all"]["lines"].all:
        wrong.append(f"{unlisted} lines that are not run are not in the list")
    return wrong


def gather(source, build):
    if not shutil.which("gcovr"):
        sys.exit("coverage: no gcovr here (Debian: gcovr)")
    directory = os.path.join(build, "coverage")
    os.makedirs(directory, exist_ok=True)
    written = os.path.join(directory, "coverage.json")
    subprocess.run(["gcovr", "--root", source, "--filter", os.path.join(source, "src/"), "--object-directory", build,
                    build, "--html-details", os.path.join(directory, "index.html"), "--json", written], check=True)
    return written


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--read":
        written, listed = arguments[1:]
    elif len(arguments) == 2:
        written = gather(*arguments)
        listed = os.path.join(arguments[0], "tests/uncovered.txt")
    else:
        sys.exit(__doc__)
    with open(written, encoding="utf-8") as text:
        coverage = Coverage(json.load(text))
    if not coverage.folders:
        sys.exit("coverage: nothing was counted")
    print_folders(coverage)
    wrong = check_least(coverage) + check_list(coverage, read_list(listed))
    for line in wrong:
        print(f"coverage: {line}", file=sys.stderr)
    print(f'line by line: {os.path.join(os.path.dirname(written), "index.html")}')
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
