# SPDX-License-Identifier: BSD-2-Clause
"""Makes fuzz_heap's corpus, tests/fuzz/corpus/heap: what a fuzzer would take long to come
upon, as operations of four bytes (operate() in fuzz_heap.c has them). Usage: heap_corpus.py DIR
"""
import os
import sys

TAKE, CALLOC, ALIGNED, RESIZE, WHOLE, FAIL = 0, 3, 4, 9, 12, 15
GIVE = TAKE  # of a block that is there
PURGE, SETTLE, LIMIT, PRINT, EVICT, WAIT, DESTROY = 0, 1, 2, 4, 5, 6, 7
ELSEWHERE = 192
HOWS = (2, 30, 7, 61, 15, 12, 18, 70, 20, 9, 22, 16)  # of some sizes, small and large


def op(code, which=0, how=0, more=0, heap=1):
    return bytes((code + 16 * heap, which, how, more))


def create(how=0, more=0x2C, heap=1):
    return op(TAKE, 0, how, more, heap)


def each(code, count, heap=1):
    return b"".join(op(code, i, HOWS[i % len(HOWS)], 7 * i % 256, heap) for i in range(count))


def fill(heap=1):
    """Blocks of 1 MiB until there is no more."""
    return b"".join(op(TAKE, i, 21, 0, heap) for i in range(32))


def whole(what, how=0, heap=1):
    return op(WHOLE, what, how, 0, heap)


def kinds():
    """Each backing, with other sizes of huge pages and times of decay each."""
    for kind in range(8):
        yield create(kind + 8 * (kind % 4) + 32 * (kind % 3), 16 * kind + 3)
        yield each(TAKE, 12) + each(RESIZE, 6) + each(CALLOC, 2) + whole(WAIT, 255) + whole(DESTROY)


def limits():
    for heap in (0, 1):
        yield create(heap=1) if heap else b""
        yield fill(heap) + whole(LIMIT, 8, heap) + each(RESIZE, 8, heap) + each(GIVE, 20, heap)
        yield whole(SETTLE, 0, heap) + whole(LIMIT, 180, heap) + fill(heap) + each(GIVE, 32, heap)


def faults():
    """One call after the other, and more of them, with each error."""
    yield create(0)
    for at in range(1, 12):
        yield op(FAIL, 0, at + 16 * (at % 4), at) + each(TAKE, 4) + op(FAIL, 0, at, at + 1) + each(GIVE, 4)
    yield whole(DESTROY)
    for at in range(1, 12):
        yield op(FAIL, 0, at, at, heap=0) + create(2 if at % 2 else 4) + whole(DESTROY)


def threads():
    yield create(16) + create(4, heap=2)
    for heap in (0, 1, 2):
        yield each(TAKE + ELSEWHERE, 10, heap) + each(GIVE, 5, heap)
        yield each(RESIZE, 8, heap) + each(GIVE + ELSEWHERE, 8, heap)
        yield whole(SETTLE, 0, heap)


def evict():
    yield create() + whole(EVICT, 1) + fill() + each(CALLOC, 12) + whole(PRINT, 1) + whole(EVICT, 0) + fill()


def aligned():
    yield create(8)
    yield b"".join(op(ALIGNED, i, HOWS[i % len(HOWS)], i) for i in range(23)) + op(TAKE, 40, 255, 3)
    yield each(GIVE, 23) + whole(PURGE)


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for make in (kinds, limits, faults, threads, evict, aligned):
        with open(os.path.join(directory, make.__name__), "wb") as file:
            file.write(b"".join(make()))


main()
