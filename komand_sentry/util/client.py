"""The Sentry client that all actions of a connection share: one method for each thing to do.

Web API: https://docs.sentry.io/api/ ; ingestion: https://develop.sentry.dev/sdk/overview/
"""

import functools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from komand_sentry.util import errors
from komand_sentry.util.address import IssueReference, Server, UnusableAddress, is_in_the_clear, quote_segment
from komand_sentry.util.budget import DEFAULT_SECONDS, Budget, Clock, SystemClock
from komand_sentry.util.errors import Target, blacked_out, shown
from komand_sentry.util.event_payload import PROTOCOL_VERSION, Event
from komand_sentry.util.exchange import Params
from komand_sentry.util.pagination import Listing, Window
from komand_sentry.util.reader import EVENTS, ISSUES, Reader
from komand_sentry.util.records import Record, issue_record
from komand_sentry.util.routes import IssueRoute, ProjectIssuesRoute
from komand_sentry.util.sender import Sender
from komand_sentry.util.transport import Transport
from komand_sentry.util.web_api import WebAPI, json_of

# Modules that one action alone needs are loaded when it is run: a process is started for each step.
if TYPE_CHECKING:
    from komand_sentry.util.preflight import Preflight

P = ParamSpec("P")
T = TypeVar("T")

# A person waits for a connection test.
MOST_TEST_SECONDS = 20


class IssueFilter(NamedTuple):
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


def _forgetful(method: Callable[P, T]) -> Callable[P, T]:
    """Has a failure hold nothing that came from the network."""

    @functools.wraps(method)
    def run(*given: P.args, **named: P.kwargs) -> T:
        try:
            return method(*given, **named)
        except Exception as failure:
            errors.forget_frames(failure)
            raise

    return run


