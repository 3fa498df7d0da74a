"""A node that writes what it is told to.

Its orders are files in its folder: NODE.1, NODE.2 and so on, one word and its numbers each.
When one is carried out, NODE.N.done holds how many numbered lines were written since the
start. A numbered line is its number in twelve digits, a blank, and as many x as it takes.

lines COUNT SIZE  so many numbered lines of so many bytes, the newline included, at full speed
tick SIZE         one numbered line after the other, fifty per second, until the next order
long BYTES        one line of so many x, after which comes a newline
copy PATH         the bytes of a file
"""

import os
import pathlib
import socket
import threading
import time

NODE = os.environ["REPRAM_NODE_ID"]
CHUNK = 1 << 16
written = 0


def notify(text):
    address = os.environ["NOTIFY_SOCKET"]
    address = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(text, address)


def live():
    while True:
        notify(b"WATCHDOG=1")
        time.sleep(1)


def say(text):
    text = memoryview(text)
    while text:
        text = text[os.write(1, text):]


def lines(count, size):
    global written
    end = b" " + b"x" * (size - 14) + b"\n"
    at_once = max(1, CHUNK // size)
    last = written + count
    while written < last:
        numbers = range(written, min(written + at_once, last))
        say(b"".join([b"%012d" % number + end for number in numbers]))
        written += len(numbers)


def tick(size, following):
    while not following.exists():
        lines(1, size)
        time.sleep(0.02)


def long(size):
    piece = b"x" * CHUNK
    for _ in range(size // CHUNK):
        say(piece)
    say(piece[: size % CHUNK] + b"\n")


def obey(number):
    order = pathlib.Path(f"{NODE}.{number}")
    while not order.exists():
        time.sleep(0.005)
    word, *values = order.read_text().split()
    if word == "lines":
        lines(*map(int, values))
    elif word == "tick":
        tick(int(values[0]), pathlib.Path(f"{NODE}.{number + 1}"))
    elif word == "long":
        long(int(values[0]))
    elif word == "copy":
        say(pathlib.Path(values[0]).read_bytes())
    # In its place as a whole, so that nobody reads half of it.
    done = pathlib.Path(f"{NODE}.{number}.new")
    done.write_text(str(written))
    done.rename(f"{NODE}.{number}.done")


threading.Thread(target=live, daemon=True).start()
notify(b"READY=1")
number = 1
while True:
    obey(number)
    number += 1
