#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What conformance.py must notice, tried on programs that are shell scripts."""
import contextlib
import io
import os
import sys
import tempfile
import unittest

import conformance

SCRIPT = """#!/bin/sh
case $1 in
--allocator) echo {allocator} ;;
--list) cat <<'END'
{names}
END
;;
{cases}
esac
"""


class Driver(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.explain()

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name, allocator, cases):
        """A program of cases {name: shell command}; its path."""
        text = SCRIPT.format(allocator=allocator, names="\n".join(cases),
                             cases="\n".join(f"'{case}') {command} ;;" for case, command in cases.items()))
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), 0o700)
        return self.path(name)

    def explain(self, *lines):
        with open(self.path("why"), "w", encoding="utf-8") as file:
            file.write("# a comment\n" + "".join(f"{line}\n" for line in lines))

    def run_driver(self, *programs_and_options):
        """Its exit code and what it printed."""
        sys.argv = ["conformance.py", "--library", "", "--differences", self.path("why"),
                    "--table", self.path("table.md"), *programs_and_options]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = conformance.main()
        return code, out.getvalue()

    def pair(self, glibc, sparena):
        return [f"glibc:dynamic={self.program('g', 'glibc', glibc)}",
                f"sparena:linked={self.program('s', 'sparena', sparena)}",
                f"sparena:preloaded={self.path('s')}"]

    def kept(self):
        with open(self.path("table.md"), encoding="utf-8") as file:
            return file.read()

    def test_alike(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo x"})
        self.assertEqual(self.run_driver("--write", *pair)[0], 0)
        self.assertIn("| `a/one` | x |", self.kept())
        self.assertEqual(self.run_driver(*pair)[0], 0)

    def test_difference(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo y_z"})
        code, text = self.run_driver("--write", *pair)
        self.assertEqual(code, 1)
        self.assertIn("unexplained: a/one\n    glibc:   x\n    sparena: y_z", text)
        self.explain("a/one\tfor a reason")
        self.assertEqual(self.run_driver("--write", *pair)[0], 0)
        self.assertIn("| `a/one` | x | y\\_z | for a reason |", self.kept())
        self.assertEqual(self.run_driver(*pair)[0], 0)

    def test_one_way_only(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo x"})
        other = self.program("p", "sparena", {"a/one": "echo y"})
        code, text = self.run_driver("--write", *pair[:2], f"sparena:preloaded={other}")
        self.assertEqual(code, 1)
        self.assertIn("linked: x / preloaded: y", text)

    def test_static_is_compared_with_static(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo x"})
        static = [f"glibc:static={self.program('gs', 'glibc', {'a/one': 'echo y'})}",
                  f"sparena:static={self.program('ss', 'sparena', {'a/one': 'echo y'})}"]
        self.assertEqual(self.run_driver("--write", *pair, *static)[0], 0)
        self.assertIn("dynamic: x / static: y", self.kept())
        with self.assertRaisesRegex(conformance.Failed, "static in one column"):
            self.run_driver("--write", *pair, static[0])

    def test_stale_explanation(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo x"})
        self.explain("a/one\tno longer", "b/two\tgone")
        code, text = self.run_driver("--write", *pair)
        self.assertEqual(code, 1)
        self.assertIn("explained, but there is no difference: a/one", text)
        self.assertIn("explained, but there is no such case: b/two", text)

    def test_bad_explanations(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo y"})
        for lines in (["a/one"], ["a/one\t"], ["a/one\tx", "a/one\ty"]):
            self.explain(*lines)
            with self.assertRaises(conformance.Failed):
                self.run_driver("--write", *pair)

    def test_crash(self):
        pair = self.pair({"a/one": "echo x", "a/two": "echo x"},
                         {"a/one": "printf 'so far'; kill -SEGV $$", "a/two": "echo x; exit 3"})
        self.explain("a/one\tfor a reason")
        code, text = self.run_driver("--write", *pair)
        self.assertEqual(code, 1)
        self.assertIn("sparena: so far; signal 11 (SIGSEGV)", text)
        self.assertIn("sparena: x; exit code 3", text)

    def test_no_end(self):
        self.addCleanup(setattr, conformance, "TIMEOUT", conformance.TIMEOUT)
        conformance.TIMEOUT = 1
        code, text = self.run_driver("--write", *self.pair({"a/one": "echo x"}, {"a/one": "sleep 50 & wait"}))
        self.assertEqual(code, 1)
        self.assertIn("sparena: no end within 1 s", text)

    def test_messages(self):
        _, text = self.run_driver("--write", *self.pair({"a/one": "echo x"}, {"a/one": "echo x; echo oops >&2"}))
        self.assertIn("sparena: x; a message on stderr: oops", text)

    def test_wrong_allocator(self):
        program = self.program("g", "glibc", {"a/one": "echo x"})
        with self.assertRaisesRegex(conformance.Failed, "not sparena"):
            self.run_driver(f"glibc:dynamic={program}", f"sparena:preloaded={program}")

    def test_case_in_one_column(self):
        with self.assertRaisesRegex(conformance.Failed, "a/two: no result of sparena"):
            self.run_driver(*self.pair({"a/one": "echo x", "a/two": "echo x"}, {"a/one": "echo x"}))

    def test_no_cases(self):
        with self.assertRaisesRegex(conformance.Failed, "no cases"):
            self.run_driver(*self.pair({}, {}))

    def test_other_than_kept(self):
        cases = {"a/one": "echo x", "a/two": "echo x"}
        self.run_driver("--write", *self.pair(cases, cases))
        changed = {"a/one": "echo y", "a/three": "echo x"}
        code, text = self.run_driver(*self.pair(changed, changed))
        self.assertEqual(code, 1)
        for case in ("one", "two", "three"):
            self.assertIn(f"not as in the table: a/{case}", text)

    def test_other_explanation_than_kept(self):
        pair = self.pair({"a/one": "echo x"}, {"a/one": "echo y"})
        self.explain("a/one\tfor a reason")
        self.run_driver("--write", *pair)
        self.explain("a/one\tfor another")
        self.assertEqual(self.run_driver(*pair)[0], 1)

    def test_skipped(self):
        cases = {"a/one": "echo x", "a/two": "echo y"}
        self.run_driver("--write", *self.pair(cases, cases))
        pair = self.pair(cases, {"a/one": "echo x", "a/two": "echo 'skipped: not here'"})
        code, text = self.run_driver(*pair)
        self.assertEqual(code, 0)
        self.assertIn("a/two: skipped: not here", text)
        with self.assertRaisesRegex(conformance.Failed, "lack what was skipped: a/two"):
            self.run_driver("--write", *pair)

    def test_without_a_program(self):
        cases = {"a/one": "echo x", "b/two": "echo x"}
        other = {"a/one": "echo x", "b/two": "echo y"}
        self.explain("b/two\tfor a reason")
        self.run_driver("--write", *self.pair(cases, other))
        del cases["b/two"], other["b/two"]
        pair = self.pair(cases, other)
        self.assertEqual(self.run_driver(*pair)[0], 1)
        code, text = self.run_driver("--without", "b=no compiler", *pair)
        self.assertEqual(code, 0)
        self.assertIn("b/...: skipped: no compiler", text)

    def test_other_system(self):
        cases = {"a/one": "echo x"}
        self.run_driver("--write", *self.pair(cases, cases))
        with open(self.path("table.md"), "w", encoding="utf-8") as file:
            file.write("Observed under glibc 1.99, m68k: 1 case\n| `a/one` | other |\n")
        code, text = self.run_driver(*self.pair(cases, {"a/one": "echo y"}))
        self.assertEqual(code, 77)
        self.assertIn("unexplained: a/one", text)
        self.assertIn("skipped: the table is of glibc 1.99, m68k", text)
        self.assertEqual(self.run_driver(*self.pair(cases, {"a/one": "kill -ABRT $$"}))[0], 1)


if __name__ == "__main__":
    unittest.main()
