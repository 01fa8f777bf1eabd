"""Extract the message of a server about a failure from the body of its response."""

import html
import json
import re
from typing import Any

from komand_sentry.util.errors.redaction import quote, redact
from komand_sentry.util.http.messages import MAX_ERROR_BYTES, MAX_ERROR_VALUES, Response

_MAX_DEPTH = 4
_MAX_ITEMS = 20
_MAX_PAGE_BYTES = 100_000
# Each pattern visits a character once, so no body takes long.
_HTML_TITLE = re.compile(r"<title(?:\s[^<>]*)?>([^<]*)</title>", re.I)
_HTML = re.compile(r"^\ufeff?\s*(<!doctype html|<html|<head|<\?xml)", re.I)
_LOGIN = re.compile(r"(?<![a-z])(?:(?:log|sign)[ _-]?(?:in|on)|single sign|sso)(?![a-z])|type=[\"']?password", re.I)


def server_message(response: Response, secrets: tuple[str, ...] = ()) -> str:
    """The message of a response as one line: Sentry's JSON errors as a sentence, the title of an HTML page, or text.

    Secrets are redacted. Sentry's errors are `{"detail": text, list or object}`, maps of field names to lists, and JSON
    within a JSON string.
    """
    # A successful response of the wrong form may be large. Its start is sufficient as a message.
    if len(response.body) <= MAX_ERROR_BYTES and response.json_values <= MAX_ERROR_VALUES:
        try:
            return quote(_message_of(response.json()), secrets)
        except (ValueError, RecursionError):
            pass
    text = response.body[:_MAX_PAGE_BYTES].decode("utf-8", errors="replace")
    if len(response.body) > _MAX_PAGE_BYTES:
        # The end may be a part of a secret, which would not be recognized.
        text = redact(text, secrets)[: -max([1, *map(len, secrets)])]
    return quote(_html_title(text) if _HTML.search(text) else text, secrets)


def message_and_location(response: Response, secrets: tuple[str, ...]) -> str:
    """The server's message, and the Location header if the response is a redirect."""
    message = server_message(response, secrets)
    location = response.header("location")
    if not location:
        return message
    end = "." if message and message[-1] not in ".?!" else ""
    return f"{message}{end} Location: {quote(location, secrets)}".strip()


def is_html(response: Response) -> bool:
    """Whether the body is an HTML page, regardless of its content type."""
    return bool(_HTML.search(response.body[:1000].decode("utf-8", errors="replace")))


def is_login_page(response: Response) -> bool:
    """Whether the response is a login page or a redirect to one."""
    if _LOGIN.search(response.header("location")):
        return True
    page = response.body[:_MAX_PAGE_BYTES].decode("utf-8", errors="replace")
    return is_html(response) and bool(_LOGIN.search(page))


def _message_of(value: Any, depth: int = 0) -> str:
    if depth > _MAX_DEPTH:
        return json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, str):
        try:
            return _message_of(json.loads(value), depth + 1) if value.startswith("{") else value
        except ValueError:
            return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_message_of(item, depth + 1) for item in value[:_MAX_ITEMS])))
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    for key in ("detail", "message", "error", "info"):
        if value.get(key):
            message = _message_of(value[key], depth + 1)
            causes = _message_of(value["causes"], depth + 1) if value.get("causes") else ""
            return f"{message} ({causes})" if causes else message
    return "; ".join(f"{key}: {_message_of(item, depth + 1)}" for key, item in list(value.items())[:_MAX_ITEMS])


def _html_title(text: str) -> str:
    title = _HTML_TITLE.search(text)
    return f"An HTML page{': ' + html.unescape(title[1]).strip() if title and title[1].strip() else ''}"
