"""Ingestion: submit an event to the store or the envelope endpoint of a DSN, and find its issue.

https://develop.sentry.dev/sdk/overview/ and https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from komand_sentry.util.coerce import Schema
from komand_sentry.util.errors.exceptions import BY_STATUS, ResponseError
from komand_sentry.util.errors.factory import (
    ErrorContext,
    ingestion_error,
    invalid_input,
    unexpected_ingestion_response,
)
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.errors.server_message import server_message
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import Request, Response
from komand_sentry.util.http.urls import is_plain_http
from komand_sentry.util.sentry.api import API, USER_AGENT, send_or_raise
from komand_sentry.util.sentry.dsn import DSN, InvalidDSN, parse_dsn
from komand_sentry.util.sentry.event_lookup import NO_ISSUE, find_issue
from komand_sentry.util.sentry.event_payload import (
    PROTOCOL_VERSION,
    Event,
    InvalidEventID,
    build_envelope,
    envelope_item_type,
    has_content,
    invalid_paths,
    serialize_event,
    to_valid_event,
    with_id_and_timestamp,
)
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.organizations import check_slug
from komand_sentry.util.sentry.server import is_saas_host

# https://docs.sentry.io/concepts/data-management/size-limits/
MAX_EVENT_BYTES = 1024 * 1024
# Statuses of a server without the store endpoint.
_MISSING_ENDPOINT_STATUSES = (404, 405, 410)
# Keys of an error in a response with the status 200, which some servers return for a refused event.
_ERROR_KEYS = ("error", "errors", "detail")
_ID_KEYS = ("id", "event_id")


@dataclass(frozen=True)
class OutgoingEvent:
    """A serialized event. Each attempt to send it sends the same bytes.

    :param body: its JSON
    :param item_type: of its envelope item
    :param is_id_given: whether the ID is that of the input
    """

    event_id: str
    sent_at: datetime
    body: bytes = field(repr=False)
    item_type: str = "event"
    is_id_given: bool = False


@dataclass(frozen=True)
class Ingest:
    """The ingestion endpoints. The DSN authorizes events; the token is only sent to the web API.

    :param api: the web API, to find the issue of an event
    :param new_http: creates an HTTP client with the time budget of `api`, which redacts the given secrets in its log
    """

    api: API
    new_http: Callable[[tuple[str, ...]], RetryingClient]

    def submit(self, dsn_text: str, event: Event, version: int = PROTOCOL_VERSION) -> str:
        """`POST /api/{project}/store/`, or `POST /api/{project}/envelope/` if the server lacks it.

        :param event: as parse_event returns it
        :param version: of the protocol
        :returns: the ID of the event as the server returned it, usually 32 hexadecimal digits
        :raises PluginException: the DSN or the event is invalid, the server refused the event, or no complete response
            was received
        """
        dsn = _parse_dsn(dsn_text)
        secrets = (dsn.secret_key, self.api.token)
        http = self.new_http(secrets)
        if is_plain_http(dsn.base):
            http.log.warning("The DSN starts with http://, so the event is sent without encryption")
        outgoing = prepare_event(event, http.budget.clock.now())
        if paths := invalid_paths(event):
            http.log.warning(f"Invalid values are missing from the event (see its errors): {join_truncated(paths)}")
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "X-Sentry-Auth": dsn.auth_header(version, USER_AGENT, int(outgoing.sent_at.timestamp())),
        }
        response = self._send(http, dsn, headers, outgoing)
        is_saas = is_saas_host(urlsplit(dsn.base).hostname or "")
        return _stored_id(response, outgoing, secrets, is_saas)

    def submit_and_find(self, dsn_text: str, event: Event, version: int, organization_slug: str) -> Record:
        """Submit an event, and wait within the time budget until Sentry has processed it.

        :param organization_slug: of the project of the DSN
        :returns: the `id` of the event, and its issue as find_issue returns it
        :raises PluginException: see submit, or the organization_slug is missing or invalid
        """
        if not organization_slug:
            raise invalid_input(
                "The organization_slug is missing, which wait_for_issue needs. Nothing was sent.",
                "Set the slug of the organization of the DSN's project, or set wait_for_issue to false.",
            )
        check_slug("organization_slug", organization_slug)
        event_id = self.submit(dsn_text, event, version)
        dsn = _parse_dsn(dsn_text)
        http = self.new_http((dsn.secret_key, self.api.token))
        if envelope_item_type(event) == "transaction":
            http.log.info("The event is a transaction, which has no issue")
            return {"id": event_id, **NO_ISSUE}
        # The log has the ID even if the step is interrupted while it waits.
        http.log.info(f"The event {event_id} is stored: waiting until Sentry has processed it")
        host = urlsplit(dsn.base).hostname or ""
        if not self.api.server.is_same_service(host):
            http.log.warning(f"The DSN is of {host}, but the event is looked up on {self.api.server.host}")
        return {"id": event_id, **find_issue(replace(self.api, http=http), organization_slug, event_id, dsn.project_id)}

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
                expects_json=True,
            )
            return send_or_raise(http, request)

        response = post(dsn.store_url, "application/json", event.body)
        if response.status not in _MISSING_ENDPOINT_STATUSES:
            return response
        http.log.info("The server has no store endpoint: sending the event to its envelope endpoint")
        envelope = build_envelope(event.event_id, event.body, event.sent_at, event.item_type)
        return post(dsn.envelope_url, "application/x-sentry-envelope", envelope)


def parse_event(event_json: Any, schema: Schema) -> Any:
    """Parse the input event_json: normalize it and remove invalid values as Relay does, see to_valid_event.

    :param schema: of the event
    :raises InvalidInput: it is too large, or cannot be sent as JSON
    """
    if isinstance(event_json, dict):
        # Check the size first: the rest takes far longer.
        _serialize(event_json)
    return to_valid_event(event_json, schema)


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
        outgoing = with_id_and_timestamp(event, uuid.uuid4().hex, now)
    except InvalidEventID:
        raise invalid_input(
            "The event_id of the event is invalid.",
            "Set 32 hexadecimal digits, with or without dashes, or remove it to let the plugin generate one.",
        ) from None
    body = _serialize(outgoing)
    return OutgoingEvent(outgoing["event_id"], now, body, envelope_item_type(event), "event_id" in event)


def _serialize(event: Event) -> bytes:
    """The event as JSON.

    :raises InvalidInput: it is too large, or cannot be expressed in JSON
    """
    try:
        body = serialize_event(event)
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
    return body


def _parse_dsn(text: str) -> DSN:
    try:
        return parse_dsn(text)
    except InvalidDSN as error:
        raise invalid_input(
            f"The DSN is invalid: {error}.",
            "Copy the DSN from the settings of the project, Client Keys (DSN). It has the form "
            "https://<public key>@<host>/<project number>.",
        ) from None


def _stored_id(response: Response, event: OutgoingEvent, secrets: tuple[str, ...], is_saas: bool) -> str:
    """The ID under which the server stored the event. Relay returns none for an envelope that it only queued."""
    if _is_duplicate(response, event):
        # A generated ID, or one that was sent before, is taken by this event: the response to it was lost.
        if response.stats.attempts > 1 or not event.is_id_given:
            return event.event_id
        raise _id_taken(response, event, secrets)
    context = ErrorContext(
        f"the event {event.event_id}",
        advice="The server has neither the store nor the envelope endpoint of the DSN. Check its host, path and "
        "project number.",
    )
    if not response.is_success:
        raise ingestion_error(context, response, secrets, is_saas)
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and any(body.get(key) for key in _ERROR_KEYS):
        raise _not_stored(response, event, secrets)
    if not isinstance(body, dict) or (body and not any(key in body for key in _ID_KEYS)):
        raise unexpected_ingestion_response(context, response, secrets)
    return str(next((body[key] for key in _ID_KEYS if body.get(key)), event.event_id))


def _is_duplicate(response: Response, event: OutgoingEvent) -> bool:
    """Whether the server refuses the event because it has one with the same ID: Sentry 9 with 403, GlitchTip with 422.

    Relay accepts it, and drops it later.
    """
    if response.status not in (403, 422):
        return False
    message = server_message(response).lower()
    return "duplicate event id" in message or ("already exists" in message and event.event_id in message)


def _id_taken(response: Response, event: OutgoingEvent, secrets: tuple[str, ...]) -> ResponseError:
    return BY_STATUS[response.status](
        cause=f"The project already has an event with the event_id {event.event_id}, so Sentry refused this one "
        f"({response.status}).",
        assistance="Set another event_id, or remove it to let the plugin generate one. If an earlier run of the step "
        "submitted the same event, it is stored.",
        data=server_message(response, secrets),
        status_code=response.status,
    )


def _not_stored(response: Response, event: OutgoingEvent, secrets: tuple[str, ...]) -> ResponseError:
    return ResponseError(
        cause=f"The server did not store the event {event.event_id}: it reports an error with the status "
        f"{response.status}.",
        assistance="See the server's response for the reason. Check the event, and the DSN in the settings of the "
        "project, Client Keys (DSN).",
        data=server_message(response, secrets),
        status_code=response.status,
    )
