# SPDX-License-Identifier: BSD-2-Clause
"""The table as Markdown: written, read again, compared with a run."""
import html
import textwrap

TITLE = "# malloc and its relatives beside glibc's"
SYSTEM = "Observed under "


def cell(results):
    """The results of a column's ways as one text: those that are alike said once."""
    if len(set(results.values())) == 1:
        return next(iter(results.values()))
    results = dict(results)
    if "preloaded" in results and results["preloaded"] == results.get("linked"):
        results = {"dynamic": results.pop("preloaded"), **{k: v for k, v in results.items() if k != "linked"}}
    return " / ".join(f"{way}: {text}" for way, text in results.items())


def escaped(text):
    return html.escape(text, quote=False).replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def line(*cells):
    return "| " + " | ".join(cells) + " |\n"


def head(*cells):
    return line(*cells) + "|" + "---|" * len(cells) + "\n"


def make(rows, why, system):
    rows = list(rows)
    differing = [row for row in rows if row.differs()]
    version = system.partition(",")[0]
    text = TITLE + "\n\n" + textwrap.fill(
        f"{SYSTEM}{system}: {len(rows)} cases, each run in processes of its own with glibc's malloc and with "
        "sparena's, preloaded, linked, and in static programs. Where ways of one allocator differ, each is named. "
        f"In {len(differing)} cases sparena differs from glibc; what stands in the last column of the first table "
        "says why.", 118)
    text += "\n\nMade by `cmake --build --preset release --target conformance_table`; the test conformance_table\n" \
            "compares it with a run.\n"
    text += "\n## Where they differ\n\n" + head("case", version, "sparena", "why")
    for row in differing:
        text += line(f"`{row.case}`", *(escaped(cell(row.results[c])) for c in ("glibc", "sparena")),
                     escaped(why.get(row.case, "")))
    text += "\n## Where they are alike\n"
    group = None
    for row in rows:
        if row.differs():
            continue
        if row.case.partition("/")[0] != group:
            group = row.case.partition("/")[0]
            text += f"\n### {group}\n\n" + head("case", "both")
        text += line(f"`{row.case}`", escaped(cell(row.results["glibc"])))
    return text


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Kept:
    """The table in a file: its system and, for each case, its line."""

    def __init__(self, text):
        self.text = text
        self.system = ""
        self.lines = {}
        for row in text.splitlines():
            if row.startswith(SYSTEM):
                self.system = row[len(SYSTEM):].partition(":")[0]
            if row.startswith("| `"):
                self.lines[row.split("`")[1]] = row


def read(path):
    with open(path, encoding="utf-8") as file:
        return Kept(file.read())


def changes(kept, rows, why, without):
    """Where the kept table is not what a run gives. Cases that were skipped, or whose
    program could not be built here, are left out."""
    new = Kept(make(rows.values(), why, kept.system))
    found = []
    for case in dict.fromkeys([*kept.lines, *new.lines]):
        if case.partition("/")[0] in without or (case in rows and rows[case].skips()):
            continue
        was, now = kept.lines.get(case, "none"), new.lines.get(case, "none")
        if was != now:
            found.append(f"not as in the table: {case}\n    table: {was}\n    now:   {now}")
    if found:
        found.append("if this is meant to be so: cmake --build --preset release --target conformance_table")
    return found
