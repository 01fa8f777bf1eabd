"""Explain how to write the assignee of an issue in an output as the input `assignedTo`, which is a text."""

import json
import re
from typing import Any

from komand_sentry.util.errors.factory import invalid_input

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")


def parse_assignee(value: Any) -> Any:
    """Return an assignee unchanged if it is not an object.

    :raises InvalidInput: it is an object, such as `assignedTo` of an issue in an output
    """
    actor = _json_object(value)
    if actor is None:
        return value
    hint = assignee_hint(actor)
    raise invalid_input(
        "The input 'assignedTo' is an object instead of the name or ID of an assignee.",
        f"Set assignedTo to {hint or 'team:ID or user:ID, with type and id of the object'}.",
    )


def assignee_hint(actor: dict[str, Any]) -> str:
    """How to write an assignee of an output as an input: `team:2`, `user:1` or an e-mail address, "" if unknown."""
    kind, identity, email = (str(actor.get(key) or "") for key in ("type", "id", "email"))
    if identity.isascii() and identity.isdigit() and kind in ("user", "team", ""):
        return f"{kind or 'user'}:{identity[:20]}"
    return email if _EMAIL.fullmatch(email) else ""


def _json_object(value: Any) -> dict[str, Any] | None:
    """An object, or one that a workflow wrote as text; None if it is neither."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None
