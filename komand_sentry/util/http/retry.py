"""Retry policy: whether to send a request again, and after which delay. Pure: nothing here sends or sleeps.

RFC 9110, sections 9.2.2 (idempotent methods) and 10.2.3 (Retry-After).
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from komand_sentry.util.http.messages import FailureKind, Request, Response, TransportError

MAX_ATTEMPTS = 8
FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 16.0
# A server that asks for no delay at all still gets one.
MIN_SERVER_DELAY = 1.0

TOO_MANY_REQUESTS = 429
TRANSIENT_STATUSES = (502, 503, 504)
_TRANSIENT_FAILURES = (
    FailureKind.CLOSED,
    FailureKind.INCOMPLETE,
    FailureKind.TIMEOUT,
    FailureKind.REFUSED,
    FailureKind.DNS_TEMPORARY,
    FailureKind.PROXY,
    FailureKind.CONNECTION,
)
# The server cannot have acted on the request, so even a request that is not idempotent is safe to repeat.
_NOT_RECEIVED = (FailureKind.REFUSED, FailureKind.DNS_TEMPORARY)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def retry_delay(
    request: Request, outcome: Response | TransportError, attempts: int, server_delay: float | None, jitter: float
) -> float | None:
    """Decide on a retry.

    :param attempts: how often the request was sent
    :param server_delay: the seconds that the response asks for, None if it does not
    :param jitter: from 0 to 1, so that clients that failed together do not retry together
    :returns: the seconds to wait before the next attempt, None to give up
    """
    if isinstance(outcome, TransportError):
        return _delay_after_failure(request, outcome.kind, attempts, jitter)
    # A request that was refused for its rate had no effect, so its method does not matter.
    is_transient = outcome.status in TRANSIENT_STATUSES and request.is_idempotent
    if outcome.status != TOO_MANY_REQUESTS and not is_transient:
        return None
    if server_delay is None:
        return backoff_delay(attempts, jitter)
    return server_delay if server_delay >= MIN_SERVER_DELAY else max(backoff_delay(attempts, jitter), MIN_SERVER_DELAY)


def _delay_after_failure(request: Request, kind: FailureKind, attempts: int, jitter: float) -> float | None:
    if kind not in _TRANSIENT_FAILURES or not (request.is_idempotent or kind in _NOT_RECEIVED):
        return None
    if kind is FailureKind.CLOSED and attempts == 1:
        # Retry immediately: the pooled connection was closed by the server. Sentry 9 closes each one after its response
        # without saying so.
        return 0.0
    return backoff_delay(attempts, jitter)


def backoff_delay(attempts: int, jitter: float) -> float:
    """1, 2, 4 ... 16 seconds after the first, second, third ... attempt, reduced by up to a half."""
    whole = min(FIRST_BACKOFF_SECONDS * 2.0 ** (min(attempts, 30) - 1), MAX_BACKOFF_SECONDS)
    return whole * (1.0 - jitter / 2.0)


def retry_after(header: str, now: datetime) -> float | None:
    """Parse a Retry-After header, which is a number of seconds or an HTTP date; None if it is neither."""
    seconds = parse_seconds(header)
    if seconds is not None or not header:
        return seconds
    try:
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max((moment - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def parse_seconds(text: str, max_digits: int = 9) -> float | None:
    """Parse a non-negative decimal number; None if the text is not one or has too many digits."""
    is_number = _SECONDS.fullmatch(text) or re.fullmatch(f"[0-9]{{1,{max_digits}}}", text)
    return float(text) if is_number else None


def describe_failure(host: str, outcome: Response | TransportError) -> str:
    """Why a request is sent again, as a sentence for the log."""
    if isinstance(outcome, TransportError):
        return outcome.kind.describe(host)
    if outcome.status == TOO_MANY_REQUESTS:
        return f"{host} limits the rate of requests (429)."
    return f"{host} failed ({outcome.status})."
