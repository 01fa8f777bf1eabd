"""Whether to send a request again, and how long to wait before. Pure: nothing here waits or sends.

https://develop.sentry.dev/sdk/expected-features/rate-limiting/ , and RFC 9110 on Retry-After.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from komand_sentry.util.exchange import Request, Response, Unreachable

MOST_TRIES = 8
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 16.0
# A server that asks to be left alone for no time at all is not to be asked at once all the same.
SHORTEST_HINTED_SECONDS = 1.0

_RATE_LIMITED = 429
_TRANSIENT = (502, 503, 504)
# The kinds of failure that pass by themselves, and those of them where the server cannot have acted on the request.
_PASSING = ("lost", "cut off", "timeout", "refused", "resolver", "proxy", "connection")
_NOT_ACTED_ON = ("refused", "resolver")

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def wait_before_retry(
    request: Request, outcome: Response | Unreachable, tries: int, now: datetime, jitter: float
) -> float | None:
    """The seconds to wait before the request is sent again, or None to give up.

    :param tries: how often it was sent
    :param now: with a time zone
    :param jitter: from 0 to 1, so that those who failed together do not come back together
    """
    if isinstance(outcome, Unreachable):
        return _wait_after_failure(request, outcome.kind, tries, jitter)
    # Refused for its rate, a request was not acted on, whatever it is.
    if outcome.status == _RATE_LIMITED or (outcome.status in _TRANSIENT and request.is_repeatable):
        hint = hinted_seconds(outcome, now, jitter)
        if hint is None:
            return backoff_seconds(tries, jitter)
        return hint if hint >= SHORTEST_HINTED_SECONDS else max(backoff_seconds(tries, jitter), SHORTEST_HINTED_SECONDS)
    return None


def _wait_after_failure(request: Request, kind: str, tries: int, jitter: float) -> float | None:
    if kind not in _PASSING or not (request.is_repeatable or kind in _NOT_ACTED_ON):
        return None
    if kind == "lost" and tries == 1:
        # A server may close a kept-alive connection at the very moment that it is used again; Sentry 9 closes each
        # one after its response, without saying so. Nothing is wrong then, and nothing to wait for.
        return 0.0
    return backoff_seconds(tries, jitter)


def backoff_seconds(tries: int, jitter: float) -> float:
    """1, 2, 4, 8 seconds and so on after the first, second ... try, shortened by up to a half."""
    whole = min(FIRST_BACKOFF_SECONDS * 2.0 ** (min(tries, 30) - 1), LONGEST_BACKOFF_SECONDS)
    return whole * (1.0 - jitter / 2.0)


def hinted_seconds(response: Response, now: datetime, jitter: float = 0.0) -> float | None:
    """How long the server itself asks to be left alone, None where it does not say."""
    seconds = _retry_after(response.header("retry-after").strip(), now)
    if seconds is None:
        seconds = _ingestion_limits(response.header("x-sentry-rate-limits"))
    if seconds is not None or response.status != _RATE_LIMITED:
        # Every answer of the web API says when the window ends, also those that have nothing to do with it.
        return seconds
    seconds = _reset_time(response.header("x-sentry-rate-limit-reset").strip(), now)
    # It ends for everybody at once, who are not to come back together.
    return None if seconds is None else seconds + jitter


def _retry_after(header: str, now: datetime) -> float | None:
    """Seconds or an HTTP date."""
    seconds = _seconds(header)
    if seconds is not None or not header:
        return seconds
    try:
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max((moment - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _ingestion_limits(header: str) -> float | None:
    """`60:error;transaction:organization, 2700::key`: the longest of the limits on errors or on everything."""
    waits = []
    for limit in header.split(","):
        seconds, _, rest = limit.partition(":")
        categories = {category.strip() for category in rest.partition(":")[0].split(";")} - {""}
        wait = _seconds(seconds.strip())
        if wait is not None and (not categories or {"error", "default"} & categories):
            waits.append(wait)
    return max(waits, default=None)


def _reset_time(header: str, now: datetime) -> float | None:
    """Seconds since 1970 at which the window of the limit ends."""
    moment = _seconds(header.partition(".")[0] if header.count(".") == 1 else header, digits=12)
    return None if moment is None else max(moment - now.timestamp(), 0.0)


def _seconds(text: str, digits: int = 9) -> float | None:
    return float(text) if _SECONDS.fullmatch(text) or re.fullmatch(f"[0-9]{{1,{digits}}}", text) else None
