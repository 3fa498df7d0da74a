"""A web server that knows nothing of the supervisor.

The file NODE.PATH in its folder, such as flux-node-1.health, says with which status a path
is answered; without one it is 200. What it needs before it listens: the file that WEB_WAITS
names for the HTTP port, and GOSSIP_WAITS for the other one. WEB_NOTIFIES is the node that
says READY=1 when it listens.
"""

import os
import pathlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NODE = os.environ["REPRAM_NODE_ID"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = pathlib.Path(f"{NODE}.{self.path.strip('/')}")
        self.send_response(int(answer.read_text()) if answer.exists() else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def wait_for(variable):
    path = os.environ.get(variable)
    while path and not os.path.exists(path):
        time.sleep(0.01)


def gossip():
    wait_for("GOSSIP_WAITS")
    listener = socket.create_server(("127.0.0.1", int(os.environ["REPRAM_GOSSIP_PORT"])))
    while True:
        listener.accept()[0].close()


def notify():
    address = os.environ["NOTIFY_SOCKET"]
    address = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(b"READY=1", address)


threading.Thread(target=gossip, daemon=True).start()
wait_for("WEB_WAITS")
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
if os.environ.get("WEB_NOTIFIES") == NODE:
    notify()
server.serve_forever()
