# SPDX-License-Identifier: BSD-2-Clause
"""
Numbered writes to a Redis, with a background save in the middle of them, so that what
was saved can be told from what came before and after.

redis_sequence.py SOCKET write COUNT: COUNT writes, BGSAVE, COUNT writes, in one stream of
    commands. Write n sets the number to n and one of 5,000 keys to a text made of n,
    both at once. Prints the number at the save.
redis_sequence.py SOCKET check NUMBER: all is exactly as after write NUMBER.
"""
import socket
import sys

KEYS = 5000
BATCH = 200


def text_of(n):
    return (b"%d " % n) * (1 + n % 97)


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Redis:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        line = self.file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        return rest


def write_of(n):
    return (command(b"MULTI") + command(b"SET", b"sequence:number", b"%d" % n) +
            command(b"SET", b"sequence:%d" % (n % KEYS), text_of(n)) + command(b"EXEC"))


def write_all(redis, first, count):
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        redis.send(b"".join(map(write_of, numbers)))
        for _ in numbers:
            assert [redis.answer() for _ in range(4)][3] == [b"OK", b"OK"]


def write(redis, count):
    write_all(redis, 1, count)
    # In one piece with writes before and after, whose answers come later.
    redis.send(write_of(count + 1) + command(b"BGSAVE") + b"".join(map(write_of, range(count + 2, count + 100))))
    answers = [redis.answer() for _ in range(4)] + [redis.answer()]
    assert answers[4].startswith(b"Background saving started"), answers
    for _ in range(98):
        assert [redis.answer() for _ in range(4)][3] == [b"OK", b"OK"]
    write_all(redis, count + 100, count)
    print(count + 1)


def check(redis, number):
    redis.send(command(b"GET", b"sequence:number"))
    found = redis.answer()
    assert found == b"%d" % number, (found, number)
    for key in range(KEYS):
        last = number - (number - key) % KEYS
        redis.send(command(b"GET", b"sequence:%d" % key))
        found = redis.answer()
        wanted = text_of(last) if last > 0 else None
        assert found == wanted, (key, last, found)


redis = Redis(sys.argv[1])
if sys.argv[2] == "write":
    write(redis, int(sys.argv[3]))
else:
    check(redis, int(sys.argv[3]))
