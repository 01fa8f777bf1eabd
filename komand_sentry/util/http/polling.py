"""Poll for the result of an asynchronous operation, within the time budget of a step."""

from collections.abc import Callable
from typing import TypeVar

from komand_sentry.util.http.time_budget import MIN_ATTEMPT_SECONDS, TimeBudget

T = TypeVar("T")

# Sentry allows one lookup of an event per second.
MIN_POLL_SECONDS = 1.0
MAX_POLL_SECONDS = 5.0


def poll(fetch: Callable[[], T | None], budget: TimeBudget) -> T | None:
    """Call a function at least once, until it returns a result or the time is spent. Its calls count as waiting, too.

    :param fetch: returns None if there is no result yet
    :returns: the result, None if there was none in time
    """
    end = budget.clock.monotonic() + budget.left
    pause = MIN_POLL_SECONDS
    while (result := fetch()) is None:
        left = min(end - budget.clock.monotonic(), budget.left) - MIN_ATTEMPT_SECONDS
        if left < MIN_POLL_SECONDS or budget.is_overdue:
            return None
        budget.pause(min(pause, left))
        pause = min(pause * 2, MAX_POLL_SECONDS)
    return result
