"""Sends one request until it is answered for good: one loop around one send, within the budget of its action."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl

from komand_sentry.util.address import redirect_url
from komand_sentry.util.budget import Budget
from komand_sentry.util.errors import happening
from komand_sentry.util.exchange import MOST_REDIRECTS, Effort, Request, Response, Unreachable
from komand_sentry.util.meanwhile import meanwhile
from komand_sentry.util.retry import MOST_TRIES, wait_before_retry
from komand_sentry.util.transport import Transport

_REDIRECTS = (301, 302, 307, 308)


class Sender:
    """The sender of one action, which is never shared between two.

    :param say: writes a line into the log of the step
    :param jitter: gives a number from 0 to 1
    """

    def __init__(
        self,
        transport: Transport,
        budget: Budget,
        say: Callable[[str], None],
        jitter: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._budget = budget
        self.say = say
        self._jitter = jitter
        self._worked = 0.0

    @property
    def is_overdue(self) -> bool:
        return self._budget.is_overdue

    @contextmanager
    def meanwhile(self, do: Callable[[], object]) -> Iterator[None]:
        """As the function of that name; the time of what is done is not taken for time spent waiting."""

        def timed() -> None:
            started = self._budget.clock.monotonic()
            do()
            self._worked += self._budget.clock.monotonic() - started

        with meanwhile(timed):
            yield

    def send(self, request: Request, most_tries: int = MOST_TRIES) -> Response:
        """The response after all redirects and retries, which may be a refusal.

        :raises Unreachable: no complete response came
        """
        effort = Effort(requests=0)
        tries = 0
        outcome: Response | Unreachable | None = None
        while True:
            if not self._budget.left:
                return self._finished(Unreachable("spent", f"{self._budget.seconds:g} seconds"), effort, None)
            started, self._worked = self._budget.clock.monotonic(), 0.0
            outcome = self._attempt(request, fresh=isinstance(outcome, Unreachable))
            seconds = self._budget.clock.monotonic() - started - self._worked
            effort = effort._replace(requests=effort.requests + 1)
            if onward := self._redirected(request, outcome, effort):
                self._budget.charge(seconds, failed=True)
                request, effort = onward, effort._replace(redirects=effort.redirects + 1)
                continue
            tries += 1
            wait = wait_before_retry(request, outcome, tries, self._budget.clock.now(), self._jitter())
            self._budget.charge(seconds, failed=wait is not None or isinstance(outcome, Unreachable))
            # A try that needs no wait makes up for a connection that had gone stale, and does not count.
            if wait is None or (wait and tries >= most_tries) or not self._budget.allows(wait):
                return self._finished(outcome, effort, wait)
            if wait:
                self.say(f"Waiting {wait:.1f} s before try {tries + 1}: {happening(request.host, outcome)}")
            self._budget.pause(wait)
            effort = effort._replace(waited=effort.waited + wait)

    def _attempt(self, request: Request, fresh: bool) -> Response | Unreachable:
        try:
            return self._transport.send(request, self._budget.attempt_seconds, fresh)
        except Unreachable as failure:
            return failure

    def _redirected(self, request: Request, outcome: Response | Unreachable, effort: Effort) -> Request | None:
        """The request to send instead, with the same method, headers and body; None where there is nothing to follow.

        A redirect leads the token along, so it is followed within the API of the same server only.
        """
        if isinstance(outcome, Unreachable) or outcome.status not in _REDIRECTS or effort.redirects == MOST_REDIRECTS:
            return None
        url = redirect_url(request.url, outcome.header("location"))
        if url is None:
            return None
        address, _, query = url.partition("?")
        # A server that forgets the query would else answer another question than was asked.
        return replace(request, url=address, params=tuple(parse_qsl(query, keep_blank_values=True)) or request.params)

    def _finished(self, outcome: Response | Unreachable, effort: Effort, wait: float | None) -> Response:
        if wait is not None:
            effort = effort._replace(
                next_wait=wait, next_try=self._budget.clock.now() + timedelta(seconds=min(wait, 10.0**9))
            )
        if isinstance(outcome, Unreachable):
            outcome.effort = effort
            raise outcome
        return replace(outcome, effort=effort)
