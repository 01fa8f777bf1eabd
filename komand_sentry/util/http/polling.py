"""Wait for the effect of an asynchronous request by asking for it again and again, within the time budget of a step."""

from collections.abc import Callable
from typing import TypeVar

from komand_sentry.util.http.time_budget import MIN_ATTEMPT_SECONDS, TimeBudget

T = TypeVar("T")

# Sentry allows one look-up of an event per second.
MIN_POLL_SECONDS = 1.0
MAX_POLL_SECONDS = 5.0


def poll(ask: Callable[[], T | None], budget: TimeBudget) -> T | None:
    """Ask at least once, until there is an answer. Prompt responses count as waiting, too.

    :param ask: returns None as long as there is no answer
    :returns: the answer, None if the time ends before
    """
    end = budget.clock.monotonic() + budget.left
    pause = MIN_POLL_SECONDS
    while (answer := ask()) is None:
        left = min(end - budget.clock.monotonic(), budget.left) - MIN_ATTEMPT_SECONDS
        if left < MIN_POLL_SECONDS or budget.is_overdue:
            return None
        budget.pause(min(pause, left))
        pause = min(pause * 2, MAX_POLL_SECONDS)
    return answer
