"""What Sentry derives from a normalized event: title, metadata, culprit, tags, and the hash that selects its issue.

Difference from Sentry: the hash of a message is computed without replacing numbers, UUIDs and the like by placeholders,
and there are no grouping rules.
"""

from dataclasses import dataclass
from hashlib import md5
from typing import Any

Json = dict[str, Any]

TITLE_LENGTH = 100
METADATA_TYPE_LENGTH = 128
METADATA_VALUE_LENGTH = 1024


@dataclass(frozen=True)
class Summary:
    type: str
    title: str
    metadata: Json
    culprit: str
    location: str | None
    message: str  # the text that a free text search searches


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""


def values(event: Json, interface: str) -> list[Json]:
    """The entries of `exception`, `threads` or `breadcrumbs`, without null."""
    return [value for value in (event.get(interface) or {}).get("values") or [] if value]


def frames_of(holder: Json) -> list[Json]:
    return [frame for frame in (holder.get("stacktrace") or {}).get("frames") or [] if frame]


def crash_frame(frames: list[Json]) -> Json:
    """The innermost frame of the application, or the innermost of all if none belongs to the application."""
    return next((frame for frame in reversed(frames) if frame.get("in_app")), frames[-1] if frames else {})


def formatted_message(event: Json) -> str:
    entry = event.get("logentry") or {}
    return str(entry.get("formatted") or entry.get("message") or "")


def error_metadata(exception: Json, frame: Json) -> Json:
    metadata: Json = {"value": shorten(exception.get("value") or "", METADATA_VALUE_LENGTH)}
    if not (exception.get("mechanism") or {}).get("synthetic"):
        metadata["type"] = shorten(exception.get("type") or "Error", METADATA_TYPE_LENGTH)
    places = {"filename": frame.get("filename") or frame.get("abs_path"), "function": frame.get("function")}
    return metadata | {name: value for name, value in places.items() if value}


def error_title(metadata: Json) -> str:
    if "type" not in metadata:
        return metadata.get("function") or "<unknown>"
    value = first_line(metadata["value"])
    return f"{metadata['type']}: {shorten(value, TITLE_LENGTH)}" if value else metadata["type"]


def summarize(event: Json) -> Summary:
    exceptions = values(event, "exception")
    message = formatted_message(event)
    if exceptions:
        main = exceptions[-1]
        metadata = error_metadata(main, crash_frame(frames_of(main)))
        title = error_title(metadata)
    else:
        title = shorten(first_line(message), TITLE_LENGTH) or "<unlabeled event>"
        metadata = {"title": title}
    culprit = culprit_of(event, exceptions)
    parts = [message, *(str(value) for value in metadata.values() if str(value) not in message), culprit]
    text = " ".join(part for part in parts if part)
    return Summary(event.get("type") or "default", title, metadata, culprit, metadata.get("filename"), text)


def culprit_of(event: Json, exceptions: list[Json]) -> str:
    if name := event.get("culprit") or event.get("transaction"):
        return str(name)
    frame = crash_frame(frames_of(exceptions[-1]) if exceptions else frames_of(event))
    place, function = frame.get("module") or frame.get("filename"), frame.get("function") or "?"
    if place:
        is_script = (frame.get("platform") or event.get("platform")) in ("javascript", "node")
        return f"{function}({place})" if is_script else f"{place} in {function}"
    return str((event.get("request") or {}).get("url") or "")


def is_unhandled(event: Json) -> bool:
    return any((exception.get("mechanism") or {}).get("handled") is False for exception in values(event, "exception"))


def tags_of(event: Json) -> list[tuple[str, str]]:
    """The client's tags and those that the server derives, sorted, each key once, without null values."""
    tags: dict[str, Any] = {key: value for key, value in (tag for tag in event.get("tags") or [] if tag) if key}
    for name in ("level", "logger", "release", "dist", "environment", "transaction"):
        if event.get(name):
            tags[name] = event[name]
    user = (event.get("user") or {}).get("sentry_user")
    url = (event.get("request") or {}).get("url")
    tags.update({key: value for key, value in (("user", user), ("url", url)) if value})
    for name in ("browser", "os", "runtime"):
        context = (event.get("contexts") or {}).get(name) or {}
        tags.update({key: context[part] for key, part in ((name, name), (f"{name}.name", "name")) if context.get(part)})
    mechanism: Json = next(
        (exc["mechanism"] for exc in reversed(values(event, "exception")) if exc.get("mechanism")), {}
    )
    if mechanism.get("handled") is not None:
        tags["handled"] = "yes" if mechanism["handled"] else "no"
    if mechanism.get("type"):
        tags["mechanism"] = mechanism["type"]
    return sorted((str(key), str(value)) for key, value in tags.items() if value is not None)


def searchable_fields(event: Json, summary: Summary) -> list[tuple[str, str]]:
    """Search keys that are not tags."""
    user = event.get("user") or {}
    fields = [
        ("id", event["event_id"]),
        ("title", summary.title),
        ("event.type", summary.type),
        ("platform", event.get("platform")),
        ("culprit", summary.culprit),
        ("user.id", user.get("id")),
        ("user.email", user.get("email")),
        ("user.username", user.get("username")),
        ("user.ip", user.get("ip_address")),
        ("error.unhandled", str(is_unhandled(event)).lower()),
        ("error.handled", str(not is_unhandled(event)).lower()),
    ]
    for exception in values(event, "exception"):
        fields += [("error.type", exception.get("type")), ("error.value", exception.get("value"))]
    return [(key, str(value)) for key, value in fields if value is not None]


def default_parts(event: Json) -> list[str]:
    """The default grouping: by stack trace, else by exception type and value, else by message."""
    parts: list[str] = []
    for exception in values(event, "exception"):
        frames = frames_of(exception)
        app_frames = [frame for frame in frames if frame.get("in_app")] or frames
        parts.append(str(exception.get("type")))
        if app_frames:
            parts += [
                str(frame.get(name) or "")
                for frame in app_frames
                for name in ("module", "filename", "function", "context_line")
            ]
        else:
            parts.append(str(exception.get("value")))
    if parts:
        return parts
    entry = event.get("logentry") or {}
    return [str(entry.get("message") or entry.get("formatted") or "<unlabeled event>")]


def hash_of(event: Json) -> str:
    """The MD5 of the fingerprint, in which `{{ default }}` is the default grouping."""
    parts: list[str] = []
    for part in event.get("fingerprint") or ["{{ default }}"]:
        is_default = str(part).replace(" ", "") == "{{default}}"
        parts += default_parts(event) if is_default else [str(part)]
    return md5("\0".join(parts).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
