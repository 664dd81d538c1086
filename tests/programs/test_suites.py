#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What suites.py must notice, tried on a program whose units are shell scripts.
Usage: test_suites.py LIBRARY"""
import contextlib
import io
import os
import shutil
import sys
import tempfile
import unittest

import programs
import suites

LIBRARY = os.path.realpath(sys.argv.pop(1)) if len(sys.argv) > 1 else ""
# Of a unit: which way it is run, and how often it was before.
SCRIPT = """with=
[ -z "$LD_PRELOAD" ] || with=yes
{server}
n=$(cat {folder}/{unit}-${{with:-no}} 2>/dev/null || echo 0)
echo $((n + 1)) >{folder}/{unit}-${{with:-no}}
{commands}
"""


# A server, until the witness has seen it.
SERVER = """./server 60 & p=$!
until [ -e {folder}/seen-$p ]; do sleep 0.05; done
kill $p"""


class Witness(suites.Witness):
    """Says whom it has seen."""
    folder = ""

    def look(self):
        super().look()
        for pid in self.seen:
            with open(os.path.join(self.folder, f"seen-{pid}"), "w", encoding="ascii"):
                pass


class Shell(programs.Program):
    """Its units are the files in src/, named NAME.sh; each writes TEST<TAB>RESULT."""
    name = "shell"
    server = "server"

    def units(self):
        return sorted(name for name in os.listdir(self.folder) if name.endswith(".sh"))

    def command(self, unit, scratch):
        return ["sh", unit]

    def results(self, unit, out, scratch):
        results = programs.Results()
        for line in out.splitlines():
            if "\t" in line:
                results.add(*line.split("\t"))
        return results


class Suites(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(self.path("src"))
        self.addCleanup(setattr, suites, "AGAIN", suites.AGAIN)
        shutil.copy(shutil.which("sleep"), self.path("src/server"))
        self.addCleanup(setattr, suites, "Witness", suites.Witness)
        suites.Witness = Witness
        Witness.folder = self.folder
        self.explain()

    def path(self, name):
        return os.path.join(self.folder, name)

    def explain(self, *lines):
        with open(self.path("why"), "w", encoding="utf-8") as file:
            file.write("# a comment\n" + "".join(f"{line}\n" for line in lines))

    def unit(self, name, commands, server=SERVER):
        """commands: with $with (yes or nothing) and $n, how often it has run that way before."""
        with open(self.path(f"src/{name}.sh"), "w", encoding="utf-8") as file:
            file.write(SCRIPT.format(server=server.format(folder=self.folder), folder=self.folder, unit=name, commands=commands))

    def run_suites(self, *names, timeout=20):
        """Whether all was well, and what was printed."""
        sys.argv = ["suites.py", "--library", LIBRARY, "--differences", self.path("why"), "--folder", self.folder,
                    "--timeout", str(timeout), "--log", self.path("log"), "memcached", *names]
        self.addCleanup(suites.SUITES.update, memcached=suites.SUITES["memcached"])
        suites.SUITES["memcached"] = Shell
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = suites.main()
        return code, out.getvalue()

    def test_alike(self):
        self.unit("a", "printf 'one\\tok\\ntwo\\tskipped\\ntwo\\tnot ok\\n'")
        code, text = self.run_suites()
        self.assertEqual(code, 0, text)
        # units, tests, same, skipped, flaky, better, known, worse, processes with the drop-in
        self.assertIn("table: shell\t1\t5\t4\t1\t0\t0\t0\t0\t1\n", text)

    def test_worse(self):
        self.unit("a", "printf 'one\\tok\\n'; [ $with ] && printf 'two\\tnot ok\\n' || printf 'two\\tok\\n'")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/two\n    glibc:   ok\n    sparena: not ok", text)
        with open(self.path("log/shell-a.sh-sparena"), encoding="utf-8") as file:
            self.assertEqual(file.read().count("two\tnot ok"), 4)

    def test_missing_and_skipped_are_worse(self):
        self.unit("a", "[ $with ] || printf 'one\\tok\\n'; [ $with ] && r=skipped || r=ok; printf \"two\\t$r\\n\"")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/one\n    glibc:   ok\n    sparena: missing", text)
        self.assertIn("worse: shell/a.sh/two\n    glibc:   ok\n    sparena: skipped", text)

    def test_better(self):
        self.unit("a", "[ $with ] && printf 'one\\tok\\n' || printf 'one\\tnot ok\\n'")
        code, text = self.run_suites()
        self.assertEqual(code, 0, text)
        self.assertIn("better: shell/a.sh/one", text)

    def test_flaky(self):
        self.unit("a", "[ $with$n = yes0 ] && printf 'one\\tnot ok\\n' || printf 'one\\tok\\n'")
        code, text = self.run_suites()
        self.assertEqual(code, 0, text)
        self.assertIn("flaky: shell/a.sh/one\n    glibc:   ok\n    sparena: 1 of 4 not ok, 3 of 4 ok", text)

    def test_twice_of_four_is_worse(self):
        self.unit("a", "case $with$n in yes0 | yes2) printf 'one\\tnot ok\\n' ;; *) printf 'one\\tok\\n' ;; esac")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/one", text)

    def test_known(self):
        self.unit("a", "[ $with ] && printf 'one\\tnot ok\\n' || printf 'one\\tok\\n'")
        self.explain("shell/a.sh/one\tfor a reason", "other/a.sh/one\tof another program")
        code, text = self.run_suites()
        self.assertEqual(code, 0, text)
        self.assertIn("known: shell/a.sh/one\n    glibc:   ok\n    sparena: not ok\n", text)
        with open(self.path("a-yes"), encoding="ascii") as file:
            self.assertEqual(file.read(), "1\n")  # not run again
        self.assertIn("for a reason", text)

    def test_stale(self):
        self.unit("a", "printf 'one\\tok\\n'")
        self.explain("shell/a.sh/one\tno longer", "shell/b.sh/one\tnot run here")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("known, but there is no difference: shell/a.sh/one", text)
        self.assertNotIn("b.sh", text)

    def test_bad_explanations(self):
        for lines in (["a/one"], ["a/one\t"], ["a/one\tx", "a/one\ty"]):
            self.explain(*lines)
            with self.assertRaisesRegex(suites.Failed, "not PROGRAM/UNIT/TEST<TAB>WHY"):
                suites.read_differences(self.path("why"))

    def test_end(self):
        self.unit("a", "printf 'one\\tok\\n'; [ ! $with ] || kill -SEGV $$")
        self.unit("b", "printf 'one\\tok\\n'; [ ! $with ] || exit 3")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/its end\n    glibc:   ok\n    sparena: signal 11", text)
        self.assertIn("worse: shell/b.sh/its end\n    glibc:   ok\n    sparena: exit code 3", text)

    def test_end_after_a_failed_test(self):
        self.unit("a", "[ $with ] && { printf 'one\\tnot ok\\n'; exit 3; } || printf 'one\\tok\\n'")
        self.unit("b", "[ $with ] && { printf 'one\\tnot ok\\n'; kill -SEGV $$; } || printf 'one\\tok\\n'")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/one", text)
        self.assertNotIn("shell/a.sh/its end", text)
        self.assertIn("worse: shell/b.sh/its end\n    glibc:   ok\n    sparena: signal 11", text)

    def test_another_bad_end(self):
        self.unit("a", "printf 'one\\tok\\n'; [ ! $with ] || kill -SEGV $$; exit 3")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/its end\n    glibc:   exit code 3\n    sparena: signal 11", text)

    def test_no_end(self):
        suites.AGAIN = 0
        self.unit("a", "printf 'one\\tok\\n'; true; [ ! $with ] || ./server 60")
        code, text = self.run_suites(timeout=2)
        self.assertEqual(code, 1, text)
        self.assertIn("sparena: no end within 2 s", text)

    def test_what_is_left_is_ended(self):
        self.unit("a", "printf 'one\\tok\\n'; setsid ./server 60 & echo $! >>pids")
        self.assertEqual(self.run_suites()[0], 0)
        with open(self.path("src/pids"), encoding="ascii") as file:
            left = [pid for pid in file.read().split() if suites.executable(pid)]
        self.assertEqual(left, [])

    def test_without_the_dropin(self):
        self.unit("a", "printf 'one\\tok\\n'", server=f"env -u LD_PRELOAD {SERVER}")
        with self.assertRaisesRegex(suites.Failed, "of those with sparena's 0"):
            self.run_suites()
        self.unit("a", "printf 'one\\tok\\n'", server=f"{SERVER}\nenv -u LD_PRELOAD {SERVER}")
        with self.assertRaisesRegex(suites.Failed, "1 processes without the drop-in"):
            self.run_suites()

    def test_dropin_in_both(self):
        self.unit("a", "printf 'one\\tok\\n'", server=f"LD_PRELOAD={LIBRARY} {SERVER}")
        with self.assertRaisesRegex(suites.Failed, "with glibc's malloc 1 have the drop-in"):
            self.run_suites()

    def test_no_statistics(self):
        self.unit("a", "printf 'one\\tok\\n'", server="unset SPARENA_CONF")
        with self.assertRaisesRegex(suites.Failed, "of those with sparena's 0"):
            self.run_suites()
        self.unit("a", "printf 'one\\tok\\n'; rm -f $TMPDIR/stats.*; [ ! $with ] || kill -KILL $$",
                  server=f"{SERVER}\nunset SPARENA_CONF")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh/its statistics\n    glibc:   ok\n    sparena: missing", text)

    def test_nothing_in_both(self):
        self.unit("a", "exit 1")
        code, text = self.run_suites()
        self.assertEqual(code, 1, text)
        self.assertIn("worse: shell/a.sh: nothing to compare with, glibc's: exit code 1", text)

    def test_no_such_unit(self):
        self.unit("a", "printf 'one\\tok\\n'")
        with self.assertRaisesRegex(suites.Failed, "no such units: b.sh"):
            self.run_suites("a.sh", "b.sh")


class Parsers(unittest.TestCase):
    """What the programs' tests write."""

    def test_tap(self):
        text = "1..4\nok 1 - a # not a directive\nnot ok 2 - b\nok 3 # skip not here\nnot ok 4 - c # TODO later\n# ok 5\n"
        self.assertEqual(programs.Memcached("/").results("t/x.t", text, ""),
                         {"1": "ok", "2": "not ok", "3": "skipped", "4": "ok"})
        self.assertEqual(programs.Memcached("/").results("t/x.t", "1..0 # SKIP no TLS\n", ""), {"all": "skipped"})
        text = "ok 1 - refused\nnot ok 2 - refused\nok 3 - refused\nok 4 - seen\n"
        self.assertEqual(programs.Memcached("/").results("t/maxconns.t", text, ""), {"refused": "not ok", "seen": "ok"})

    def test_redis(self):
        text = "[ok]: Set #1 (1 ms)\n[err]: Set #2 in tests/integration/psync2.tcl\n[ok]: Set #3 (1 ms)\n"
        self.assertEqual(programs.Redis("/").results("integration/psync2", text, ""), {"Set N": "not ok"})
        text = "[ok]: Set #1 (x = 23) (1 ms)\n[ok]: Set #2 (x = 42) (1 ms)\n"
        self.assertEqual(programs.Redis("/").results("unit/a", text, ""), {"Set N (x N)": "ok", "Set N (x N) (2)": "ok"})
        text = "[\x1b[32mok\x1b[0m]: SET (3 ms)\n[\x1b[32mok\x1b[0m]: SET (4 ms)\n[err]: GET (x) in tests/unit/a.tcl\n" \
               "Expected 1\n[ignore]: BIG: large memory flag not provided\n[1/1 done]: unit/a (1 seconds)\n"
        self.assertEqual(programs.Redis("/").results("unit/a", text, ""),
                         {"SET": "ok", "SET (2)": "ok", "GET (x)": "not ok",
                          "BIG: large memory flag not provided": "skipped"})

    def test_python(self):
        with tempfile.TemporaryDirectory() as scratch:
            self.assertEqual(programs.Python("/").results("test_x", "", scratch), {})
            with open(os.path.join(scratch, "results.xml"), "w", encoding="utf-8") as file:
                file.write('<testsuites><testsuite><testcase name="a" result="completed"/><testcase name="b">'
                           '<error message="no"/></testcase><testcase/><testcase name="c"><skipped>why</skipped>'
                           "</testcase></testsuite></testsuites>")
            self.assertEqual(programs.Python("/").results("test_x", "", scratch),
                             {"a": "ok", "b": "not ok", "after b": "not ok", "c": "skipped"})


if __name__ == "__main__":
    unittest.main()
