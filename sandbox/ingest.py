"""Ingestion as Relay does it: `POST /api/{project_id}/store/` and `POST /api/{project_id}/envelope/`.

Relay reports errors as {"detail", "causes"}. An invalid optional attribute never fails the request: the normalizer
(Relay's own, from the package sentry-relay) sets it to null and adds it to the event's `errors`. Differences:

* An event is processed before the response, so it can be read at once. Sentry queues it.
* An unknown key is refused at once. Relay accepts its first requests with 200 while it asks Sentry about the key.
* Of an envelope only the item `event` is kept. Other items are accepted and dropped.
* There are no filters and no quotas; Faults plays rate limits.
* An issue that is archived until it escalates does so with the tenth event since then. Sentry compares its events of a
  day with a forecast.
"""

import json
import re
import time
import uuid
import zlib
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

import sentry_relay.exceptions
from flask import Blueprint, Response, jsonify, request
from sentry_relay.processing import StoreNormalizer

from . import grouping
from .auth import ApiError, the_store
from .grouping import Json
from .store import Row

MAX_EVENT = 1024 * 1024
MAX_BODY = 20 * 1024 * 1024
PROTOCOL_VERSION = 7
MAX_SECONDS_IN_FUTURE = 60
MAX_SECONDS_IN_PAST = 30 * 24 * 3600
EVENTS_TO_ESCALATE = 10

ingest = Blueprint("ingest", __name__, url_prefix="/api/<int:project_id>")


def relay_error(status: int, detail: str, *causes: str, headers: dict[str, str] | None = None) -> ApiError:
    return ApiError(status, {"detail": detail, **({"causes": list(causes)} if causes else {})}, headers)


# --- credentials


def credentials() -> dict[str, str] | None:
    """The fields of the header X-Sentry-Auth or of the query, None without any; Relay refuses both at once."""
    found: list[dict[str, str]] = []
    if header := request.headers.get("X-Sentry-Auth"):
        scheme, _, rest = header.partition(" ")
        if scheme.lower() != "sentry":
            raise relay_error(401, "bad x-sentry-auth header", "bad x-sentry-auth header")
        fields = (item.split("=", 1) for item in rest.split(",") if "=" in item)
        found.append({key.strip(): value.strip() for key, value in fields})
    if b"sentry_" in request.query_string:
        found.append(request.args.to_dict())
    if len(found) > 1:
        raise relay_error(401, "multiple authorization payloads detected")
    return found[0] if found else None


def checked_key(auth: dict[str, str]) -> str:
    if "sentry_key" not in auth:
        raise relay_error(401, "bad x-sentry-auth header", "missing sentry_key")
    version = auth.get("sentry_version", str(PROTOCOL_VERSION))
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4})?", version):
        raise relay_error(401, "bad x-sentry-auth header", "invalid protocol version")
    if float(version) > PROTOCOL_VERSION:
        raise relay_error(400, f"unsupported protocol version ({version})")
    if not re.fullmatch("[0-9a-fA-F]{32}", auth["sentry_key"]):
        raise relay_error(400, "bad sentry DSN public key")
    return auth["sentry_key"].lower()


def project_key(project_id: int, public: str) -> Row:
    row = the_store().one("SELECT * FROM project_key WHERE public = ? AND project = ?", public, min(project_id, 2**62))
    if row is None:
        raise relay_error(403, "event submission rejected with_reason: ProjectId")
    return row


# --- payloads


def decoded_body(limit: int) -> bytes:
    """The body without its Content-Encoding. It is never decompressed beyond the limit."""
    body, encoding = request.get_data(), request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "gzip"):
        raise relay_error(415, f"unsupported content encoding: {encoding}")
    if encoding == "gzip":
        decompressor = zlib.decompressobj(wbits=31)  # a gzip header is required
        try:
            body = decompressor.decompress(body, limit + 1)
        except zlib.error as error:
            raise relay_error(400, "failed to read request body", str(error)) from None
        if len(body) <= limit and not decompressor.eof:
            raise relay_error(400, "failed to read request body", "incomplete stream")
    if len(body) > limit:
        raise relay_error(413, "failed to read request body", "A payload reached size limit.")
    return body


def parse_event_id(value: object) -> str | None:
    """The 32 lower-case hex digits of 32 hex digits or a UUID with dashes; None for anything else."""
    if not isinstance(value, str) or not re.fullmatch(
        "[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){4}[0-9a-fA-F]{8}", value
    ):
        return None
    return uuid.UUID(value).hex


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"unexpected constant {name}")


