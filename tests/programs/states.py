"""A node for every state: what it does depends on its number.

1 leaves a process behind that does not end when it is asked to; 2 ends at once; 3 never says
that it is ready; 4 is ready and then no longer; 5 does not end when it is asked to.
"""

import os
import signal
import socket
import subprocess
import sys

number = int(os.environ["REPRAM_NODE_ID"].rsplit("-", 1)[1])


def notify(text):
    to = os.environ["NOTIFY_SOCKET"]
    address = "\0" + to[1:] if to.startswith("@") else to
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), address)


stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
if number == 1:
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
    child.stdout.readline()
if number == 2:
    sys.exit(1)
if number == 5:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("node", number, "begins", flush=True)
if number != 3:
    notify("READY=1")
if number == 4:
    notify("STOPPING=1")
while True:
    signal.pause()
