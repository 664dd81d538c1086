# SPDX-License-Identifier: BSD-2-Clause
"""Checks what `sparena bench pageout -s 16M -r 2` printed: all rows, and figures that can be.
Usage: bench_pageout_check.py json|csv zram|file <OUTPUT
"""
import csv
import itertools
import json
import mmap
import os
import sys

SIZE = 16 << 20
ROUNDS = 2
PAGE = mmap.PAGESIZE
WAYS = ["touch", "POPULATE_READ", "WILLNEED+touch", "WILLNEED+POPULATE_READ"]
FOLIOS = sorted({PAGE, 65536, 2 << 20})


def number(row, key):
    return None if row[key] in (None, "") else float(row[key])


def is_share(value):
    return value is not None and 0 <= value <= 1


def check_times(row):
    mean, shortest, spread = (number(row, key) for key in ("mean_ns", "shortest_ns", "spread_ns"))
    assert int(row["rounds"]) == ROUNDS, row
    assert 0 < shortest <= mean and 0 <= spread <= mean * ROUNDS, row
    assert number(row, "out") > 0.5, row
    assert is_share(number(row, "cached")), row


def check_out(row, folio, kind):
    check_times(row)
    assert is_share(number(row, "folios")), row
    assert number(row, "folios") > 0.9, row  # root may set them
    whole = number(row, "whole")
    assert whole is None or (is_share(whole) and folio > PAGE), row
    if "gib_per_s" in row:
        rate = number(row, "out") * SIZE / 2**30 / (number(row, "mean_ns") / 1e9)
        assert abs(number(row, "gib_per_s") - rate) < 0.01 * rate, row
    if kind == "zram" and row["data"] == "half" and folio > PAGE:
        assert whole is None or whole > 0.5, row  # what zram is good at


def check_back(row):
    check_times(row)
    assert number(row, "back") > 0.95 and number(row, "cached") < 0.1, row


def check_ratios(rows):
    touch = {row["data"]: number(row, "mean_ns") for row in rows if row["way"] == "touch"}
    for row in rows:
        ratio = number(row, "mean_ns") / touch[row["data"]]
        assert abs(number(row, "ratio") - ratio) <= 0.01 * ratio + 0.0001, row


def check_head(head, kind):
    assert head["benchmark"] == "pageout" and head["version"], head
    assert head["kernel"] == os.uname().release and head["processors"] >= 1, head
    assert head["size"] == SIZE and head["rounds"] == ROUNDS and head["page"] == PAGE, head
    swap = head["swap"]
    assert swap["own"] and len(swap["areas"]) == 1 and 0 <= swap["own_share"] <= 1, swap
    area = swap["areas"][0]
    assert area["kind"] == kind and area["size"] >= 2 * SIZE, area
    assert area["name"].startswith("/dev/zram" if kind == "zram" else "/var/tmp/"), area


def main():
    form, kind = sys.argv[1:]
    if form == "json":
        head = json.load(sys.stdin)
        check_head(head, kind)
        first, second = head["pageout"], head["back"]
        check_ratios(second)
    else:
        rows = list(csv.DictReader(sys.stdin))
        first = [row for row in rows if row["way"] == ""]
        second = [row for row in rows if row["way"] != ""]
        assert rows == first + second, "another order"
    data = sorted({row["data"] for row in first}, key=["zero", "half", "random"].index)
    assert [(row["data"], int(row["folio"])) for row in first] == list(itertools.product(data, FOLIOS)), first
    assert [(row["data"], row["way"]) for row in second] == list(itertools.product(data, WAYS)), second
    measured = [row for row in first if not row.get("reason")]
    assert measured and int(measured[0]["folio"]) == PAGE, first
    for row in measured:
        check_out(row, int(row["folio"]), kind)
    for row in second:
        assert int(row["folio"]) == PAGE, row
        check_back(row)


main()
