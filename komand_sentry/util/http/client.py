"""Send a request until it succeeds or fails permanently: redirects and retries within the time budget of one step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qsl

from komand_sentry.util.http.messages import MAX_REDIRECTS, AttemptStats, FailureKind, Request, Response, TransportError
from komand_sentry.util.http.retry import MAX_ATTEMPTS, describe_failure, retry_delay
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.http.urls import is_same_resource, redirect_url

_REDIRECTS = (301, 302, 307, 308)
_MAX_DELAY = 10.0**9

# The delay in seconds that a response asks for, None if it does not: (response, now, jitter)
ServerDelay = Callable[[Response, datetime, float], float | None]


class Log(Protocol):
    """The log of a step."""

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...


@dataclass
class RetryingClient:
    """The HTTP client of one step. Each step has its own.

    :param jitter: returns a number from 0 to 1
    :param server_delay: reads the delay that a response asks for
    """

    transport: Transport
    budget: TimeBudget
    log: Log
    jitter: Callable[[], float]
    server_delay: ServerDelay

    def send(self, request: Request, max_attempts: int = MAX_ATTEMPTS) -> Response:
        """Return the final response, after all redirects and retries. Its status can be that of an error.

        :param max_attempts: attempts with delays between them. Redirects do not count
        :raises TransportError: no complete response was received
        """
        stats = AttemptStats(requests=0)
        attempts = 0
        outcome: Response | TransportError | None = None
        while True:
            timeout = self.budget.start_attempt()
            if not timeout:
                raise TransportError(FailureKind.TIME_SPENT, f"{self.budget.seconds:g} seconds", stats)
            # A stale connection fails without a response, after which only an idempotent request can be sent again.
            new_connection = isinstance(outcome, TransportError) or not request.is_idempotent
            outcome = self._attempt(request, timeout, new_connection)
            stats = stats._replace(requests=stats.requests + 1)
            if redirected := self._redirected(request, outcome, stats):
                self.budget.end_attempt(failed=True)
                request, stats = redirected, stats._replace(redirects=stats.redirects + 1)
                continue
            attempts += 1
            delay = self._retry_delay(request, outcome, attempts)
            self.budget.end_attempt(failed=delay is not None or isinstance(outcome, TransportError))
            # A retry without a delay replaces an attempt on a stale connection, so max_attempts does not prevent it.
            if delay is None or (delay and attempts >= max_attempts) or not self.budget.allows(delay):
                return self._finish(outcome, stats, delay)
            if delay:
                reason = describe_failure(request.host, outcome)
                self.log.info(f"Waiting {delay:.1f} s before attempt {attempts + 1}: {reason}")
            self.budget.pause(delay)
            stats = stats._replace(waited=stats.waited + delay)

    def _attempt(self, request: Request, timeout: float, new_connection: bool) -> Response | TransportError:
        try:
            response = self.transport.send(request, timeout, new_connection)
        except TransportError as failure:
            return failure
        if request.expects_json and response.is_success and response.is_incomplete_json:
            return TransportError(FailureKind.INCOMPLETE, f"{len(response.body)} bytes of JSON")
        return response

    def _retry_delay(self, request: Request, outcome: Response | TransportError, attempts: int) -> float | None:
        if isinstance(outcome, Response) and outcome.status < 300:
            return None
        jitter, server_delay = self.jitter(), None
        if isinstance(outcome, Response):
            server_delay = self.server_delay(outcome, self.budget.clock.now(), jitter)
        return retry_delay(request, outcome, attempts, server_delay, jitter)

    def _redirected(self, request: Request, outcome: Response | TransportError, stats: AttemptStats) -> Request | None:
        """The redirected request, with the same method, headers and body; None if there is no redirect to follow."""
        if isinstance(outcome, TransportError) or outcome.status not in _REDIRECTS or stats.redirects == MAX_REDIRECTS:
            return None
        target = redirect_url(request.url, outcome.header("location"), request.redirect_prefix)
        if target is None:
            return None
        if request.method != "GET" and not is_same_resource(request.url, target):
            return None
        url, _, query = target.partition("?")
        # If the Location has no query, keep that of the request: without it, the response would be another one.
        params = tuple(parse_qsl(query, keep_blank_values=True))
        return replace(request, url=url, params=request.params if request.method != "GET" else params or request.params)

    def _finish(self, outcome: Response | TransportError, stats: AttemptStats, delay: float | None) -> Response:
        if delay is not None:
            next_attempt_at = self.budget.clock.now() + timedelta(seconds=min(delay, _MAX_DELAY))
            stats = stats._replace(next_delay=delay, next_attempt_at=next_attempt_at)
        outcome.stats = stats
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome
