"""What a token tells of itself. Never a reason to refuse it: tokens of before 2024 tell nothing.

https://docs.sentry.io/account/auth-tokens/
"""

import base64
import binascii
import json
import re
from typing import NamedTuple

from komand_sentry.util.address import Server, UnusableAddress

# Longer than any that Sentry makes, shorter than what servers take for a header.
LONGEST_TOKEN = 4000

_KINDS = {
    "sntryu_": "user token",
    "sntrys_": "organization token",
    "sntryi_": "token of an internal integration",
    "sntrya_": "token of an OAuth application",
}
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


class TokenKind(NamedTuple):
    """:param region: the base URL of the server that an organization token names as its own, "" where it names none"""

    name: str
    region: str = ""

    @property
    def is_of_organization(self) -> bool:
        return self.name == _KINDS["sntrys_"]


def token_kind(token: str) -> TokenKind:
    for prefix, name in _KINDS.items():
        if token.startswith(prefix):
            return TokenKind(name, _region_of(token) if prefix == "sntrys_" else "")
    if _HEXADECIMAL.fullmatch(token):
        return TokenKind("token of a user or an internal integration, in the form of before 2024")
    return TokenKind("token of a kind that does not show")


def _region_of(token: str) -> str:
    """`sntrys_{base64 of JSON}_{secret}`: the JSON's region_url, https://develop.sentry.dev/backend/auth-tokens/"""
    payload = token.removeprefix("sntrys_").rpartition("_")[0]
    try:
        facts = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True))
        url = facts.get("region_url") or facts.get("url") or ""
        server = Server.parse(url if isinstance(url, str) else "")
        return "" if server.is_in_the_clear else server.base
    except (binascii.Error, ValueError, AttributeError, RecursionError, UnusableAddress):
        return ""
