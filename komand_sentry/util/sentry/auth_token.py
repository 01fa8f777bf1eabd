"""The type of an auth token, which its prefix shows. Tokens from before 2024 have no prefix.

https://docs.sentry.io/account/auth-tokens/
"""

import base64
import binascii
import json
import re
from typing import NamedTuple

from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.server import Server

# Longer than any Sentry token, shorter than what servers accept as a header.
MAX_TOKEN_LENGTH = 4000

_TYPES = {
    "sntryu_": "user token",
    "sntrys_": "organization token",
    "sntryi_": "token of an internal integration",
    "sntrya_": "token of an OAuth application",
}
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


class TokenType(NamedTuple):
    """The type of a token.

    :param name: of the type, for messages
    :param region: the base URL of the server that an organization token belongs to, "" if it names none
    """

    name: str
    region: str = ""

    @property
    def is_organization_token(self) -> bool:
        """Whether it is an organization token, which has the scope org:ci only."""
        return self.name == _TYPES["sntrys_"]


def is_valid_token(token: str) -> bool:
    """Whether the text can be sent as a bearer token."""
    is_text = token.isascii() and token.isprintable() and " " not in token
    return bool(token) and is_text and len(token) <= MAX_TOKEN_LENGTH


def token_type(token: str) -> TokenType:
    """Read the type of a token from its prefix. An unknown prefix is not an error."""
    for prefix, name in _TYPES.items():
        if token.startswith(prefix):
            return TokenType(name, _region_of(token) if prefix == "sntrys_" else "")
    if _HEXADECIMAL.fullmatch(token):
        return TokenType("token of a user or an internal integration, from before 2024")
    return TokenType("token of an unknown type")


def _region_of(token: str) -> str:
    """The region_url in `sntrys_{base64 of JSON}_{secret}`: https://develop.sentry.dev/backend/auth-tokens/"""
    payload = token.removeprefix("sntrys_").rpartition("_")[0]
    try:
        claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True))
        url = claims.get("region_url") or claims.get("url") or ""
        server = Server.parse(url if isinstance(url, str) else "")
        return "" if server.is_plain_http else server.base
    except (binascii.Error, ValueError, AttributeError, RecursionError, InvalidURL):
        return ""