def parse_json_object(data: bytes) -> Json:
    try:
        value = json.loads(data, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("recursion limit exceeded") from None
    if not isinstance(value, dict):
        raise ValueError("invalid type, expected an object")
    return value


def parse_event(data: bytes) -> Json:
    """The event, of which Relay checks no more than the JSON and the event_id before it responds."""
    try:
        event = parse_json_object(data)
        if event.get("event_id") is not None:
            event["event_id"] = parse_event_id(event["event_id"])
            if event["event_id"] is None:
                raise ValueError("UUID parsing failed")
    except ValueError as error:
        raise relay_error(400, f"invalid JSON data: {error}", str(error)) from None
    return event


def bad_envelope(cause: str) -> ApiError:
    return relay_error(400, "invalid event envelope", cause)


def split_line(data: bytes) -> tuple[bytes, bytes]:
    line, _, rest = data.partition(b"\n")
    return line, rest


def envelope_header(body: bytes) -> Json:
    """The first line, with the public key of its `dsn` as `dsn_key`."""
    line, _ = split_line(body)
    if not line.strip():
        raise bad_envelope("missing envelope header")
    try:
        header = parse_json_object(line)
        header["dsn_key"] = urlsplit(str(header["dsn"])).username or "" if header.get("dsn") else None
        if header.get("event_id") is not None:
            header["event_id"] = uuid.UUID(header["event_id"]).hex
    except (ValueError, AttributeError):
        raise bad_envelope("invalid envelope header") from None
    return header


def envelope_items(body: bytes) -> list[tuple[Json, bytes]]:
    """The header and the payload of each item. The payload is `length` bytes, or ends with its line."""
    items = []
    _, rest = split_line(body)
    while rest.strip(b"\n"):
        line, rest = split_line(rest.lstrip(b"\n"))
        try:
            header = parse_json_object(line)
            length = header.get("length")
            if not isinstance(header["type"], str) or isinstance(length, bool) or not isinstance(length, int | None):
                raise ValueError
        except (ValueError, KeyError):
            raise bad_envelope("invalid item header") from None
        if length is None:
            payload, rest = split_line(rest)
        else:
            if not 0 <= length <= len(rest):
                raise bad_envelope("unexpected end of file")
            payload, rest = rest[:length], rest[length:]
            if rest and not rest.startswith(b"\n"):
                raise bad_envelope("missing newline after header or payload")
        items.append((header, payload))
    return items


# --- endpoints


@ingest.post("/store/")
def store_event(project_id: int) -> Response:
    auth = credentials()
    if auth is None:
        raise relay_error(401, "missing authorization information")
    public, client = checked_key(auth), auth.get("sentry_client", "")
    body = decoded_body(MAX_EVENT)
    if not body:
        raise relay_error(400, "empty request body")
    event = parse_event(body)
    event["event_id"] = event.get("event_id") or uuid.uuid4().hex
    return accept(project_key(project_id, public), event["event_id"], event, client)


@ingest.post("/envelope/")
def store_envelope(project_id: int) -> Response:
    auth = credentials()
    public = checked_key(auth) if auth else None
    body = decoded_body(MAX_BODY)
    header = envelope_header(body)
    dsn_key = header["dsn_key"]
    if public is None:
        if dsn_key is None:
            line = split_line(body)[0]
            cause = f"missing field `dsn` at line 1 column {len(line)}"
            raise relay_error(401, "bad envelope authentication header", cause)
        public = checked_key({"sentry_key": dsn_key})
    elif dsn_key is not None and dsn_key.lower() != public:
        raise bad_envelope("public key header mismatch between envelope and request")
    event = next((payload for item, payload in envelope_items(body) if item["type"] == "event"), None)
    parsed = None if event is None else parse_event(event)
    event_id = header.get("event_id")
    if parsed is not None:
        event_id = event_id or parsed.get("event_id") or uuid.uuid4().hex
        parsed["event_id"] = event_id
    key = project_key(project_id, public)
    if event is not None and len(event) > MAX_EVENT:
        about = "https://develop.sentry.dev/sdk/envelopes/#size-limits"
        raise relay_error(413, f"envelope exceeded size limits for type 'event' ({about})")
    return accept(key, event_id, parsed, (auth or {}).get("sentry_client", ""))


def accept(key: Row, event_id: str | None, event: Json | None, client: str) -> Response:
    """Process the event and respond with its ID."""
    if event is not None:
        normalized = normalize(key, event, client)
        if normalized is not None:
            with the_store().transaction():
                save_event(key["project"], normalized)
    return jsonify({"id": event_id} if event_id else {})


# --- processing


def normalize(key: Row, event: Json, client: str) -> Json | None:
    """The event as Relay normalizes it; None for what Relay drops after its response, such as a transaction."""
    normalizer = StoreNormalizer(
        project_id=key["project"],
        key_id=str(key["id"]),
        key=key["public"],
        client=client or None,
        client_ip=request.remote_addr,
        user_agent=request.headers.get("User-Agent"),
        protocol_version=str(PROTOCOL_VERSION),
        max_secs_in_future=MAX_SECONDS_IN_FUTURE,
        max_secs_in_past=MAX_SECONDS_IN_PAST,
        enable_trimming=True,
        normalize_user_agent=True,
        remove_other=True,
        is_renormalize=False,
    )
    try:
        normalized = normalizer.normalize_event(raw_event=json.dumps(event))
    except (sentry_relay.exceptions.RelayError, ValueError):
        return None
    return None if normalized.get("type") == "transaction" else cast(Json, normalized)


def save_event(project_id: int, event: Json) -> None:
    """Store the event in the issue of its hash. An event whose ID is already stored is dropped."""
    store = the_store()
    if store.one("SELECT 1 FROM event WHERE project = ? AND event_id = ?", project_id, event["event_id"]):
        return
    summary, group_hash = grouping.summarize(event), grouping.hash_of(event)
    store.run("UPDATE project SET first_event = COALESCE(first_event, ?) WHERE id = ?", event["received"], project_id)
    release_id = save_release(project_id, event)
    issue_id = store.scalar("SELECT issue FROM issue_hash WHERE project = ? AND hash = ?", project_id, group_hash)
    if issue_id is None:
        issue_id = create_issue(project_id, event)
        store.run("INSERT INTO issue_hash VALUES (?, ?, ?)", project_id, group_hash, issue_id)
    update_issue(issue_id, event, summary, release_id)
    tags = grouping.tags_of(event)
    row_id = store.run(
        """INSERT INTO event (event_id, project, issue, timestamp, environment, user_key, message, hashes, data)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        event["event_id"], project_id, issue_id, event["timestamp"], event.get("environment"), dict(tags).get("user"),
        summary.message, json.dumps([group_hash]), json.dumps(event),
    )  # fmt: skip
    fields = grouping.searchable_fields(event, summary)
    rows = [(row_id, key, value, True) for key, value in tags] + [(row_id, key, value, False) for key, value in fields]
    store.run_many("INSERT INTO event_key VALUES (?, ?, ?, ?)", cast(list[tuple[Any, ...]], rows))


def save_release(project_id: int, event: Json) -> int | None:
    """Create the release of the event, unless it exists."""
    version = event.get("release")
    if not version:
        return None
    store = the_store()
    organization = store.scalar("SELECT organization FROM project WHERE id = ?", project_id)
    store.run(
        "INSERT OR IGNORE INTO release (organization, version, created) VALUES (?, ?, ?)",
        organization, version, event["received"],
    )  # fmt: skip
    release_id = store.scalar("SELECT id FROM release WHERE organization = ? AND version = ?", organization, version)
    store.run("INSERT OR IGNORE INTO release_project VALUES (?, ?)", release_id, project_id)
    return cast(int, release_id)


def default_priority(level: str) -> str:
    return {"fatal": "high", "error": "high", "warning": "medium"}.get(level, "low")


def create_issue(project_id: int, event: Json) -> int:
    store = the_store()
    store.run("UPDATE project SET last_short_id = last_short_id + 1 WHERE id = ?", project_id)
    return store.run(
        """INSERT INTO issue (project, short_id, first_seen, last_seen, first_release, priority)
        SELECT id, last_short_id, ?, ?, ?, ? FROM project WHERE id = ?""",
        event["timestamp"], event["timestamp"], event.get("release"), default_priority(event["level"]), project_id,
    )  # fmt: skip


def update_issue(issue_id: int, event: Json, summary: grouping.Summary, release_id: int | None) -> None:
    """Set title, counts and times of the issue from a new event, and re-open it if necessary."""
    store = the_store()
    store.run(
        """UPDATE issue SET type = ?, title = ?, culprit = ?, metadata = ?, level = ?, logger = ?, platform = ?,
        unhandled = ?, times_seen = times_seen + 1, first_seen = MIN(first_seen, ?), last_seen = MAX(last_seen, ?),
        last_release = COALESCE(?, last_release) WHERE id = ?""",
        summary.type, summary.title, summary.culprit, json.dumps(summary.metadata), event["level"],
        event.get("logger") or None, event.get("platform"), grouping.is_unhandled(event), event["timestamp"],
        event["timestamp"], event.get("release"), issue_id,
    )  # fmt: skip
    issue = cast(Row, store.one("SELECT * FROM issue WHERE id = ?", issue_id))
    if issue["status"] == "resolved" and not is_covered(issue, release_id):
        store.set_status(issue_id, "unresolved", "regressed")
        store.add_activity(issue_id, None, "set_regression", version=event.get("release") or "")
    elif issue["status"] == "ignored" and is_snooze_over(issue):
        store.set_status(issue_id, "unresolved", "escalating")
        store.add_activity(issue_id, None, "set_escalating", event_id=event["event_id"])


def is_covered(issue: Row, release_id: int | None) -> bool:
    """Whether the issue stays resolved: in a release, and the event is from an older release or from none."""
    if issue["resolution"] is None:
        return False
    resolution = json.loads(issue["resolution"])
    if release_id is None:
        return True
    # For "in the next release", `release` is the latest one at that time, which is still covered.
    newest_covered = resolution["release"] if "inNextRelease" in resolution else resolution["release"] - 1
    return bool(release_id <= newest_covered)


def is_snooze_over(issue: Row) -> bool:
    snooze = json.loads(issue["snooze"] or "{}")
    events = issue["times_seen"] - snooze.get("timesSeen", 0)
    if issue["substatus"] == "archived_until_escalating" and events >= EVENTS_TO_ESCALATE:
        return True
    if snooze.get("ignoreUntil") is not None and snooze["ignoreUntil"] <= time.time():
        return True
    return snooze.get("ignoreCount") is not None and not snooze.get("ignoreWindow") and events >= snooze["ignoreCount"]
