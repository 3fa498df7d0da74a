"""A name server that never answers: silent.py COMMAND...

Listens where resolv.conf(5) says, creates the file `asked` when it is asked something, and
keeps silent. COMMAND takes this process's place.
"""

import os
import pathlib
import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
if os.fork() == 0:
    server.recv(512)
    pathlib.Path("asked").touch()
    while True:
        server.recv(512)
server.close()
os.execv(sys.argv[1], sys.argv[1:])
