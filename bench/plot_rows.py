# SPDX-License-Identifier: BSD-2-Clause
"""The JSON of sparena bench alloc as rows for gnuplot: for each workload the ratio of each
allocator to the base. Usage: plot_rows.py FILE MEASURE"""
import json
import sys


def ratio(cell, measure):
    for figure in cell["figures"]:
        if figure["measure"] == measure and figure["ratio"] is not None:
            return "%.5g" % figure["ratio"]
    return "nan"


def main():
    data = json.load(open(sys.argv[1]))
    names = [a["name"] for a in data["allocators"]]
    cells = {(c["workload"], c["allocator"]): c for c in data["cells"]}
    rows = [["workload"] + names]
    for work in data["workloads"]:
        # Not every allocator takes part in every workload.
        row = [ratio(cells.get((work["name"], name), {"figures": []}), sys.argv[2]) for name in names]
        if any(r != "nan" for r in row):
            rows.append([work["name"] + (" (sparse)" if work["kind"] == "sparse" else "")] + row)
    for kind, title in (("plain", "geometric mean"), ("program", "mean, programs")):
        means = [m[sys.argv[2]] for m in data["geometric_means"][kind]]
        if sum(w["kind"] == kind for w in data["workloads"]) > 1 and any(means):
            rows.append([title] + ["nan" if m is None else "%.5g" % m for m in means])
    for row in rows:
        print("\t".join(row))


main()
