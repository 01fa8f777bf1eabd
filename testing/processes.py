"""Memory, threads and sockets of a running process and its descendants."""

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class ProcessStats:
    """The sum over one process and its descendants.

    :param memory: resident set size, in KiB
    """

    pids: tuple[int, ...]
    memory: int
    threads: int
    sockets: int


def read_stats(pid: int) -> ProcessStats:
    """Read the statistics of a process and its descendants.

    :raises psutil.NoSuchProcess: there is no such process
    """
    family = _family(pid)
    return ProcessStats(
        tuple(process.pid for process in family),
        memory=sum(process.memory_info().rss for process in family) // 1024,
        threads=sum(process.num_threads() for process in family),
        sockets=sum(len(process.net_connections(kind="all")) for process in family),
    )


def process_tree(pid: int) -> tuple[int, ...]:
    """The process IDs of a process and its descendants, the process itself first."""
    return tuple(process.pid for process in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
