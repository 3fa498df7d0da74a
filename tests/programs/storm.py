"""Makes orphans: storm.py COUNT

Waits until the file `storm.go` is there, makes COUNT orphans, which end at once, and then
the file `storm.over`.
"""

import os
import pathlib
import sys
import time

# Children of one process that leaves them behind.
LITTER = 100

while not pathlib.Path("storm.go").exists():
    time.sleep(0.01)
count = int(sys.argv[1])
for _ in range(count // LITTER):
    parent = os.fork()
    if parent == 0:
        for _ in range(LITTER):
            if os.fork() == 0:
                os._exit(0)
        os._exit(0)
    os.waitpid(parent, 0)
pathlib.Path("storm.over").touch()
