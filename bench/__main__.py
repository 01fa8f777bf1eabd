"""Print the table: `make bench`, or `make bench QUICK=1` for a short form that only shows that the benchmark works.

It exits with 0 whether or not the targets are reached, and with 1 if a contender did not do all of the work.
"""

import argparse
import sys
import time
from itertools import chain
from pathlib import Path
from statistics import median

from bench.processes import commands, started_server
from bench.rows import EVENTS, FOUR, ISSUES, LATENCY, Bench, Row
from testing.checks import CheckFailed
from testing.plugin import ROOT

HEADINGS = ("Step", "Plugin", "Floor", "Usual way", "To floor", "CPU time", "Target", "Usual way to plugin", "Reached")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the time and memory of whole steps.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, in one round")
    parser.add_argument("--plugin", type=Path, default=ROOT, help="folder of the plugin, in which `make setup` was run")
    options = parser.parse_args()
    divisor, started, lines = 10 if options.quick else 1, time.monotonic(), [HEADINGS, ("-",) * len(HEADINGS)]
    try:
        with started_server(FOUR * ISSUES // divisor, EVENTS // divisor, LATENCY) as server:
            for row in Bench(server, commands(options.plugin.resolve()), divisor).rows():
                print(row.name, file=sys.stderr, flush=True)
                lines.append(cells(row))
    except CheckFailed as error:
        print(f"bench: FAILED: {error}", file=sys.stderr)
        return 1
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("|", " | ".join(map(str.ljust, line, widths)), "|")
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


def cells(row: Row) -> tuple[str, ...]:
    """The row of a Markdown table. The third contender, if any, is the usual way."""
    samples = [row.results[name] for name in row.contenders]
    values = [[sample.memory if row.is_memory else sample.seconds for sample in taken] for taken in samples]
    medians = [f"{median(taken):.0f} MiB" if row.is_memory else f"{median(taken):#.3g} s" for taken in values]
    to_floor, cpu = ratios(*values[:2]), ratios(*([sample.cpu for sample in taken] for taken in samples[:2]))
    to_plugin = [ratios(taken, values[0]) for taken in values[2:]]
    is_reached = round(median(to_floor), 2) <= row.target and all(round(median(taken), 2) > 1 for taken in to_plugin)
    columns = [medians[:2], medians[2:] or [""], [spread(to_floor)], ["" if row.is_memory else f"{median(cpu):.2f}x"]]
    columns += [[f"at most {row.target:g}x"], list(map(spread, to_plugin)) or [""], ["yes" if is_reached else "no"]]
    return (row.name, *chain.from_iterable(columns))


def ratios(taken: list[float], others: list[float]) -> list[float]:
    """The ratio of each round, whose samples were taken within seconds."""
    return [one / other for one, other in zip(taken, others, strict=True)]


def spread(found: list[float]) -> str:
    """The median of the ratios of all rounds, with the lowest and the highest."""
    return f"{median(found):.2f}x ({min(found):.2f}-{max(found):.2f})"


if __name__ == "__main__":
    sys.exit(main())
