"""Failures of polls: which of them end by themselves, and what the log says."""

from dataclasses import dataclass, field

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    ConnectionFailed,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ResponseError,
    Unauthorized,
)
from komand_sentry.util.http.client import Log
from komand_sentry.util.http.retry import TRANSIENT_STATUSES
from komand_sentry.util.http.time_budget import Clock
from komand_sentry.util.trigger.dispatcher import NotAccepted

# A failure that only the user can end is logged this often.
REMINDER_SECONDS = 3600.0
# A record that fails in so many polls, although its list can be read, must not block the others for good.
MAX_RECORD_FAILURES = 3
MAX_TRANSIENT_FAILURES = 10
_PERMANENT = (Unauthorized, Forbidden, NotFound, BadRequest, InvalidInput)
# Texts can differ without end, such as by a time.
_MAX_TEXTS = 100


class StateNotStored(Exception):
    """The state could not be stored. The text says why."""


class NotFoundYet(Exception):
    """A record was listed, but does not exist. The next poll asks again, because Sentry is not always consistent."""


_OF_EVERY_RECORD = (Unauthorized, RateLimited, StateNotStored, NotFoundYet)


def failure_limit(failure: Exception) -> int | None:
    """In how many polls a record fails before it is sent without its details.

    :returns: None if the failure does not concern the record, so it is tried again without end
    """
    if isinstance(failure, NotAccepted):
        return MAX_RECORD_FAILURES if failure.is_about_message else None
    if isinstance(failure, _OF_EVERY_RECORD):
        return None
    is_transient = isinstance(failure, ResponseError) and failure.status_code in TRANSIENT_STATUSES
    return MAX_TRANSIENT_FAILURES if is_transient or isinstance(failure, ConnectionFailed) else MAX_RECORD_FAILURES


def explain(failure: Exception) -> str:
    """A failure as text, without secrets: exceptions of other types could quote a request."""
    if isinstance(failure, PluginException):
        return f"{failure.cause} {getattr(failure, 'advice', '') or failure.assistance}"
    if isinstance(failure, NotAccepted):
        return f"The orchestrator did not accept the message: {failure}"
    if isinstance(failure, StateNotStored):
        return f"The state cannot be stored: {failure}. Check the cache volume of the plugin."
    if isinstance(failure, NotFoundYet):
        return str(failure)
    return f"Unexpected {type(failure).__name__}. Report this as a defect of the plugin."


@dataclass
class FailureLog:
    """Logs each failure, but one that only the user can end once an hour."""

    log: Log
    clock: Clock
    _logged: dict[str, float] = field(default_factory=dict, repr=False)

    def add(self, failure: Exception, delay: float) -> None:
        """Log a failed poll.

        :param delay: seconds until the next one
        """
        text, now = explain(failure), self.clock.monotonic()
        if isinstance(failure, _PERMANENT) and now - self._logged.get(text, -REMINDER_SECONDS) < REMINDER_SECONDS:
            return
        self._logged = {text: now} if len(self._logged) > _MAX_TEXTS else {**self._logged, text: now}
        self.log.warning(f"The poll failed. {text} Next poll in {delay:.0f} s.")

    def clear(self) -> None:
        """Forget all failures, because a poll succeeded."""
        self._logged = {}
