# SPDX-License-Identifier: BSD-2-Clause
"""Fills memcached through its protocol until it says that memory is out, and sees
whether it still serves. Usage: memcached_fill.py SOCKET PID MOST_MIB

Prints one line of key=value pairs:
  stored, refused   answers to the fill
  alive             1 if the server still answered at the end, else 0
  served            1 if get, delete and set went well after the fill, else 0
  peak_kib          peak resident memory of the server
  rss_kib           resident memory of the server at the end
  answer            what the first refusal said, to the end of the line
"""
import socket
import sys

MIB = 1 << 20
VALUE = b"v" * 100_000
REFUSALS = 200  # so many, then it is full
SHOWN = ("stored", "refused", "alive", "served", "peak_kib", "rss_kib", "answer")


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def line(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        return line.strip()

    def set(self, key, value):
        self.socket.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
        return self.line()

    def delete(self, key):
        self.socket.sendall(b"delete %s\r\n" % key)
        return self.line()

    def get(self, key):
        """The value, or None."""
        self.socket.sendall(b"get %s\r\n" % key)
        line = self.line()
        if not line.startswith(b"VALUE"):
            return None
        value = self.file.read(int(line.split()[3]) + 2)[:-2]
        return value if self.line() == b"END" else None


def fill(client, most, result):
    """Keys that were stored, oldest first."""
    stored = []
    while len(stored) * len(VALUE) < most and result["refused"] < REFUSALS:
        key = b"k%d" % (len(stored) + result["refused"])
        answer = client.set(key, VALUE)
        if answer == b"STORED":
            stored.append(key)
            result["stored"] += 1
        else:
            result["refused"] += 1
            if result["answer"] == "-":
                result["answer"] = answer.decode()
    return stored


def serves(client, stored):
    """What is there can be read and deleted, and new values fit in its place."""
    for key in stored[:20]:
        if client.get(key) != VALUE or client.delete(key) != b"DELETED" or client.get(key) is not None:
            return False
    for i in range(20):
        key = b"new%d" % i
        if client.set(key, VALUE) != b"STORED" or client.get(key) != VALUE:
            return False
    return True


def status(pid, key):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)
    except OSError:
        return 0


def main():
    path, pid, most = sys.argv[1], sys.argv[2], int(sys.argv[3]) * MIB
    result = {"stored": 0, "refused": 0, "answer": "-", "alive": 0, "served": 0, "peak_kib": 0, "rss_kib": 0}
    try:
        client = Client(path)
        other = Client(path)  # now: memcached closes new connections for which it has no memory
        other.set(b"first", b"1")
        stored = fill(client, most, result)
        result["peak_kib"] = status(pid, "VmHWM")
        result["served"] = int(serves(client, stored))
        result["alive"] = int(other.get(b"first") == b"1" and other.set(b"first", b"2") == b"STORED")
    except OSError as error:
        print(f"memcached_fill: {error}", file=sys.stderr)
    result["peak_kib"] = max(result["peak_kib"], status(pid, "VmHWM"))
    result["rss_kib"] = status(pid, "VmRSS")
    print(*(f"{key}={result[key]}" for key in SHOWN))


main()
