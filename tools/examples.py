"""Inputs and outputs of real runs as text for the documentation, with constants for the values that differ."""

import json
import re
from hashlib import md5

from testing.plugin import Json

KEY, TIME = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c", "2026-08-01T12:00:00Z"
# The attributes of a record that an example shows. The documents say that records have more.
SHOWN_ATTRIBUTES = {
    "issues": ("id", "shortId", "title", "level", "status", "count", "lastSeen", "permalink"),
    "issue": ("id", "shortId", "title", "status", "hasSeen", "permalink"),
    "events": ("eventID", "groupID", "title", "dateCreated", "tags", "entries", "errors"),
    "event": ("eventID",),
    "details": ("message", "release", "environment", "level", "tags"),
    "comment": ("id", "text", "dateCreated"),
}
SEPARATOR = "\n\f\n"


def blocks_of(texts: dict[str, str]) -> dict[str, str]:
    """The texts as blocks of Markdown, by the same names. All at once, so that an event has the same ID in each."""
    constant = normalized(SEPARATOR.join(texts.values())).split(SEPARATOR)
    return {name: f"```\n{wrapped(text)}\n```" for name, text in zip(texts, constant, strict=True)}


def normalized(text: str) -> str:
    """The text with constants instead of the values that differ between runs."""
    for pattern, constant in (
        (r"http://[0-9a-f]{32}@127\.0\.0\.1:\d+", f"https://{KEY}@sentry.example.com"),
        (r"http://127\.0\.0\.1:\d+", "https://sentry.example.com"),
        (r"(?!2018)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|\+00:00)?", TIME),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-08-01 12:00:00 UTC"),
        (r"\b\d{13}:\d+:\d\b", "1785585600000:0:0"),
    ):
        text = re.sub(pattern, constant, text)
    return with_constant_ids(text)


def with_constant_ids(text: str) -> str:
    """The text with a constant instead of each event ID, a distinct one for each."""
    ids = [event_id for event_id in re.findall(r"\b[0-9a-f]{32}\b", text) if event_id != KEY]
    for number, event_id in enumerate(dict.fromkeys(ids), start=1):
        constant = md5(f"event {number}".encode(), usedforsecurity=False).hexdigest()
        text = text.replace(event_id, constant)
    return text


def input_text(params: Json) -> str:
    """The inputs as one line of JSON."""
    return f"in   {json.dumps(params)}"


def output_text(output: Json, max_lines: int | None = None) -> str:
    """The output as one line of JSON, and its summary as the lines that a ticket shows.

    :param max_lines: of the summary, None for all
    """
    short = shortened(output)
    summary = short.pop("summary", "")
    lines = [f"out  {json.dumps(short)}"]
    if summary:
        first, *others = filter(None, summary.splitlines())
        shown = others if max_lines is None else [*others[: max_lines - 1], "..."]
        lines += [f"     summary: {first}", *(f"      {line}" for line in shown)]
    return "\n".join(lines)


def shortened(output: Json) -> Json:
    """The output with only the shown attributes of each record."""
    short: Json = {}
    for name, value in output.items():
        keys = SHOWN_ATTRIBUTES.get(name)
        if keys is None:
            short[name] = value
        elif isinstance(value, list):
            short[name] = [{key: record[key] for key in keys if key in record} for record in value]
        else:
            short[name] = {key: value[key] for key in keys if key in value}
    return short


def wrapped(text: str, width: int = 118) -> str:
    """The text with long lines broken after a comma or a colon, and continued below their start."""
    lines = []
    for line in text.splitlines():
        rest = line
        while len(rest) > width:
            cut = max(rest.rfind(mark, 6, width) + 2 for mark in (", ", ": "))
            lines.append(rest[:cut].rstrip())
            rest = " " * 6 + rest[cut:]
        lines.append(rest)
    return "\n".join(lines)
