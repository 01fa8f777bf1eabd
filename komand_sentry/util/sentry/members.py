"""Members of an organization."""

from dataclasses import dataclass

from komand_sentry.util.sentry.api import API


@dataclass(frozen=True)
class Members:
    """https://docs.sentry.io/api/organizations/"""

    api: API
