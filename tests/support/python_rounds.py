# SPDX-License-Identifier: BSD-2-Clause
"""Appends bytearrays of 2**20-1 bytes until MemoryError and drops them, round after
round, then works on small things for a while. Usage: python_rounds.py ROUNDS SECONDS

Prints a line for each round, "round N: ARRAYS", and at the end
"peak_kib=... rss_kib=... region_kib=...". With 0 rounds, what python has without arrays.
"""
import sys
import time

SIZE = 2**20 - 1
MOST = 4000  # more means that nothing bounds us, and the machine's memory is not ours


def one_round():
    arrays = []
    try:
        while True:
            arrays.append(bytearray(SIZE))
            if len(arrays) == MOST:
                sys.exit("python_rounds: no limit in sight")
    except MemoryError:
        pass
    return len(arrays)


def small_work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        words = [str(i) for i in range(1000)]
        table = {word: len(word) for word in words}
        assert "".join(words) and len(table) == 1000


def status(key):
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key))


def mappings():
    """(start, end, permissions, name, resident KiB) of each."""
    with open("/proc/self/smaps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if not words[0].endswith(":"):
                start, end = (int(n, 16) for n in words[0].split("-"))
                head = (start, end, words[1], " ".join(words[5:]))
            elif words[0] == "Rss:":
                yield (*head, int(words[1]))


def resident_by_name():
    named = [m[4] for m in mappings() if m[3] == "[anon:sparena: data]"]
    return sum(named) if named else None


def resident_by_address():
    """For kernels that keep no names: what adjoins an inaccessible piece of more than
    16 GiB, which nothing else here reserves. Metadata may be in it, too."""
    total, run, closed, last = 0, 0, False, None
    for start, end, permissions, name, rss in mappings():
        if start != last or name:
            total += run if closed else 0
            run, closed = 0, False
        if not name:
            run += rss
            closed = closed or (permissions.startswith("---") and end - start > 16 << 30)
            last = end
    return total + (run if closed else 0)


def region_kib():
    named = resident_by_name()
    return resident_by_address() if named is None else named


def main():
    rounds, seconds = int(sys.argv[1]), float(sys.argv[2])
    for i in range(rounds):
        print(f"round {i + 1}: {one_round()}", flush=True)
    small_work(seconds)
    print(f"peak_kib={status('VmHWM')} rss_kib={status('VmRSS')} region_kib={region_kib()}")


main()
