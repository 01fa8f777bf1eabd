"""What a check says: it holds, or it does not and the check has failed."""


class DoesNotHold(Exception):
    """A claim of a check, in the words that say what was seen in its place."""


def claim(holds: bool, otherwise: str) -> None:
    """:raises DoesNotHold: with `otherwise`, which says what was seen"""
    if not holds:
        raise DoesNotHold(otherwise)


def some(things: list[str]) -> str:
    """The first few of many, for a line that a person reads."""
    return ", ".join(things[:5]) + (", ..." if len(things) > 5 else "")