@dataclass
class SentryClient:
    """Talks to one Sentry server with one token. Safe to share between threads; making one does no I/O.

    :param seconds: how long one action may wait in all
    :param jitter: gives a number from 0 to 1
    """

    server: Server
    token: str = field(repr=False)
    transport: Transport = field(repr=False)
    logger: logging.Logger = field(repr=False)
    seconds: float = DEFAULT_SECONDS
    clock: Clock = field(default_factory=SystemClock, repr=False)
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    @_forgetful
    def identity(self) -> dict[str, Any]:
        """Who the token is: {version, auth: {scopes}, user}. `GET /api/0/`, which needs no scope.

        :raises PluginException: unreachable, not a Sentry, or the token is not accepted
        """
        from komand_sentry.util import survey  # noqa: PLC0415

        return survey.identity(self._api(self.seconds))

    @_forgetful
    def preflight(self) -> "Preflight":
        """What the token may do, where, and as whom.

        :raises PluginException: unreachable, not a Sentry, or the token is not accepted
        """
        from komand_sentry.util import survey  # noqa: PLC0415

        return survey.take(self._api(min(self.seconds, MOST_TEST_SECONDS)))

    @_forgetful
    def list_project_issues(
        self, organization_slug: str, project_slug: str, issue_filter: IssueFilter, window: Window
    ) -> Listing:
        """`GET /projects/{organization}/{project}/issues/`, as many pages as it takes.

        :raises PluginException: see WebAPI.call, or an input that cannot be one
        """
        target = Target(
            f"project {shown(project_slug)} of organization {shown(organization_slug)}",
            scope="event:read",
            advice="Check both slugs (they stand in the address of the project's page, not in its title), that the "
            "token may see the project, and for Sentry SaaS that the connection's URL is that of the region, such "
            "as https://de.sentry.io.",
        )
        _check_segments(organization_slug=organization_slug, project_slug=project_slug)
        api = self._api(self.seconds)
        route = ProjectIssuesRoute(api, organization_slug, project_slug, target)
        return Reader(api, ISSUES, target, route.page, issue_filter.params(), window).read()

    @_forgetful
    def list_issue_events(
        self, issue_id: str, environment: str, full: bool, window: Window, organization_slug: str = ""
    ) -> Listing:
        """`GET /organizations/{organization}/issues/{id}/events/` or `/issues/{id}/events/`, newest first, as many
        pages as it takes.

        :param issue_id: a number, a permalink, or a short ID
        :param organization_slug: "" where it is not known
        :raises PluginException: see WebAPI.call, or an input that cannot be one
        """
        reference = self._issue(issue_id, organization_slug)
        # Absent, not "0", for the short form: some servers before 2023 take any `full` for yes.
        given = (("full", "1" if full else ""), ("environment", environment))
        params: Params = tuple((name, value) for name, value in given if value)
        target = _issue_target(reference, "event:read")
        api = self._api(self.seconds)
        route = IssueRoute(api, reference, target)
        fetch = functools.partial(route.call, "GET", "events")
        return Reader(api, EVENTS, target, fetch, params, window).read()

    @_forgetful
    def update_issue(self, issue_id: str, changes: dict[str, Any], organization_slug: str = "") -> Record:
        """`PUT /organizations/{organization}/issues/{id}/` or `/issues/{id}/` with the attributes to change, and no
        others.

        :param issue_id: a number, a permalink, or a short ID
        :param organization_slug: "" where it is not known
        :returns: the updated issue
        :raises PluginException: see WebAPI.call, or an issue_id that cannot be one
        """
        reference = self._issue(issue_id, organization_slug)
        target = _issue_target(reference, "event:write")
        api = self._api(self.seconds)
        response = IssueRoute(api, reference, target).call("PUT", body=changes)
        answer = json_of(response)
        if not isinstance(answer, dict):
            raise api.unexpected(target, response)
        return issue_record(answer)

    @_forgetful
    def submit_event(self, dsn: str, event: Event, version: int = PROTOCOL_VERSION) -> str:
        """Sends an event to the store endpoint of the DSN, or where a server has none to its envelope endpoint.

        However often it is sent, it is one event: its ID is fixed before the first try.

        :returns: the ID of the event, 32 hexadecimal digits
        :raises PluginException: a malformed DSN or event, the server refused it or was not reached
        """
        from komand_sentry.util import ingestion  # noqa: PLC0415

        target = ingestion.dsn_of(dsn)
        secrets = (target.secret_key, self.token)
        if is_in_the_clear(target.base):
            self._say("The DSN begins with http://: anyone on the way can read the event", secrets, logging.WARNING)
        outgoing = ingestion.outgoing_event(event, self.clock.now())
        sender = self._sender(self.seconds, secrets)
        return ingestion.Ingestion(sender, target, version, secrets).submit(outgoing)

    def _say(self, text: str, secrets: tuple[str, ...], level: int = logging.INFO) -> None:
        """Into the log of the step, which its author reads: no secret gets there, whatever field it was put into."""
        self.logger.log(level, blacked_out(text, secrets))

    def _sender(self, seconds: float, secrets: tuple[str, ...]) -> Sender:
        say = functools.partial(self._say, secrets=secrets)
        return Sender(self.transport, Budget(seconds, self.clock), say, self.jitter)

    def _api(self, seconds: float) -> WebAPI:
        """The web API for one action."""
        return WebAPI(self.server, self.token, self._sender(seconds, (self.token,)))

    def _issue(self, text: str, organization_slug: str) -> IssueReference:
        try:
            reference = IssueReference.parse(text, organization_slug)
        except UnusableAddress as error:
            raise errors.input_error(
                f"The issue_id cannot be used: {error}.",
                "Give the issue's numeric ID (the id of an issue of List Project Issues), its short ID together with "
                "the organization_slug, or its permalink, such as https://acme.sentry.io/issues/123/.",
            ) from None
        if organization_slug:
            _check_segments(organization_slug=organization_slug)
        if reference.looks_foreign_to(self.server):
            self._say(
                f"The permalink is of {reference.host}, the connection's server is {self.server.host}: "
                f"taking issue {reference.issue_id} of {self.server.host}",
                (self.token,),
                logging.WARNING,
            )
        return reference


def _check_segments(**slugs: str) -> None:
    """:raises PluginException: one of the named inputs would leave its place in a path"""
    for name, slug in slugs.items():
        try:
            quote_segment(slug)
        except UnusableAddress as error:
            raise errors.input_error(
                f"A slug cannot be used: {error}.",
                f"Check {name}. The slug stands in the address of a page of Sentry, as in "
                "https://sentry.io/organizations/<organization_slug>/projects/<project_slug>/.",
            ) from None


def _issue_target(reference: IssueReference, scope: str) -> Target:
    where = f" of organization {shown(reference.organization)}" if reference.organization else ""
    return Target(
        f"issue {reference.issue_id}{where}",
        scope=scope,
        advice="Check the ID, that the issue was not deleted or merged, that the token may see its project, the "
        "organization_slug if one was given, and for Sentry SaaS that the connection's URL is that of the region, such "
        "as https://de.sentry.io.",
    )
