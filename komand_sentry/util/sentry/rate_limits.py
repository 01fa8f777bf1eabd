"""The delay that a Sentry server asks for before the next request.

Web API: https://docs.sentry.io/api/ratelimits/
Ingestion: https://develop.sentry.dev/sdk/expected-features/rate-limiting/
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from komand_sentry.util.http.messages import Response
from komand_sentry.util.http.retry import TOO_MANY_REQUESTS, parse_seconds, retry_after

# A Date header that differs more from the clock of this machine is not from a clock.
_MAX_CLOCK_DIFFERENCE = timedelta(days=1)


def server_retry_delay(response: Response, now: datetime, jitter: float = 0.0) -> float | None:
    """Seconds until the server accepts the next request; None if it does not say.

    :param now: with a time zone
    :param jitter: from 0 to 1
    """
    now = _server_time(response, now)
    seconds = retry_after(response.header("retry-after").strip(), now)
    if seconds is None:
        seconds = _ingestion_limit(response.header("x-sentry-rate-limits"))
    # Every response of the web API has the reset time, so it only counts if the request was rate-limited.
    if seconds is not None or response.status != TOO_MANY_REQUESTS:
        return seconds
    seconds = _until_reset(response.header("x-sentry-rate-limit-reset").strip(), now)
    # All clients share this reset time, so add jitter.
    return None if seconds is None else seconds + jitter


def _server_time(response: Response, now: datetime) -> datetime:
    """The time by the clock of the server, from which it computes the times in its headers; `now` if unknown."""
    date = response_time(response)
    return date if date and abs(date - now) <= _MAX_CLOCK_DIFFERENCE else now


def response_time(response: Response) -> datetime | None:
    """The time of a response by the clock of the server, None if unknown."""
    try:
        date = parsedate_to_datetime(response.header("date"))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _ingestion_limit(header: str) -> float | None:
    """The longest delay for errors or for all categories in `60:error;transaction:organization, 2700::key`."""
    delays = []
    for limit in header.split(","):
        seconds, _, rest = limit.partition(":")
        categories = {category.strip() for category in rest.partition(":")[0].split(";")} - {""}
        delay = parse_seconds(seconds.strip())
        if delay is not None and (not categories or {"error", "default"} & categories):
            delays.append(delay)
    return max(delays, default=None)


def _until_reset(header: str, now: datetime) -> float | None:
    """Seconds until a time given in seconds since 1970."""
    text = header.partition(".")[0] if header.count(".") == 1 else header
    reset = parse_seconds(text, max_digits=12)
    return None if reset is None else max(reset - now.timestamp(), 0.0)
