"""What the operating system says of running processes. Linux only, since it is read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Reading:
    """Of one process and its descendants, together.

    :param memory: what is resident, in KiB
    """

    pids: tuple[int, ...]
    memory: int
    threads: int
    sockets: int


def read(pid: int) -> Reading:
    """:raises OSError: there is no such process"""
    pids = family(pid)
    lines = [_status(member) for member in pids]
    return Reading(
        pids,
        memory=sum(int(status.get("VmRSS", "0").removesuffix(" kB")) for status in lines),
        threads=sum(int(status["Threads"]) for status in lines),
        sockets=sum(_sockets(member) for member in pids),
    )


def family(pid: int) -> tuple[int, ...]:
    """The process and its descendants."""
    parents = {}
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            try:
                parents[int(directory.name)] = int(_status(int(directory.name))["PPid"])
            except (OSError, KeyError):  # it has just ended
                continue
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return tuple(found)


def _status(pid: int) -> dict[str, str]:
    """`Name:\\tpython` and so on"""
    lines = (PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _sockets(pid: int) -> int:
    count = 0
    for descriptor in (PROC / str(pid) / "fd").iterdir():
        try:
            count += os.readlink(descriptor).startswith("socket:")
        except OSError:  # it was closed meanwhile
            continue
    return count
