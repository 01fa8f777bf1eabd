"""The most important facts of an event as flat values with fixed types, for the next step. Without I/O."""

from typing import Any

from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.stack_trace import Frame, as_record, as_records, as_text, entry_of, render, traces_of

MAX_STACKTRACE_LENGTH = 20_000


def event_details(event: Record, permalink: str = "") -> Record:
    """The details of an event. What the event does not have is absent.

    :param event: normalized, in the full form
    :param permalink: of the event
    """
    tags = tags_of(event)
    traces = traces_of(event)
    user = as_record(event.get("user"))
    exception = (as_records(entry_of(event, "exception").get("values")) or [{}])[-1]
    request, occurrence = entry_of(event, "request"), as_record(event.get("occurrence"))
    details: Record = {
        "exception_type": as_text(exception.get("type")),
        "exception_value": as_text(exception.get("value")),
        "message": message_of(event) or as_text(occurrence.get("subtitle")),
        "culprit": as_text(event.get("culprit")) or as_text(occurrence.get("culprit")),
        "location": _location(traces[-1].location if traces else None),
        "stacktrace": render(traces, MAX_STACKTRACE_LENGTH),
        "release": release_of(event),
        "environment": tags.get("environment", ""),
        "level": tags.get("level", ""),
        "platform": as_text(event.get("platform")),
        "transaction": tags.get("transaction", ""),
        "url": as_text(request.get("url")) or tags.get("url", ""),
        "user": _without_blanks({key: as_text(user.get(key)) for key in ("id", "email", "username", "ip_address")}),
        "tags": tags,
        "timestamp": as_text(event.get("dateCreated")) or as_text(event.get("dateReceived")),
        "permalink": permalink,
    }
    return _without_blanks(details)


def tags_of(event: Record) -> dict[str, str]:
    """The tags of a normalized event by name."""
    tags = ((as_text(tag.get("key")), as_text(tag.get("value"))) for tag in as_records(event.get("tags")))
    return {key: value for key, value in tags if key}


def message_of(event: Record) -> str:
    """The message that the application logged, with its parameters if Sentry has it in this form."""
    message = entry_of(event, "message")
    found = (as_text(text) for text in (message.get("formatted"), message.get("message"), event.get("message")))
    return next(filter(None, found), "")


def release_of(event: Record) -> str:
    """The version of the event's release."""
    release = event.get("release")
    version = release.get("version") if isinstance(release, dict) else release
    return as_text(version) or tags_of(event).get("release", "")


def _location(frame: Frame | None) -> Record:
    return _without_blanks({"file": frame.file, "function": frame.function, "line": frame.line}) if frame else {}


def _without_blanks(record: dict[str, Any]) -> Record:
    return {key: value for key, value in record.items() if value not in ("", 0, {})}
