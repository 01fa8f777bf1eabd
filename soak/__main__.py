"""`python -m soak`: the checks of this folder, or the one that is named; 1 where a check does not hold.

python -m soak                    # all of them, about a minute
python -m soak submit             # no event is lost, none is stored twice
python -m soak listing            # each issue is listed once while others come and go
python -m soak http --steps 30000 # the HTTP mode does not grow, in ten minutes
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable

from testing.checks import CheckFailed

from . import http_mode, listing, submit


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description="The plugin under load, against a server in a bad hour.")
    parser.add_argument("check", nargs="?", choices=("submit", "listing", "http"), help="all where none is named")
    parser.add_argument("--steps", type=int, default=http_mode.USUAL_STEPS, help="of the HTTP mode")
    options = parser.parse_args()
    if options.steps < http_mode.LEAST_STEPS:
        parser.error(f"it takes {http_mode.LEAST_STEPS} steps at least to measure anything")
    # Of each step that a check runs in process: that the sandbox has no TLS.
    logging.disable(logging.WARNING)
    checks: dict[str, Callable[[], str]] = {
        "submit": submit.run,
        "listing": listing.run,
        "http": lambda: http_mode.run(options.steps),
    }
    # All of them run, whatever becomes of the first.
    held = [passes(name, check) for name, check in checks.items() if options.check in (None, name)]
    return 0 if all(held) else 1


def passes(name: str, check: Callable[[], str]) -> bool:
    """Runs a check and prints what came of it."""
    started = time.monotonic()
    try:
        print(f"{name}: {check()} ({time.monotonic() - started:.0f} s)", flush=True)
    except CheckFailed as words:
        print(f"{name}: FAILED, {words}", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
