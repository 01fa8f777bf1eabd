"""The Sentry client that all actions of a connection share: one method for each thing to do.

Web API: https://docs.sentry.io/api/ ; ingestion: https://develop.sentry.dev/sdk/overview/
"""

import json
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from komand_sentry.util import errors, records
from komand_sentry.util.address import IssueReference, Server, UnusableAddress
from komand_sentry.util.dsn import DSN, MalformedDSN, parse_dsn
from komand_sentry.util.errors import Target, shown
from komand_sentry.util.event_payload import Event, MalformedEventID, envelope, ready_event
from komand_sentry.util.exchange import Params, Request, Response, Unreachable
from komand_sentry.util.pagination import EndlessListing, Listing, Position, Window, next_cursor
from komand_sentry.util.transport import Transport

USER_AGENT = "insightconnect-sentry/2.0.0"
PROTOCOL_VERSION = 7

# A server that no longer has the store endpoint answers so.
_NO_SUCH_ENDPOINT = (404, 405, 410)
# What stands at `/api/0/` where there is no Sentry: nothing, or a redirect to a page.
_NOT_AN_API = (301, 302, 303, 307, 308, 404, 405)


@dataclass(frozen=True)
class IssueFilter:
    """Which issues of a project to list, https://docs.sentry.io/api/events/list-a-projects-issues/

    :param query: "" asks for every status
    :param stats_period: "24h", "14d" or "" (no stats)
    """

    query: str = "is:unresolved"
    stats_period: str = ""
    short_id_lookup: bool = False
    environment: str = ""
    sort: str = ""

    def params(self) -> Params:
        """Both `query` and `statsPeriod` are always sent, since servers differ in what they take for an absent one."""
        optional = {
            "shortIdLookup": "1" if self.short_id_lookup else "",
            "environment": self.environment,
            "sort": self.sort,
        }
        given = tuple((name, value) for name, value in optional.items() if value)
        return (("query", self.query), ("statsPeriod", self.stats_period), *given)


@dataclass(frozen=True)
class _Kind:
    """What is listed: what identifies a record, which parameter sets the size of a page, and the record's dialects."""

    id_key: str
    size_param: str
    normalise: Callable[[records.Record], records.Record]


_ISSUES = _Kind("id", "limit", records.issue)
_EVENTS = _Kind("eventID", "per_page", records.event)


