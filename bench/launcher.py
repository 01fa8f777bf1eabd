"""Run a command. Write its seconds and its peak memory in KiB to stderr, as the last line.

Linux counts the memory of a process toward the peak of those that it starts, so this small process starts the commands.
"""

import os
import subprocess
import sys
import time

started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
usage = os.wait4(process.pid, 0)[2]
print(f"\n{time.perf_counter() - started} {usage.ru_maxrss}", file=sys.stderr)
