"""The Sentry client that all actions of a connection share."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from komand_sentry.util.errors.redaction import RedactingLogger
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.time_budget import DEFAULT_TIMEOUT, Clock, SystemClock, TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.interruption import Interruptible
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.bulk import Bulk
from komand_sentry.util.sentry.comments import Comments
from komand_sentry.util.sentry.connection_check import ConnectionReport, check_connection
from komand_sentry.util.sentry.deletion import Deletion
from komand_sentry.util.sentry.events import Events
from komand_sentry.util.sentry.ingest import Ingest
from komand_sentry.util.sentry.issues import Issues
from komand_sentry.util.sentry.members import Members
from komand_sentry.util.sentry.merging import Merging
from komand_sentry.util.sentry.projects import Projects
from komand_sentry.util.sentry.rate_limits import response_time, server_retry_delay
from komand_sentry.util.sentry.server import Server
from komand_sentry.util.sentry.tags import Tags
from komand_sentry.util.sentry.teams import Teams

# Users watch the connection test while it runs.
MAX_TEST_SECONDS = 20


@dataclass
class SentryClient:
    """One Sentry server with one token. Thread-safe; creating it does no I/O.

    Each access to a resource starts a new time budget, so a step accesses one resource once.

    :param timeout: total seconds that a step may wait
    :param jitter: returns a number from 0 to 1
    """

    server: Server
    token: str = field(repr=False)
    transport: Transport = field(repr=False)
    logger: logging.Logger = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT
    clock: Clock = field(default_factory=SystemClock, repr=False)
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    @property
    def issues(self) -> Issues:
        """Issues: list, search, get, update."""
        return Issues(self._api())

    @property
    def events(self) -> Events:
        """Events of issues: list, get."""
        return Events(self._api())

    @property
    def bulk(self) -> Bulk:
        """Several issues at once: update."""
        return Bulk(self._api())

    @property
    def merging(self) -> Merging:
        """Several issues of a project: merge into one."""
        return Merging(self._api())

    @property
    def deletion(self) -> Deletion:
        """Several issues: delete."""
        return Deletion(self._api())

    @property
    def comments(self) -> Comments:
        """Comments on issues: list, add."""
        return Comments(self._api())

    @property
    def tags(self) -> Tags:
        """Tags of issues: list values."""
        return Tags(self._api())

    @property
    def projects(self) -> Projects:
        """Projects of an organization: list."""
        return Projects(self._api())

    @property
    def members(self) -> Members:
        """Members of an organization: list."""
        return Members(self._api())

    @property
    def teams(self) -> Teams:
        """Teams of an organization: list."""
        return Teams(self._api())

    @property
    def ingest(self) -> Ingest:
        """Ingestion: submit an event, and find its issue."""
        budget = self._budget()
        return Ingest(self._api(budget), lambda secrets: self._http(budget, secrets))

    def server_time(self) -> datetime:
        """The time by the clock of the server, or by that of this machine if the server does not say. `GET /api/0/`

        :raises ConnectionFailed: no complete response was received
        """
        return response_time(self._api().send("GET", ())) or self.clock.now()

    def check_connection(self) -> ConnectionReport:
        """Test the connection, in MAX_TEST_SECONDS at most.

        :raises PluginException: the test was interrupted, or see connection_check.check_connection
        """
        budget = TimeBudget(min(self.timeout, MAX_TEST_SECONDS), self.clock, is_total=True)
        with Interruptible():
            return check_connection(self._api(budget))

    def _api(self, budget: TimeBudget | None = None) -> API:
        return API(self.server, self.token, self._http(budget or self._budget(), (self.token,)))

    def _budget(self) -> TimeBudget:
        return TimeBudget(self.timeout, self.clock)

    def _http(self, budget: TimeBudget, secrets: tuple[str, ...]) -> RetryingClient:
        log = RedactingLogger(self.logger, secrets)
        return RetryingClient(self.transport, budget, log, self.jitter, server_retry_delay)
