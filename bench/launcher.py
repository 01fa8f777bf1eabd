"""Starts processes and tells what each took, from a process that is small itself.

Linux counts the memory of the process that starts another one towards the peak of the latter, so that a large one would
make all look large. It reads one JSON object a line, {argv, env, stdin, stdout, stderr} with names of files, and writes
{wall, cpu, peak, status} when the process has ended.
"""

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

MOST_SECONDS = 300


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(order: dict[str, Any]) -> dict[str, Any]:
    with open(order["stdin"], "rb") as given, open(order["stdout"], "wb") as out, open(order["stderr"], "wb") as err:
        started = time.perf_counter()
        process = subprocess.Popen(order["argv"], stdin=given, stdout=out, stderr=err, env=order["env"])
        watch = threading.Timer(MOST_SECONDS, process.kill)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        watch.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": wall, "cpu": cpu, "peak": usage.ru_maxrss, "status": process.returncode}


if __name__ == "__main__":
    main()
