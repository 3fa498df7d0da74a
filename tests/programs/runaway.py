"""A node that wants to stay and leaves things behind: it ignores every polite signal, and so
does an orphan of its that has left its process group and its session. Creates the file
`NODE_ID.runaway` when nothing polite can end them any more.
"""

import os
import pathlib
import signal
import time

for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(polite, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(os.environ["REPRAM_NODE_ID"] + ".runaway").touch()
        while True:
            time.sleep(3600)
    os._exit(0)
os.wait()
while True:
    time.sleep(3600)