@dataclass
class SentryClient:
    """Talks to one Sentry server with one token. Safe to share between threads; making one does no I/O."""

    server: Server
    token: str = field(repr=False)
    transport: Transport = field(repr=False)
    logger: logging.Logger = field(repr=False)

    def identity(self) -> dict[str, Any]:
        """Who the token is: {version, auth: {scopes}, user}. `GET /api/0/`, which needs no scope.

        :raises PluginException: unreachable, not a Sentry, or the token is not accepted
        """
        target = Target("the API")
        response = self._call("GET", self.server.api())
        if response.status in _NOT_AN_API:
            raise errors.not_a_sentry(response, self._secrets)
        answer = _json(self._judged(response, target))
        if not isinstance(answer, dict) or "version" not in answer:
            raise errors.not_a_sentry(response, self._secrets)
        if not answer.get("auth") and not answer.get("user"):
            # A server that reads no Authorization header, as behind a proxy that strips it, answers as to a stranger.
            raise errors.response_error(target, Response(401, {}, b'{"detail": "The server saw no token."}'))
        return answer

    def list_project_issues(
        self, organization_slug: str, project_slug: str, issue_filter: IssueFilter, window: Window
    ) -> Listing:
        """`GET /projects/{organization}/{project}/issues/`, as many pages as it takes.

        :raises PluginException: see _api, or a slug that is no slug
        """
        target = Target(
            f"project {shown(project_slug)} of organization {shown(organization_slug)}",
            scope="event:read",
            advice="Check both slugs (they stand in the address of the project's page, not in its title), that the "
            "token may see the project, and for Sentry SaaS that the connection's URL is that of the region, such "
            "as https://de.sentry.io.",
        )
        try:
            url = self.server.api("projects", organization_slug, project_slug, "issues")
        except UnusableAddress as error:
            raise errors.input_error(
                f"A slug cannot be used: {error}.", "Check organization_slug and project_slug."
            ) from None
        return self._list(_ISSUES, url, issue_filter.params(), window, target)

    def list_issue_events(self, issue_id: str, environment: str, full: bool, window: Window) -> Listing:
        """`GET /issues/{id}/events/`, newest first, as many pages as it takes.

        :param issue_id: a number or a permalink
        :raises PluginException: see _api, or an issue_id that is neither
        """
        reference = self._issue(issue_id)
        # Absent, not "0", for the short form: some servers before 2023 take any `full` for yes.
        given = (("full", "1" if full else ""), ("environment", environment))
        params: Params = tuple((name, value) for name, value in given if value)
        url = self.server.api("issues", reference.issue_id, "events")
        return self._list(_EVENTS, url, params, window, _issue_target(reference, "event:read"))

    def update_issue(self, issue_id: str, changes: dict[str, Any]) -> records.Record:
        """`PUT /issues/{id}/` with the attributes to change, and no others.

        :returns: the updated issue
        :raises PluginException: see _api, or an issue_id that is neither a number nor a permalink
        """
        reference = self._issue(issue_id)
        target = _issue_target(reference, "event:write")
        response = self._api("PUT", self.server.api("issues", reference.issue_id), target, body=changes)
        answer = _json(response)
        if not isinstance(answer, dict):
            raise errors.unexpected_answer(target, response, self._secrets)
        return records.issue(answer)

    def submit_event(self, dsn: str, event: Event, version: int = PROTOCOL_VERSION) -> str:
        """Sends an event to the store endpoint of the DSN, or where a server has none to its envelope endpoint.

        :returns: the ID of the event, 32 hexadecimal digits
        :raises PluginException: a malformed DSN or event, the server refused it or was not reached
        """
        now = datetime.now(UTC)
        target_dsn = _dsn(dsn)
        event, body = _ready(event, now)
        response = self._ingest(target_dsn, target_dsn.store_url, "application/json", body, version)
        if response.status in _NO_SUCH_ENDPOINT:
            self.logger.info("The server has no store endpoint: sending the event to its envelope endpoint")
            sealed = envelope(event, body, now)
            response = self._ingest(
                target_dsn, target_dsn.envelope_url, "application/x-sentry-envelope", sealed, version
            )
        return _stored_id(response, event, target_dsn)

    def _ingest(self, dsn: DSN, url: str, content_type: str, body: bytes, version: int) -> Response:
        """Events are authorized by the DSN alone; the token stays where it belongs."""
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Content-Type": content_type,
            "X-Sentry-Auth": dsn.auth_header(version, USER_AGENT, int(time.time())),
        }
        return self._send(Request("POST", url, headers=headers, body=body))

    def _issue(self, text: str) -> IssueReference:
        try:
            reference = IssueReference.parse(text)
        except UnusableAddress as error:
            raise errors.input_error(
                f"The issue_id cannot be used: {error}.",
                "Give the issue's numeric ID (the id of an issue of List Project Issues, not its short ID) or its "
                "permalink, such as https://acme.sentry.io/issues/123/.",
            ) from None
        if reference.looks_foreign_to(self.server):
            self.logger.warning(
                f"The permalink is of {reference.host}, the connection's server is {self.server.host}: "
                f"taking issue {reference.issue_id} of {self.server.host}"
            )
        return reference

    def _list(self, kind: _Kind, url: str, params: Params, window: Window, target: Target) -> Listing:
        if window.limit < 0:
            raise errors.input_error("The limit is negative.", "Give a positive limit, or 0 for everything.")
        listing = Listing(kind.id_key, limit=window.limit, position=Position.parse(window.cursor))
        position = listing.position
        pages = 0
        while position is not None:
            page_params = (*params, (kind.size_param, str(listing.page_size(position))))
            if position.cursor:
                page_params = (*page_params, ("cursor", position.cursor))
            response = self._api("GET", url, target, params=page_params)
            page = [kind.normalise(record) for record in self._records(response, target)]
            try:
                position = listing.add(page, next_cursor(response.header("link")))
            except EndlessListing:
                raise errors.unexpected_answer(target, response, self._secrets) from None
            pages += 1
        self.logger.info(f"Read {len(listing.records)} records of {target.name} in {pages} page(s)")
        return listing

    def _records(self, response: Response, target: Target) -> list[records.Record]:
        page = _json(response)
        if not isinstance(page, list) or not all(isinstance(record, dict) for record in page):
            raise errors.unexpected_answer(target, response, self._secrets)
        return page

    def _api(
        self, method: str, url: str, target: Target, params: Params = (), body: dict[str, Any] | None = None
    ) -> Response:
        """One call of the web API.

        :returns: a success
        :raises APIException: the server refused it
        :raises PluginException: the server was not reached
        """
        return self._judged(self._call(method, url, params, body), target)

    def _call(self, method: str, url: str, params: Params = (), body: dict[str, Any] | None = None) -> Response:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        payload = None if body is None else json.dumps(body).encode()
        return self._send(Request(method, url, params, headers, payload))

    def _judged(self, response: Response, target: Target) -> Response:
        if not response.is_success:
            raise errors.response_error(target, response, self._secrets)
        return response

    def _send(self, request: Request) -> Response:
        try:
            return self.transport.send(request)
        except Unreachable as failure:
            raise errors.unreachable_error(request.host, failure) from None

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (self.token,)


def _json(response: Response) -> Any:
    """The body as JSON, None where it is none: either way the caller checks that it is what it asked for."""
    try:
        return response.json()
    except ValueError:
        return None


def _issue_target(reference: IssueReference, scope: str) -> Target:
    return Target(
        f"issue {reference.issue_id}",
        scope=scope,
        advice="Check the ID (the numeric id, not the short ID), that the issue was not deleted or merged, that the "
        "token may see its project, and for Sentry SaaS that the connection's URL is that of the region, such as "
        "https://de.sentry.io.",
    )


def _dsn(text: str) -> DSN:
    try:
        return parse_dsn(text)
    except MalformedDSN as error:
        raise errors.input_error(
            f"The DSN is malformed: {error}.",
            "Copy the DSN from the settings of the project, Client Keys (DSN). It looks like "
            "https://<public key>@<host>/<project number>.",
        ) from None


def _ready(event: Event, now: datetime) -> tuple[Event, bytes]:
    """The event as it will be sent, however often, and its JSON."""
    try:
        event = ready_event(event, uuid.uuid4().hex, now)
        return event, json.dumps(event, allow_nan=False).encode()
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


def _stored_id(response: Response, event: Event, dsn: DSN) -> str:
    """The ID under which the server took the event. Relay names none where it took an envelope without looking."""
    secrets = (dsn.secret_key,)
    target = Target(
        f"the event {event['event_id']}",
        advice="The server knows neither the store nor the envelope endpoint of the DSN. Check its host, path and "
        "project number.",
    )
    if not response.is_success:
        raise errors.ingestion_error(target, response, secrets)
    answer = _json(response)
    if not isinstance(answer, dict):
        raise errors.unexpected_answer(target, response, secrets)
    return str(answer.get("id") or event["event_id"])
