"""Checks of the soak test and the benchmark: raise an error unless a condition holds."""


class CheckFailed(Exception):
    """A check failed. The message describes what was observed."""


def check(condition: bool, message: str) -> None:
    """Raise CheckFailed with `message` unless the condition holds.

    :raises CheckFailed: the condition does not hold
    """
    if not condition:
        raise CheckFailed(message)


def first_few(items: list[str]) -> str:
    """The first five of many items, for a log line."""
    return ", ".join(items[:5]) + (", ..." if len(items) > 5 else "")
