"""What is printed: a line for each contender of a row, the targets of the plugin's, as a table and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.measure import Results, Sample, median, ratio, seconds

PLUGIN, FLOOR, NAIVE = "plugin", "floor", "naive"
HEADINGS = (
    "row",
    "contender",
    "wall s",
    "CPU s",
    "peak MiB",
    "requests",
    "connections",
    "to floor",
    "naive to it",
    "target",
    "reached",
)
LEFT = {"row", "contender", "target", "reached"}


@dataclass(frozen=True)
class Target:
    """What a figure should be.

    :param what: is held against a bound: "floor", "naive", "time" or "memory"
    :param is_most: whether the bound is the greatest value that will do, or the least
    """

    what: str
    value: float
    bound: float
    is_most: bool = True

    @property
    def is_reached(self) -> bool:
        # What is printed is what counts.
        value = round(self.value, 2)
        return value <= self.bound if self.is_most else value >= self.bound

    @property
    def words(self) -> str:
        return f"at {'most' if self.is_most else 'least'} {self.bound:g}x"


@dataclass(frozen=True)
class Line:
    """:param to_floor: how many times what the floor takes
    :param to_naive: how many times this the naive way takes
    """

    row: str
    contender: str
    sample: Sample
    to_floor: float | None = None
    to_naive: float | None = None
    targets: tuple[Target, ...] = field(default=())

    def target(self, *names: str) -> Target | None:
        return next((target for target in self.targets if target.what in names), None)


def compared(row: str, results: Results, most_of_floor: float = 0.0, least_of_naive: float = 0.0) -> list[Line]:
    """A line for each contender, held against the floor and the naive way by the time of a step.

    :param most_of_floor: the plugin's target, 0 where there is none
    :param least_of_naive: likewise
    """
    lines = []
    for name, samples in results.items():
        to_floor = ratio(seconds(samples), seconds(results[FLOOR]))
        to_naive = ratio(seconds(results[NAIVE]), seconds(samples))
        targets = []
        if name == PLUGIN and most_of_floor:
            targets.append(Target(FLOOR, to_floor, most_of_floor))
        if name == PLUGIN and least_of_naive:
            targets.append(Target(NAIVE, to_naive, least_of_naive, is_most=False))
        lines.append(Line(row, name, median(samples), to_floor, to_naive, tuple(targets)))
    return lines


def as_table(lines: Sequence[Line]) -> str:
    cells = [HEADINGS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    text = []
    for place, (row, *figures) in enumerate(cells):
        is_same = place > 0 and row == cells[place - 1][0]
        if place and not is_same:
            text.append("")
        text.append("  ".join(map(_aligned, HEADINGS, ("" if is_same else row, *figures), widths)).rstrip())
    return "\n".join(text)


def _aligned(heading: str, cell: str, width: int) -> str:
    return cell.ljust(width) if heading in LEFT else cell.rjust(width)


def _cells(line: Line) -> tuple[str, ...]:
    sample = line.sample
    is_timed = sample.wall > 0
    return (
        line.row,
        line.contender,
        f"{sample.wall:.3f}" if is_timed else "",
        f"{sample.cpu:.3f}" if is_timed else "",
        f"{sample.peak / 1024:.0f}",
        f"{sample.requests:.0f}" if is_timed else "",
        f"{sample.connections:.0f}" if is_timed else "",
        _times(line.to_floor),
        _times(line.to_naive),
        ", ".join(_named(target) for target in line.targets),
        ", ".join("yes" if target.is_reached else "no" for target in line.targets),
    )


def _named(target: Target) -> str:
    """Time and memory of a row have no columns of their own."""
    shown = f" ({_times(target.value)})" if target.what not in (FLOOR, NAIVE) else ""
    return f"{target.what} {target.words}{shown}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def as_markdown(lines: Sequence[Line]) -> str:
    """The ratios of the plugin alone: against the others, and of a list to the one that is four times as long."""
    against = ["| | to the floor | target | the naive way to it | target |", "|---|---|---|---|---|"]
    growth = ["| | time | memory | target |", "|---|---|---|---|"]
    for line in lines:
        if memory := line.target("memory"):
            size = line.contender.removeprefix(f"{PLUGIN}, ")
            growth.append(
                f"| {line.row}, {size} | {_judged(line.target('time'))} | {_judged(memory)} | {memory.words} |"
            )
        elif line.contender == PLUGIN and line.to_floor is not None:
            floor, naive = line.target(FLOOR), line.target(NAIVE)
            shown = (_times(line.to_floor), _words(floor), _times(line.to_naive), _words(naive))
            against.append(f"| {line.row} | {' | '.join(shown)} |")
    return "\n".join((*against, "", *growth))


def _words(target: Target | None) -> str:
    return f"{target.words}: {'yes' if target.is_reached else 'no'}" if target else ""


def _judged(target: Target | None) -> str:
    return f"{_times(target.value)}{'' if target.is_reached else ', not reached'}" if target else ""
