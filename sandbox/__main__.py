"""`python -m sandbox`: print what a client needs as KEY=VALUE lines, `READY=1` last, then serve until stopped."""

import argparse
import random
import signal
import threading

from . import Faults, Sandbox


def main() -> None:
    parser = argparse.ArgumentParser(prog="sandbox", description="A small Sentry on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 for any free port")
    parser.add_argument("--database", default=":memory:", help="a file that keeps everything; in memory by default")
    parser.add_argument("--faults", type=float, default=0.0, help="the share of requests that fail, such as 0.3")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    faults = Faults(options.faults, random.randrange(2**32))  # noqa: S311 - any seed will do
    with Sandbox(options.database, options.port, options.host, record=False, faults=faults) as sandbox:
        for key, value in sandbox.env.items():
            print(f"{key}={value}")
        print("READY=1", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
