"""Comments on issues."""

from dataclasses import dataclass

from komand_sentry.util.sentry.api import API


@dataclass(frozen=True)
class Comments:
    """https://docs.sentry.io/api/events/"""

    api: API
