"""Samples of what contenders take, taken in turn: each round has one of each, so that a noisy moment meets them all."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bench.processes import Server
from testing.checks import check

Results = dict[str, list["Sample"]]


@dataclass(frozen=True)
class Sample:
    """What one go took.

    :param wall: seconds
    :param cpu: seconds of the process that did the work
    :param peak: the most memory that it had, in KiB
    :param start: the memory that it had before it began, in KiB, where it was running already
    :param steps: how many were done
    :param sent: so many bytes at least have to have been posted to the server
    """

    wall: float
    cpu: float
    peak: float
    start: float = 0.0
    requests: float = 0.0
    connections: float = 0.0
    steps: int = 1
    sent: float = 0.0


class Contender(Protocol):
    """:param records: how long the server's lists are to be for it"""

    @property
    def name(self) -> str: ...

    @property
    def records(self) -> int: ...

    def sample(self) -> Sample:
        """:raises CheckFailed: it did not do the whole work"""


def measure(server: Server, contenders: Sequence[Contender], rounds: int) -> Results:
    """So many samples of each."""
    results: Results = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            server.reset(contender.records)
            sample = contender.sample()
            counts = server.reset()
            received = counts["body_bytes"]
            check(received >= sample.sent, f"{contender.name} sent {received} bytes of {sample.sent:.0f}")
            sample = replace(sample, requests=counts["requests"], connections=counts["connections"])
            results[contender.name].append(sample)
    return results


def median(samples: Sequence[Sample]) -> Sample:
    def of(name: str) -> float:
        values: list[float] = [getattr(sample, name) for sample in samples]
        return statistics.median(values)

    names = ("wall", "cpu", "peak", "start", "requests", "connections")
    return Sample(**{name: of(name) for name in names}, steps=samples[0].steps)


def ratio(samples: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of the rounds, each of which was taken within a moment."""
    return statistics.median(one / other for one, other in zip(samples, others, strict=True))


def seconds(samples: Sequence[Sample]) -> list[float]:
    """Of each step."""
    return [sample.wall / sample.steps for sample in samples]
