"""A node that wants to stay: ignores every polite signal, and so does its helper,
which lives in the same process group. Creates the file `NODE_ID.stubborn` when
nothing polite can end it any more.
"""

import os
import pathlib
import signal
import time

for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(polite, signal.SIG_IGN)
if os.fork() != 0:
    pathlib.Path(os.environ["REPRAM_NODE_ID"] + ".stubborn").touch()
while True:
    time.sleep(3600)
