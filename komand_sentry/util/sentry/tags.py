"""Tags of issues and their values."""

from dataclasses import dataclass

from komand_sentry.util.sentry.api import API


@dataclass(frozen=True)
class Tags:
    """https://docs.sentry.io/api/events/"""

    api: API
