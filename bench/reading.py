"""What the operating system says of a running process. Linux only, since it is read from /proc."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
# Of what follows the name in /proc/<pid>/stat: time in the process, and in the system for it.
_TIMES = slice(11, 13)
# What is written there has the peak begin anew from what is resident now.
_RESET_PEAK = "5"

Process = int | str


def cpu(pid: Process) -> float:
    """Seconds of all threads of the process, ended ones too."""
    text = _file(pid, "stat").read_text()
    return sum(map(int, text.rpartition(")")[2].split()[_TIMES])) / _TICK


def peak(pid: Process) -> int:
    """The most that was resident since reset_peak, in KiB."""
    return _status(pid, "VmHWM")


def resident(pid: Process) -> int:
    """In KiB."""
    return _status(pid, "VmRSS")


def reset_peak(pid: Process) -> None:
    _file(pid, "clear_refs").write_text(_RESET_PEAK)


def _status(pid: Process, name: str) -> int:
    for line in _file(pid, "status").read_text(errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"no {name} is told of process {pid}")


def _file(pid: Process, name: str) -> Path:
    return Path("/proc", str(pid), name)
