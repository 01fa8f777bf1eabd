"""Summary of an issue and one of its events in Markdown, for a ticket or a chat message. Without I/O."""

import re
from collections.abc import Iterable
from typing import Any

from komand_sentry.util.sentry.event_details import message_of, release_of, tags_of
from komand_sentry.util.sentry.markdown import code, code_block, escape, link
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.stack_trace import (
    Frame,
    Trace,
    as_record,
    as_records,
    as_text,
    one_line,
    render,
    traces_of,
)

MAX_LENGTH = 4000
_MAX_TITLE = 200
_MAX_VALUE = 100
_MAX_WORD = 40
_MAX_FRAMES = 5
_MAX_FOREIGN_FRAMES = 3
_MAX_TRACES = 3
_MAX_EVIDENCE = 8
# A character of code may need an additional one.
_MAX_CODE = MAX_LENGTH // 2

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")


def summarize(issue: Record, event: Record) -> str:
    """Title, link, counts, times, release, environment, assignee, and the frames of the application that failed.

    :param issue: normalized; empty if unknown
    :param event: normalized, in the full form; empty if unknown
    :returns: Markdown of at most MAX_LENGTH characters. Texts of the issue and the event are escaped
    """
    heading = f"**{escape(_title(issue, event), _MAX_TITLE) or 'Sentry issue'}**"
    facts = "\n".join(f"- {fact}" for fact in _facts(issue, event))
    head = "\n\n".join(filter(None, (heading, _reference(issue), facts)))
    caption, text = _evidence(issue, event)
    block = code_block(text, MAX_LENGTH - len(head) - len(caption) - len("\n\n" * 2))
    return "\n\n".join((head, caption, block)) if block else head


def _title(issue: Record, event: Record) -> str:
    return as_text(issue.get("title")) or as_text(event.get("title"))


def _reference(issue: Record) -> str:
    """The link to the issue, and its project."""
    permalink = as_text(issue.get("permalink"))
    name = as_text(issue.get("shortId")) or ("Issue in Sentry" if permalink else "")
    project = code(as_text(as_record(issue.get("project")).get("slug")), _MAX_VALUE)
    reference = link(name, permalink, _MAX_VALUE)
    return f"{reference} in {project}" if reference and project else reference


def _facts(issue: Record, event: Record) -> Iterable[str]:
    """The lines of the list, without those that are unknown."""
    tags = tags_of(event)
    level = as_text(issue.get("level")) or tags.get("level", "")
    unhandled = "unhandled" if issue.get("isUnhandled") is True else ""
    yield from _joined(("Level", _word(level)), ("priority", _word(issue.get("priority"))), ("", unhandled))
    yield from _joined(("Status", _word(issue.get("status"))), ("", _word(issue.get("substatus"))))
    yield from _joined(("Events", _word(issue.get("count"))), ("users", _word(issue.get("userCount"))))
    yield from _joined(("First seen", _time(issue.get("firstSeen"))), ("last seen", _time(issue.get("lastSeen"))))
    event_id = as_text(event.get("eventID"))
    release = release_of(event) or release_of({"release": issue.get("lastRelease")})
    yield from _joined(("Event", code(event_id, _MAX_WORD)), ("", _time(event.get("dateCreated"))))
    yield from _joined(("Release", code(release, _MAX_VALUE)))
    yield from _joined(("Environment", code(tags.get("environment", ""), _MAX_VALUE)))
    yield from _joined(("Assigned to", _assignee(issue)))
    culprit = as_text(event.get("culprit")) or as_text(issue.get("culprit"))
    yield from _joined(("Culprit", code(culprit, _MAX_TITLE)))


def _joined(*pairs: tuple[str, str]) -> Iterable[str]:
    """One line of the known values with their labels; none if the first is unknown."""
    known = [f"{label}: {value}" if label else value for label, value in pairs if value]
    if pairs[0][1]:
        yield ", ".join(known)


def _word(value: Any) -> str:
    return escape(as_text(value), _MAX_WORD)


def _time(value: Any) -> str:
    match = _TIME.fullmatch(as_text(value))
    return f"{match[1]} {match[2]} UTC" if match else _word(value)


def _assignee(issue: Record) -> str:
    if "assignedTo" not in issue:
        return ""
    actor = as_record(issue["assignedTo"])
    name = next(filter(None, (as_text(actor.get(key)) for key in ("name", "email", "id"))), "")
    kind = "team " if actor.get("type") == "team" else ""
    return f"{kind}{escape(name, _MAX_VALUE)}" if name else "nobody"


def _evidence(issue: Record, event: Record) -> tuple[str, str]:
    """A caption and the text of the code block: the stack trace, or what the event has instead."""
    if trace := render(_relevant(traces_of(event)), _MAX_CODE):
        return "Stack trace, the failing call last:", trace
    occurrence = as_record(event.get("occurrence"))
    rows = as_records(occurrence.get("evidenceDisplay"))[:_MAX_EVIDENCE]
    if lines := [one_line(f"{as_text(row.get('name'))}: {as_text(row.get('value'))}", _MAX_TITLE) for row in rows]:
        return "Evidence:", "\n".join(lines)
    message = one_line(message_of(event), _MAX_CODE)
    return ("Message:", message) if message not in _title(issue, event) else ("", "")


def _relevant(traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
    """The raised exception, its cause and the first cause, each with the innermost frames of the application."""
    chosen = traces if len(traces) <= _MAX_TRACES else (traces[0], *traces[1 - _MAX_TRACES :])
    return tuple(Trace(trace.title, _relevant_frames(trace)) for trace in chosen)


def _relevant_frames(trace: Trace) -> tuple[Frame, ...]:
    in_app = tuple(frame for frame in trace.frames if frame.is_in_app)
    return in_app[-_MAX_FRAMES:] or trace.frames[-_MAX_FOREIGN_FRAMES:]
