"""The state file of a trigger: written completely or not at all, and read without trust in its content."""

import json
import os
from pathlib import Path
from typing import Any

# A state has at most a few thousand IDs.
MAX_STATE_BYTES = 16 * 1024 * 1024


def read_state(path: Path) -> dict[str, Any]:
    """Read a state file, empty if there is none.

    :raises ValueError: it is damaged
    :raises OSError: it cannot be read
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return {}
    if len(text) > MAX_STATE_BYTES:
        raise ValueError("it is too large")
    try:
        state = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(state, dict):
        raise ValueError("it is not an object")
    return state


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace a state file: a process that is killed at any time leaves the old state or the new one.

    :raises OSError: it cannot be written
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        # json.dump would take four times as long, for each record that is sent.
        file.write(json.dumps(state, separators=(",", ":")))
        file.flush()
        # Without it, a crash of the machine could leave an empty file under the final name.
        os.fsync(file.fileno())
    temporary.replace(path)
