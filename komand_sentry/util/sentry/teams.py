"""Teams of an organization."""

from dataclasses import dataclass

from komand_sentry.util.sentry.api import API


@dataclass(frozen=True)
class Teams:
    """https://docs.sentry.io/api/teams/"""

    api: API
