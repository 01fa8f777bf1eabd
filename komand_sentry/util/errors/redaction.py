"""What may be quoted in a log line, an error or an output: no secrets, one line, limited length."""

import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

MASK = "********"
_TOKEN = re.compile(r"sntry[a-z]_[A-Za-z0-9+/=_-]+|\b[0-9a-f]{64}\b")
MAX_NAME_LENGTH = 100
MAX_LISTED = 20
MAX_QUOTE_LENGTH = 500
# Tokens and keys of Sentry are longer. Replacing a shorter text would make the rest unreadable.
MIN_SECRET_LENGTH = 5
# The rule of the runtime's OutputMasker: a text is masked if it holds more than this share of the secret.
_MASK_THRESHOLD = 0.8
_MAX_MASK_ROUNDS = 50
_WHITE_SPACE = re.compile(r"\s+")
# Servers and proxies do not decode a text more often than this.
_MAX_PERCENT_ROUNDS = 3
# JSON escapes that can hide a character of a secret from a search of the raw text.
_ESCAPED_ASCII = re.compile(rb"\\(?:u00[2-7]|/)")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret in a text by asterisks. If a secret is percent-encoded, decode the text first."""
    # Longest first: replacing a shorter secret that is a part of a longer one would leave the rest of that.
    secrets = sorted((secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH), key=len, reverse=True)
    for secret in secrets:
        text = text.replace(secret, MASK)
    decoded = text
    for _ in range(_MAX_PERCENT_ROUNDS if "%" in text else 0):
        decoded = unquote(decoded)
        if any(secret in decoded for secret in secrets):
            return redact(decoded, secrets)
    return text


def redact_tokens(text: str) -> str:
    """Replace what looks like a Sentry token, which a user may have put into another input by mistake."""
    return _TOKEN.sub(MASK, text)


@dataclass(frozen=True)
class RedactingLogger:
    """The log of a step. Redacts secrets, because the log is visible to everyone who can see the job.

    :param secrets: to replace in each line
    """

    logger: logging.Logger = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def info(self, text: str) -> None:
        """Log a line at level INFO."""
        self._write(self.logger.info, text)

    def warning(self, text: str) -> None:
        """Log a line at level WARNING."""
        self._write(self.logger.warning, text)

    def _write(self, write: Callable[[str], None], text: str) -> None:
        text = redact(text, self.secrets)
        try:
            write(text)
        except UnicodeEncodeError:
            # `run` logs in the encoding of the terminal. A step must not fail because of it.
            write(text.encode("ascii", "backslashreplace").decode())


def sanitize(text: str) -> str:
    """An untrusted text for use in a message: printable, on one line, at most MAX_NAME_LENGTH characters."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[:MAX_NAME_LENGTH]}..."


def join_truncated(items: tuple[str, ...]) -> str:
    """Join untrusted texts for use in a message: the first MAX_LISTED of them, and how many more there are."""
    more = len(items) - MAX_LISTED
    rest = f" and {more} more" if more > 0 else ""
    return (", ".join(map(sanitize, items[:MAX_LISTED])) or "none") + rest


def quote(text: str, secrets: Iterable[str] = ()) -> str:
    """A text of a server for use in an error: redacted, on one line, at most MAX_QUOTE_LENGTH characters."""
    text = _WHITE_SPACE.sub(" ", redact(text, secrets)).strip()
    # Truncate after redaction: a truncated secret would not be recognized.
    text = "".join(character if character.isprintable() else "?" for character in text[: MAX_QUOTE_LENGTH + 1])
    return text if len(text) <= MAX_QUOTE_LENGTH else f"{text[:MAX_QUOTE_LENGTH]}..."


def mask_secret(value: Any, secret: str, raw: bytes) -> Any:
    """Mask a secret in all texts of a JSON value, by the same rule as the runtime's OutputMasker.

    :param raw: the JSON that the value was parsed from. It is searched first, which costs almost nothing
    """
    shortest = secret[: int(len(secret) * _MASK_THRESHOLD) + 1]
    as_json = json.dumps(shortest)[1:-1].encode()
    if not secret or (as_json not in raw and not _ESCAPED_ASCII.search(raw)):
        return value
    return _mask(value, secret, shortest)


def _mask(value: Any, secret: str, shortest: str) -> Any:
    if isinstance(value, dict):
        return {key: _mask(item, secret, shortest) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask(item, secret, shortest) for item in value]
    if not isinstance(value, str):
        return value
    for _ in range(_MAX_MASK_ROUNDS):
        found = shortest in value and _longest_subsequence(secret, value)
        if not found or len(found) / len(secret) <= _MASK_THRESHOLD:
            break
        value = value.replace(found, MASK)
    return value


def _longest_subsequence(secret: str, text: str) -> str:
    """The longest prefix of the secret whose characters occur in the text in this order."""
    position = 0
    for length, character in enumerate(secret):
        position = text.find(character, position) + 1
        if not position:
            return secret[:length]
    return secret
