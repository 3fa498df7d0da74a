"""A web server that knows nothing but systemd's conventions: it is handed its
listening sockets, see sd_listen_fds(3), and says when it is ready, see sd_notify(3).
It answers with what it was handed.
"""

import http.server
import json
import os
import socket

FIRST_DESCRIPTOR = 3

count = int(os.environ["LISTEN_FDS"])
sockets = [socket.socket(fileno=FIRST_DESCRIPTOR + number) for number in range(count)]
handed = {
    "is_for_me": int(os.environ["LISTEN_PID"]) == os.getpid(),
    "names": os.environ["LISTEN_FDNAMES"].split(":"),
    "ports": [sock.getsockname()[1] for sock in sockets],
    "types": [sock.type.name for sock in sockets],
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(handed).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.HTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = sockets[0]

address = os.environ["NOTIFY_SOCKET"]
if address.startswith("@"):
    address = "\0" + address[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1\nSTATUS=handed its sockets", address)
server.serve_forever()
