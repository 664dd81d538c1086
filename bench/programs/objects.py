# SPDX-License-Identifier: BSD-2-Clause
"""Objects of many kinds: dictionaries, strings, lists, text that is written and read again.
Usage: objects.py ROUNDS"""
import json
import random
import re
import sys


class Item:
    def __init__(self, key, size):
        self.key = key
        self.name = "item-%d" % key
        self.tags = ["tag%d" % (key % n) for n in range(1, size)]


def one_round(seed):
    r = random.Random(seed)
    items = {k: Item(k, r.randint(2, 12)) for k in r.sample(range(10_000_000), 15_000)}
    by_tag = {}
    for item in items.values():
        for tag in item.tags:
            by_tag.setdefault(tag, []).append(item.name)
    for key in list(items)[::2]:
        del items[key]
    text = json.dumps({k: sorted(v) for k, v in by_tag.items()})
    words = re.findall(r"item-\d+", text)
    big = bytearray()
    for word in words:
        big += word.encode()
    numbers = [float(n) ** 0.5 for n in range(100_000)]
    assert sum(map(len, json.loads(text).values())) == len(words)
    return len(items) + len(big) + int(sum(numbers))


def main():
    print("checksum=%d" % sum(one_round(seed) for seed in range(int(sys.argv[1]))))


main()
