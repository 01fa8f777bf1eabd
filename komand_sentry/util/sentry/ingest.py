"""Ingestion: submit an event to the store or the envelope endpoint of a DSN.

https://develop.sentry.dev/sdk/overview/ and https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from komand_sentry.util.errors.factory import ErrorContext, ingestion_error, invalid_input, unexpected_response
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.errors.server_message import server_message
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import Request, Response
from komand_sentry.util.http.urls import is_plain_http
from komand_sentry.util.sentry.api import USER_AGENT, send_or_raise
from komand_sentry.util.sentry.dsn import DSN, InvalidDSN, parse_dsn
from komand_sentry.util.sentry.event_payload import (
    PROTOCOL_VERSION,
    Event,
    InvalidEventID,
    build_envelope,
    has_content,
    serialize_event,
    with_id_and_timestamp,
)

# https://docs.sentry.io/concepts/data-management/size-limits/
MAX_EVENT_BYTES = 1024 * 1024
# Statuses of a server without the store endpoint.
_MISSING_ENDPOINT_STATUSES = (404, 405, 410)


@dataclass(frozen=True)
class OutgoingEvent:
    """An event that stays the same however often it is sent.

    :param body: its JSON
    """

    event_id: str
    sent_at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Ingest:
    """The ingestion endpoints. The DSN authorizes events; the token is not sent.

    :param new_http: creates the HTTP client of the step, which redacts the given secrets in its log
    :param now: returns the current time
    :param token: of the connection, to redact it
    """

    new_http: Callable[[tuple[str, ...]], RetryingClient]
    now: Callable[[], datetime]
    token: str = field(repr=False)

    def submit(self, dsn_text: str, event: Event, version: int = PROTOCOL_VERSION) -> str:
        """`POST /api/{project}/store/`, or `POST /api/{project}/envelope/` if the server lacks it.

        :param event: in the form of normalize_event_json
        :param version: of the protocol
        :returns: the ID of the event, 32 hexadecimal digits
        :raises PluginException: the DSN or the event is invalid, or the server refused it or was not reached
        """
        dsn = _parse_dsn(dsn_text)
        secrets = (dsn.secret_key, self.token)
        http = self.new_http(secrets)
        if is_plain_http(dsn.base):
            http.log.warning("The DSN starts with http://, so the event is sent without encryption")
        outgoing = prepare_event(event, self.now())
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "X-Sentry-Auth": dsn.auth_header(version, USER_AGENT, int(outgoing.sent_at.timestamp())),
        }
        response = self._send(http, dsn, headers, outgoing)
        return _stored_id(response, outgoing, secrets)

    def _send(self, http: RetryingClient, dsn: DSN, headers: dict[str, str], event: OutgoingEvent) -> Response:
        def post(url: str, content_type: str, body: bytes) -> Response:
            request = Request(
                "POST",
                url,
                headers={**headers, "Content-Type": content_type},
                body=body,
                # The server recognizes a retry by the event ID.
                idempotent=True,
                redirect_prefix=dsn.api_prefix,
            )
            return send_or_raise(http, request)

        response = post(dsn.store_url, "application/json", event.body)
        if response.status not in _MISSING_ENDPOINT_STATUSES:
            return response
        http.log.info("The server has no store endpoint: sending the event to its envelope endpoint")
        envelope = build_envelope(event.event_id, event.body, event.sent_at)
        return post(dsn.envelope_url, "application/x-sentry-envelope", envelope)


def prepare_event(event: Event, now: datetime) -> OutgoingEvent:
    """Set the ID and the timestamp of an event, and serialize it.

    :raises InvalidInput: it cannot be sent
    """
    if not has_content(event):
        raise invalid_input(
            "The event has no content.",
            'Set at least a message or an exception in event_json, as in {"message": "Pump P-2 stopped"}.',
        )
    try:
        event = with_id_and_timestamp(event, uuid.uuid4().hex, now)
        body = serialize_event(event)
    except InvalidEventID:
        raise invalid_input(
            "The event_id of the event is invalid.",
            "Set 32 hexadecimal digits, with or without dashes, or remove it to let the plugin generate one.",
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid_input(
            f"The event cannot be serialized as JSON: {sanitize(str(error))}.",
            "Remove numbers that are not JSON (NaN, Infinity), and reduce the depth of nested values.",
        ) from None
    if len(body) > MAX_EVENT_BYTES:
        raise invalid_input(
            f"The event is too large: {len(body):,} bytes of JSON. Sentry accepts at most {MAX_EVENT_BYTES:,}.",
            "Shorten or remove extra, breadcrumbs, contexts or stack traces.",
        )
    return OutgoingEvent(event["event_id"], now, body)


def _parse_dsn(text: str) -> DSN:
    try:
        return parse_dsn(text)
    except InvalidDSN as error:
        raise invalid_input(
            f"The DSN is invalid: {error}.",
            "Copy the DSN from the settings of the project, Client Keys (DSN). It has the form "
            "https://<public key>@<host>/<project number>.",
        ) from None


def _stored_id(response: Response, event: OutgoingEvent, secrets: tuple[str, ...]) -> str:
    """The ID under which the server stored the event. Relay returns none for an envelope that it only queued."""
    if _is_stored_already(response, event):
        return event.event_id
    context = ErrorContext(
        f"the event {event.event_id}",
        advice="The server has neither the store nor the envelope endpoint of the DSN. Check its host, path and "
        "project number.",
    )
    if not response.is_success:
        raise ingestion_error(context, response, secrets)
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise unexpected_response(context, response, secrets)
    return str(body.get("id") or event.event_id)


def _is_stored_already(response: Response, event: OutgoingEvent) -> bool:
    """Whether Sentry 9 refuses a retry because the first attempt was stored, but its response was lost."""
    if response.status != 403 or response.stats.attempts < 2:
        return False
    message = server_message(response).lower()
    return "already exists" in message and event.event_id in message
