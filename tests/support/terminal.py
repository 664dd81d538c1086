# SPDX-License-Identifier: BSD-2-Clause
"""terminal.py COMMAND...: runs COMMAND with a terminal as its standard error, and passes on
what it writes there, and its exit code."""
import os
import sys

master, slave = os.openpty()
pid = os.fork()
if pid == 0:
    os.close(master)
    os.dup2(slave, 2)
    os.execvp(sys.argv[1], sys.argv[1:])
os.close(slave)
while True:
    try:
        data = os.read(master, 4096)
    except OSError:  # EIO: nobody has it open any more
        break
    if not data:
        break
    os.write(2, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
