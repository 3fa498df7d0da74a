"""A node that is handed a front port and never accepts: it is ready when the file `go`
is there, and no more when the file `pause` is. It writes down what it was handed.
"""

import os
import pathlib
import socket
import time


def notify(message):
    address = os.environ["NOTIFY_SOCKET"]
    address = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(message, address)


def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)


names = os.environ["LISTEN_FDNAMES"].split(":")
handed = socket.socket(fileno=3 + names.index("ingress"))
# In one step: the file is there as soon as it is whole.
pathlib.Path("handed.new").write_text(f"{os.environ['LISTEN_FDS']} {handed.getsockname()[1]}")
os.rename("handed.new", "handed")
wait_for("go")
notify(b"READY=1")
wait_for("pause")
notify(b"STOPPING=1")
time.sleep(1000)
