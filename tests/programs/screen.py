"""A terminal of one's own: screen.py COLUMNS STREAMS COMMAND...

Runs the command on a terminal of so many columns and copies what it shows to our stdout,
until it ends; the exit code is the command's. STREAMS is `all`, or `stdout` for a command
whose stderr is ours.
"""

import fcntl
import os
import pty
import struct
import sys
import termios

columns, streams, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
stderr = os.dup(2)
pid, screen = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    if streams == "stdout":
        os.dup2(stderr, 2)
    os.execvp(command[0], command)
while True:
    try:
        shown = os.read(screen, 4096)
    except OSError:
        break
    if not shown:
        break
    os.write(1, shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
