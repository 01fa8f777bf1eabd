"""Sends events to the store or the envelope endpoint of a DSN.

https://develop.sentry.dev/sdk/overview/ , https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from komand_sentry.util import errors
from komand_sentry.util.dsn import DSN, MalformedDSN, parse_dsn
from komand_sentry.util.errors import Target, shown
from komand_sentry.util.event_payload import Event, MalformedEventID, envelope, event_json, has_content, ready_event
from komand_sentry.util.exchange import Request, Response
from komand_sentry.util.sender import Sender
from komand_sentry.util.web_api import USER_AGENT, json_of, reached

# https://docs.sentry.io/concepts/data-management/size-limits/
MOST_EVENT_BYTES = 1024 * 1024
# A server that no longer has the store endpoint answers so.
_NO_SUCH_ENDPOINT = (404, 405, 410)


@dataclass(frozen=True)
class OutgoingEvent:
    """An event as it is sent, however often.

    :param body: its JSON
    """

    event_id: str
    sent_at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Ingestion:
    """The endpoints of a DSN. Events are authorized by the DSN alone; the token stays where it belongs."""

    sender: Sender
    dsn: DSN
    version: int
    secrets: tuple[str, ...] = field(repr=False)

    def submit(self, event: OutgoingEvent) -> str:
        """Sends an event to the store endpoint, or where a server has none to the envelope endpoint.

        :returns: its ID
        :raises PluginException: the server refused it or was not reached
        """
        response = self._send(self.dsn.store_url, "application/json", event.body, event)
        if response.status in _NO_SUCH_ENDPOINT:
            self.sender.say("The server has no store endpoint: sending the event to its envelope endpoint")
            sealed = envelope(event.event_id, event.body, event.sent_at)
            response = self._send(self.dsn.envelope_url, "application/x-sentry-envelope", sealed, event)
        return self._stored_id(response, event)

    def _send(self, url: str, content_type: str, body: bytes, event: OutgoingEvent) -> Response:
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Content-Type": content_type,
            "X-Sentry-Auth": self.dsn.auth_header(self.version, USER_AGENT, int(event.sent_at.timestamp())),
        }
        return reached(self.sender, Request("POST", url, headers=headers, body=body, has_own_id=True))

    def _stored_id(self, response: Response, event: OutgoingEvent) -> str:
        """The ID under which the server took it. Relay names none where it took an envelope without looking."""
        if _is_stored_already(response, event):
            return event.event_id
        target = Target(
            f"the event {event.event_id}",
            advice="The server knows neither the store nor the envelope endpoint of the DSN. Check its host, path and "
            "project number.",
        )
        if not response.is_success:
            raise errors.ingestion_error(target, response, self.secrets)
        answer = json_of(response)
        if not isinstance(answer, dict):
            raise errors.unexpected_answer(target, response, self.secrets)
        return str(answer.get("id") or event.event_id)


def _is_stored_already(response: Response, event: OutgoingEvent) -> bool:
    """Whether Sentry 9 refuses a second try because the first one arrived, though its answer did not."""
    if response.status != 403 or response.effort.tries < 2:
        return False
    words = errors.server_words(response).lower()
    return "already exists" in words and event.event_id in words


def dsn_of(text: str) -> DSN:
    """:raises PluginException: the text is no DSN"""
    try:
        return parse_dsn(text)
    except MalformedDSN as error:
        raise errors.input_error(
            f"The DSN is malformed: {error}.",
            "Copy the DSN from the settings of the project, Client Keys (DSN). It looks like "
            "https://<public key>@<host>/<project number>.",
        ) from None


def outgoing_event(event: Event, now: datetime) -> OutgoingEvent:
    """The event with everything fixed that a repeat must not change.

    :raises PluginException: it cannot be sent
    """
    if not has_content(event):
        raise errors.input_error(
            "The event holds no content.",
            'Give the event_json at least a message or an exception, as in {"message": "Pump P-2 stopped"}.',
        )
    try:
        event = ready_event(event, uuid.uuid4().hex, now)
        body = event_json(event)
    except MalformedEventID:
        raise errors.input_error(
            "The event_id of the event is malformed.",
            "Give 32 hexadecimal digits, with or without dashes, or leave it out: one is then made.",
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise errors.input_error(
            f"The event cannot be written as JSON: {shown(str(error))}.",
            "Remove numbers that JSON does not have (NaN, Infinity) and flatten what is nested too deeply.",
        ) from None
    if len(body) > MOST_EVENT_BYTES:
        raise errors.input_error(
            f"The event is too large: {len(body):,} bytes of JSON, where Sentry takes {MOST_EVENT_BYTES:,} at most.",
            "Shorten extra, breadcrumbs, contexts or stack traces, or leave some of them out.",
        )
    return OutgoingEvent(event["event_id"], now, body)
