"""`python -m sandbox`: print URL, IDs and tokens as KEY=VALUE lines, then `READY=1`, and serve until a signal."""

import argparse
import random
import signal
import threading

from . import Faults, Sandbox

STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop(*_: object) -> None:
    """Exit, ignoring further signals meanwhile."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit


def main() -> None:
    parser = argparse.ArgumentParser(prog="sandbox", description="A small Sentry server on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="default: 9000; 0 for any free port")
    parser.add_argument("--database", default=":memory:", help="the file that stores all data; default: in memory")
    parser.add_argument("--faults", type=float, default=0.0, help="the fraction of requests that fail, such as 0.3")
    options = parser.parse_args()
    for number in STOPPING:
        signal.signal(number, stop)
    faults = Faults(options.faults, random.randrange(2**32))  # noqa: S311 - any seed will do
    with Sandbox(options.database, options.port, options.host, record=False, faults=faults) as sandbox:
        for key, value in sandbox.env.items():
            print(f"{key}={value}")
        print("READY=1", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
