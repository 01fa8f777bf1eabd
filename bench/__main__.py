"""`python -m bench`: the table, in less than ten minutes; 0 whether or not the targets are reached.

python -m bench            # all rows, three rounds of each
python -m bench --quick    # a tenth of the size, in less than a minute
python -m bench --markdown # and the plugin's ratios alone, for README.md
python -m bench --gzip     # pages compressed for who asks for it
"""

import argparse
import sys
import time

from bench.lines import Line, as_markdown, as_table
from bench.processes import Launcher, Server, WarmFloor
from bench.rows import FOUR, FULL, QUICK, Bench
from testing.checks import CheckFailed


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="What a step costs, beside others.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--markdown", action="store_true", help="print the ratios as Markdown too")
    parser.add_argument("--gzip", action="store_true", help="compress pages for clients that ask for it")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        lines = measured(options)
    except CheckFailed as words:
        print(f"bench: FAILED, {words}", file=sys.stderr)
        return 1
    print(as_table(lines))
    if options.markdown:
        print(as_markdown(lines))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


def measured(options: argparse.Namespace) -> list[Line]:
    """:raises CheckFailed: one of the contenders did not do the whole work"""
    scale = QUICK if options.quick else FULL
    more = ("--gzip",) if options.gzip else ()
    sizes = ("--issues", str(FOUR * scale.issues), "--events", str(max(scale.events, FOUR * scale.growth_events)))
    lines: list[Line] = []
    with Server(*sizes, *more) as server, Launcher() as launcher, WarmFloor() as floor:
        for row in Bench(scale, server, launcher, floor, more).rows():
            print(row[0].row, file=sys.stderr, flush=True)
            lines += row
    return lines


if __name__ == "__main__":
    sys.exit(main())
