"""Holds ports that are not its own: stranger.py tcp:PORT udp:PORT ...

Connections are taken and closed at once. Creates the file `stranger.ready`
when it holds all of them.
"""

import pathlib
import selectors
import socket
import sys

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

waiting = selectors.DefaultSelector()
held = []
for kind, port in (argument.split(":") for argument in sys.argv[1:]):
    sock = socket.socket(socket.AF_INET, KINDS[kind])
    if kind == "tcp":
        # Otherwise its closed connections would keep the port for a minute more.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", int(port)))
    held.append(sock)
    if kind == "tcp":
        sock.listen()
        waiting.register(sock, selectors.EVENT_READ)

pathlib.Path("stranger.ready").touch()
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
