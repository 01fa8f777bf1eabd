"""Changes of several issues at once."""

from dataclasses import dataclass

from komand_sentry.util.sentry.api import API


@dataclass(frozen=True)
class Bulk:
    """https://docs.sentry.io/api/events/"""

    api: API
