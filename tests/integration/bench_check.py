#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks what sparena bench printed (standard input): each cell that the options ask for
is there once, with figures that can be, or with a reason."""
import argparse
import csv
import itertools
import json
import sys
import xml.etree.ElementTree as tree

POPULATE = ["read", "write", "read+write", "POPULATE_READ", "POPULATE_WRITE"]
POPULATE += ["fallocate"] + ["fallocate+" + m for m in POPULATE] + ["sparena_region_commit"]
DISCARD = ["MADV_DONTNEED", "MADV_REMOVE", "PUNCH_HOLE", "munmap", "sparena_region_decommit"]
BACKINGS = ["anon", "anon-thp", "hugetlb", "memfd", "memfd-hugetlb", "tmpfs", "disk", "hugetlbfs"]
FILES = BACKINGS[3:]
POOLED = ["hugetlb", "memfd-hugetlb", "hugetlbfs"]


def read_cells(form, verb):
    """The cells, and the directories of those kinds that have one."""
    if form == "json":
        data = json.load(sys.stdin)
        assert data["benchmark"] == verb and data["processors"] > 0 and data["kernel"], data
        return data["cells"], [k for k, v in data["directories"].items() if v]
    rows = list(csv.DictReader(sys.stdin, strict=True))
    return [{k: v for k, v in row.items() if v != ""} for row in rows], []


def applies(cell):
    """Whether the method is for such memory at all, whatever the machine has."""
    name, backing, private = cell["method"], cell["backing"], cell["mapping"] == "private"
    if backing == "anon-thp" and not private:
        return False
    if name.startswith(("fallocate", "PUNCH")):
        return backing in FILES
    if name.startswith("sparena"):
        return private != (backing in FILES)
    return {"MADV_DONTNEED": private, "MADV_REMOVE": not private}.get(name, True)


def expected(cell, pool, directories):
    """Whether it must have figures: what any machine that runs these tests can do."""
    small = int(cell["size"]) < 2 << 20
    if cell["backing"] in ("anon", "memfd"):
        return applies(cell)
    if cell["backing"] in ("tmpfs", "disk"):
        return applies(cell) and cell["backing"] in directories
    if cell["backing"] in POOLED and pool and (cell["backing"] != "hugetlbfs" or "hugetlbfs" in directories):
        return applies(cell) and not small and int(cell["threads"]) == 1
    return False


def freed(cell):
    """How much must have been given back, at least and at most; None: not told."""
    whole = (0.99, 1.0)
    if cell["backing"] == "memfd" and cell["mapping"] == "private":
        return None if cell["method"] == "munmap" else (0.45, 0.55)  # the file's pages, or the copies
    if cell["backing"] in FILES and cell["method"] == "munmap":
        return None
    if cell["backing"] in ("anon", "memfd", "hugetlb") or cell["mapping"] == "shared":
        return whole
    return (0.0, 1.0)


def check(cell, options, directories):
    if "reason" in cell:
        assert cell["reason"] and "mean_ns" not in cell, cell
        assert not expected(cell, options.pool, directories), cell
        return False
    assert applies(cell), cell
    mean, shortest, spread = (float(cell[k]) for k in ("mean_ns", "shortest_ns", "spread_ns"))
    assert 0 < shortest <= mean < 600e9 and 0 <= spread <= mean * options.rounds, cell
    assert int(cell["rounds"]) == options.rounds and (options.rounds > 1 or spread == 0), cell
    if options.verb == "discard":
        bounds = freed(cell)
        assert ("freed" in cell) == (bounds is not None), cell
        assert bounds is None or bounds[0] <= float(cell["freed"]) <= bounds[1], cell
    return True


def check_plot(path, measured):
    root = tree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg", root.tag
    bars = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.find("{*}title") is not None]
    for bar in bars:
        assert float(bar.get("height")) >= 0 and float(bar.get("width")) > 0, bar.attrib
        assert 0 <= float(bar.get("y")) <= float(root.get("height")), bar.attrib
    assert len(bars) >= measured, (len(bars), measured)


def words(text):
    return text.split(",")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("format", choices=["json", "csv"])
    p.add_argument("verb", choices=["populate", "discard"])
    p.add_argument("--sizes", type=words, required=True)
    p.add_argument("--threads", type=words, required=True)
    p.add_argument("--rounds", type=int, required=True)
    p.add_argument("--backings", type=words, default=BACKINGS)
    p.add_argument("--mappings", type=words, default=["private", "shared"])
    p.add_argument("--methods", type=words)
    p.add_argument("--plot")
    p.add_argument("--pool", action="store_true", help="there are huge pages")
    p.add_argument("--small", help="a kind whose directory has too little room")
    o = p.parse_args()
    methods = o.methods or (POPULATE if o.verb == "populate" else DISCARD)
    cells, directories = read_cells(o.format, o.verb)
    keys = [tuple(str(c[k]) for k in ("size", "threads", "backing", "mapping", "method")) for c in cells]
    wanted = list(itertools.product(o.sizes, o.threads, o.backings, o.mappings, methods))
    assert keys == wanted, sorted(set(keys) ^ set(wanted)) or "another order, or a cell twice"
    directories = [d for d in directories if d != o.small]
    measured = [c for c in cells if check(c, o, directories)]
    assert measured, "nothing was measured"
    if o.plot:
        by_one = [c for c in measured if str(c["threads"]) == o.threads[0]]
        check_plot(o.plot, len(by_one))


main()
