# SPDX-License-Identifier: BSD-2-Clause
"""What several runs of `sparena bench alloc --json` say together: geometric means of each
run, whether they agree, and rows that are lost in all of them. Ends in lines "ratio...".
Usage: runs.py plain|program FILE..."""
import json
import math
import sys

SUBJECT, BASE = "sparena", "jemalloc"
TARGETS = {  # of the subject to the base, and to the best of the others
    "plain": {"time_ms": (0.80, 1.00), "peak_kib": (1.10, None)},
    "program": {"time_ms": (1.00, 1.02)},
}
UNITS = {"time_ms": "time", "peak_kib": "peak resident"}
SPREAD = 1.03


class Run:
    def __init__(self, path, kind):
        self.data = json.load(open(path))
        self.works = [w["name"] for w in self.data["workloads"] if w["kind"] == kind]
        self.names = [a["name"] for a in self.data["allocators"]]
        self.median = {}
        self.own = {}
        for cell in self.data["cells"]:
            where = cell["workload"], cell["allocator"]
            for figure in cell["figures"]:
                if figure["median"] is None:
                    continue
                self.median[where + (figure["measure"],)] = figure["median"]

    def ratio(self, work, name, measure):
        mine, base = (self.median.get((work, n, measure)) for n in (name, BASE))
        return mine / base if mine and base else None

    def mean(self, name, measure):
        ratios = [self.ratio(w, name, measure) for w in self.works]
        logs = [math.log(r) for r in ratios if r]
        return math.exp(sum(logs) / len(logs)) if logs else None

    def peers(self):
        """Whoever ran everything, but the subject's own variants."""
        return [n for n in self.names if not n.startswith(SUBJECT)]

    def best_other(self, work, measure):
        values = [self.median.get((work, n, measure)) for n in self.peers()]
        values = [v for v in values if v]
        return min(values) if values else None


def say_means(runs, measure):
    print(f"Geometric mean of {UNITS[measure]}, as a ratio to {BASE}, by run")
    print("  %-14s" % "run" + "".join("%14s" % n for n in runs[0].names))
    for i, run in enumerate(runs, 1):
        means = [run.mean(n, measure) for n in run.names]
        print("  %-14d" % i + "".join("%14s" % ("-" if m is None else "%.3f" % m) for m in means))
    print()


def say_rows(runs):
    """Each row's ratio in each run; rows that are slower than the base in all of them."""
    print(f"Time of {SUBJECT}: to {BASE}, and to the best other, by run")
    always = []
    for work in runs[0].works:
        to_base = [r.ratio(work, SUBJECT, "time_ms") for r in runs]
        if None in to_base:
            continue
        to_best = [r.median[work, SUBJECT, "time_ms"] / r.best_other(work, "time_ms") for r in runs]
        print("  %-14s" % work + "".join("%8.2f" % v for v in to_base) + "   " +
              "".join("%8.2f" % v for v in to_best))
        if min(to_base) > 1:
            always.append(work)
    print(f"slower than {BASE} in all of {len(runs)}: {', '.join(always) if always else 'none'}\n")
    return len(always)


def middle(values):
    values = sorted(values)
    return values[len(values) // 2]


def say_own(runs):
    """What workloads measure themselves in ns or us: the slowest."""
    figures = sorted({k for r in runs for k in r.median if k[2].startswith("p99.9")})
    for work, measure in sorted({(k[0], k[2]) for k in figures}):
        row = {n: middle([r.median[work, n, measure] for r in runs if (work, n, measure) in r.median])
               for n in runs[0].names if any((work, n, measure) in r.median for r in runs)}
        others = [v for n, v in row.items() if not n.startswith(SUBJECT)]
        print(f"{work} {measure}: " + ", ".join(f"{n} {v:.0f}" for n, v in row.items()))
        if SUBJECT in row and others and BASE in row:
            yield f"{work} {measure}", row[SUBJECT] / row[BASE], row[SUBJECT] / min(others)


def main():
    kind = sys.argv[1]
    runs = [Run(path, kind) for path in sys.argv[2:]]
    for measure in TARGETS[kind]:
        say_means(runs, measure)
    say_rows(runs)
    slowest = list(say_own(runs))
    for what, to_base, to_best in slowest:
        print(f"ratio of {what}: {to_base:.3f} of {BASE}, {to_best:.3f} of the best other (target <= 1.00)")
    for measure, (to_base, to_best) in TARGETS[kind].items():
        means = [r.mean(SUBJECT, measure) for r in runs]
        print(f"ratio of {UNITS[measure]}: {middle(means):.3f} (target <= {to_base:.2f})")
        if to_best:
            best = middle([m / min(v for v in (r.mean(n, measure) for n in r.peers()) if v)
                           for m, r in zip(means, runs)])
            print(f"ratio of {UNITS[measure]} to the best other: {best:.3f} (target <= {to_best:.2f})")
        if len(runs) > 1:
            print(f"ratio of the highest to the lowest of {len(runs)} runs, {UNITS[measure]}: "
                  f"{max(means) / min(means):.3f} (target <= {SPREAD:.2f})")


main()
