"""The Sentry client that all actions of a connection share."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from komand_sentry.util.errors.redaction import RedactingLogger
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.time_budget import DEFAULT_TIMEOUT, Clock, SystemClock, TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.connection_check import ConnectionReport, check_connection
from komand_sentry.util.sentry.events import Events
from komand_sentry.util.sentry.ingest import Ingest
from komand_sentry.util.sentry.issues import Issues
from komand_sentry.util.sentry.rate_limits import server_retry_delay
from komand_sentry.util.sentry.server import Server

# A user waits for the connection test.
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
        """Issues: list, update."""
        return Issues(self._api(self.timeout))

    @property
    def events(self) -> Events:
        """Events of issues: list."""
        return Events(self._api(self.timeout))

    @property
    def ingest(self) -> Ingest:
        """Ingestion: submit events."""
        return Ingest(lambda secrets: self._http(self.timeout, secrets), self.clock.now, self.token)

    def check_connection(self) -> ConnectionReport:
        """Test the connection.

        :raises PluginException: see connection_check.check_connection
        """
        return check_connection(self._api(min(self.timeout, MAX_TEST_SECONDS)))

    def _api(self, timeout: float) -> API:
        return API(self.server, self.token, self._http(timeout, (self.token,)))

    def _http(self, timeout: float, secrets: tuple[str, ...]) -> RetryingClient:
        log = RedactingLogger(self.logger, secrets)
        return RetryingClient(self.transport, TimeBudget(timeout, self.clock), log, self.jitter, server_retry_delay)
