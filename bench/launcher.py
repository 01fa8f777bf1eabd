"""Run a command. Write its seconds, CPU seconds and peak memory in KiB to stderr, as the last line.

Linux counts the memory of a process toward the peak of those that it starts, so this small process starts the commands.
"""

import os
import subprocess
import sys
import time

started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
usage = os.wait4(process.pid, 0)[2]
seconds = time.perf_counter() - started
print(f"\n{seconds} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}", file=sys.stderr)
