"""What a shell with job control sees: terminal.py COMMAND...

Runs the command as the foreground job of a terminal, whose keyboard this is. Prints a line
for everything that happens to the job, and for the command's lines `says LINE`.
The command says `says ready`, reads a line, says it, and waits for Ctrl-C.
"""

import os
import pty
import select
import signal
import sys


def session():
    """The shell: a session leader on the terminal, which it gives to its job."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    report = os.fdopen(3, "w", buffering=1)
    wait, go = os.pipe()
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.read(wait, 1)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        # Ignored where the tests were started in the background, and a shell cannot trap what
        # was ignored when it began.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvp(sys.argv[1], sys.argv[1:])
    os.setpgid(job, job)
    os.tcsetpgrp(0, job)
    os.write(go, b"x")
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            ours = "job" if os.tcgetpgrp(0) == job else "somebody else"
            report.write(f"stopped by {os.WSTOPSIG(status)}, foreground is the {ours}'s\n")
            os.tcsetpgrp(0, os.getpgrp())
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        else:
            ours = "job" if os.tcgetpgrp(0) == job else "somebody else"
            code = os.waitstatus_to_exitcode(status)
            report.write(f"ended with {code}, foreground is the {ours}'s\n")
            return


# What is typed after which line.
ANSWERS = {
    b"says ready": b"\x1a",
    b"stopped by 20, foreground is the job's": b"hello\n",
    b"says got hello": b"\x03",
}

read, write = os.pipe()
pid, keyboard = pty.fork()
if pid == 0:
    os.dup2(write, 3)
    session()
    sys.exit()
os.close(write)
pending = {keyboard: b"", read: b""}
while pending:
    for fd in select.select(list(pending), [], [])[0]:
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b""
        if not data:
            del pending[fd]
            continue
        *lines, pending[fd] = (pending[fd] + data).split(b"\n")
        for line in lines:
            line = line.strip()
            if fd == keyboard:
                # The terminal echoes what is typed, perhaps before a line.
                if b"says " not in line:
                    continue
                line = line[line.index(b"says ") :]
            print(line.decode(), flush=True)
            if line in ANSWERS:
                os.write(keyboard, ANSWERS.pop(line))
