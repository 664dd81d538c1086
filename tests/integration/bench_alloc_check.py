#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks the JSON of sparena bench alloc (standard input): each cell that the options ask for
is there once, and its medians, ratios and means are those of its samples."""
import argparse
import json
import math
import statistics
import sys

MEASURES = ["time_ms", "cpu_ms", "peak_kib", "faults"]


def near(a, b):
    return a is not None and abs(a - b) <= 1e-5 * abs(b) + 1e-9


def figures(cell):
    return {f["measure"]: f for f in cell["figures"]}


def check_figure(cell, f, rounds):
    samples = [s for s in f["samples"] if s is not None]
    assert len(f["samples"]) == rounds and samples, cell
    assert near(f["median"], statistics.median(samples)), f
    low, high = f["quartiles"]
    assert min(samples) <= low * (1 + 1e-5) and low <= f["median"] <= high <= max(samples) * (1 + 1e-5), f


def check_cell(cell, base, rounds):
    """Figures of all rounds and the right ratios, or a reason and nothing else."""
    if cell["reason"] is not None:
        assert cell["reason"] and not cell["figures"], cell
        return
    found = figures(cell)
    for measure in MEASURES:
        assert measure in found, (measure, cell)
    assert found["time_ms"]["median"] > 0 and found["peak_kib"]["median"] > 500, cell
    for measure, f in found.items():
        check_figure(cell, f, rounds)
        others = figures(base)
        if base["reason"] is None and measure in others and others[measure]["median"] > 0:
            assert near(f["ratio"], f["median"] / others[measure]["median"]), (measure, cell)
        else:
            assert f["ratio"] is None, (measure, cell)


def check_means(data, kinds):
    for kind, means in data["geometric_means"].items():
        assert [m["allocator"] for m in means] == [a["name"] for a in data["allocators"]], means
        for mean in means:
            cells = [c for c in data["cells"] if kinds[c["workload"]] == kind and c["allocator"] == mean["allocator"]]
            ratios = [figures(c)["time_ms"]["ratio"] for c in cells if c["reason"] is None]
            ratios = [r for r in ratios if r is not None]
            assert mean["workloads"] == len(ratios), (kind, mean)
            if not ratios:
                assert mean["time_ms"] is None, (kind, mean)
            else:
                assert near(mean["time_ms"], math.exp(sum(map(math.log, ratios)) / len(ratios))), (kind, mean)


def words(text):
    return text.split(",") if text else []


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, required=True)
    p.add_argument("--allocators", type=words, required=True)
    p.add_argument("--workloads", type=words, required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--left-out", type=words, default=[])
    p.add_argument("--failed", type=words, default=[], help="workloads that give a reason everywhere")
    o = p.parse_args()
    data = json.load(sys.stdin)
    assert data["benchmark"] == "alloc" and data["processors"] > 0 and data["kernel"], data
    assert data["rounds"] == o.rounds and data["base"] == o.base, data
    assert [a["name"] for a in data["allocators"]] == o.allocators, data["allocators"]
    assert [a["name"] for a in data["left_out"]] == o.left_out, data["left_out"]
    assert [w["name"] for w in data["workloads"]] == o.workloads, data["workloads"]
    wanted = [(w, a) for w in o.workloads for a in o.allocators]
    assert [(c["workload"], c["allocator"]) for c in data["cells"]] == wanted, "other cells"
    bases = {c["workload"]: c for c in data["cells"] if c["allocator"] == o.base}
    for cell in data["cells"]:
        assert (cell["reason"] is not None) == (cell["workload"] in o.failed), cell
        check_cell(cell, bases[cell["workload"]], o.rounds)
        # The processor's counters are there for everybody or for nobody.
        counted = "instructions" in figures(cell)
        assert cell["reason"] is not None or counted == (data["instructions_reason"] is None), cell
    check_means(data, {w["name"]: w["kind"] for w in data["workloads"]})


main()
