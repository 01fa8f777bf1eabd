"""`python -m soak`: run all checks or one of them. The exit status is 1 if a check fails.

python -m soak                    # all checks, about two and a half minutes
python -m soak submit             # no event is lost or stored twice
python -m soak listing            # each issue is listed once while other issues change
python -m soak triggers           # triggers lose no issue, whatever ends them or rejects their messages
python -m soak http --steps 30000 # the HTTP mode does not leak, ten minutes
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable

from testing.checks import CheckFailed

from . import http_mode, listing, submit, triggers


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description="Check the plugin under load and with random faults.")
    parser.add_argument("check", nargs="?", choices=("submit", "listing", "http", "triggers"), help="default: all")
    parser.add_argument(
        "--steps", type=int, default=http_mode.DEFAULT_STEPS, help="number of steps of the check `http`"
    )
    options = parser.parse_args()
    if options.steps < http_mode.MIN_STEPS:
        parser.error(f"--steps must be at least {http_mode.MIN_STEPS}")
    # The plugin warns in each step that the sandbox has no TLS.
    logging.disable(logging.WARNING)
    checks: dict[str, Callable[[], str]] = {
        "submit": submit.run,
        "listing": listing.run,
        "http": lambda: http_mode.run(options.steps),
        "triggers": triggers.run,
    }
    # A list, so that all checks run even if the first one fails.
    results = [passes(name, check) for name, check in checks.items() if options.check in (None, name)]
    return 0 if all(results) else 1


def passes(name: str, check: Callable[[], str]) -> bool:
    """Run a check, print its result, and return whether it passed."""
    started = time.monotonic()
    try:
        print(f"{name}: {check()} ({time.monotonic() - started:.0f} s)", flush=True)
    except CheckFailed as error:
        print(f"{name}: FAILED, {error}", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
