"""A program that takes all memory that it can get, once the file `eat` is there.

Only flux-node-2 does; the others wait.
"""

import os
import time

print("hungry", flush=True)
while os.environ["REPRAM_NODE_ID"] != "flux-node-2" or not os.path.exists("eat"):
    time.sleep(0.01)
print("eating", flush=True)
taken = []
while True:
    # Filled, so that the pages are really there.
    taken.append(b"x" * (1 << 20))
