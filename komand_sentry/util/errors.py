"""What went wrong, for the person whose step failed: what happened, why, and what to do.

Pure: from a response or a failure to the exception that InsightConnect shows as cause, assistance and data.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from insightconnect_plugin_runtime.exceptions import APIException, PluginException

from komand_sentry.util.exchange import Response, Unreachable

LONGEST_WORDS = 500
LONGEST_NAME = 100
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
_HTML = re.compile(r"^\ufeff?\s*(<!doctype html|<html|<head|<\?xml)", re.I)
_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Target:
    """What a request was about, in the words of its error messages.

    :param name: such as `issue 123`, with the article where one is needed
    :param scope: the token scope that the request needs
    :param advice: what to check where Sentry does not find it
    """

    name: str
    scope: str = ""
    advice: str = "Check the URL of the connection."


@dataclass(frozen=True)
class _Explanation:
    cause: str
    assistance: str


_BY_STATUS = {
    400: _Explanation(
        "Sentry refused the request for {name} as invalid (400).",
        "The server's own words below say which input it did not accept. Correct that input and run the step again.",
    ),
    401: _Explanation(
        "Sentry did not accept the token (401).",
        "Check that the token of the connection was copied whole, has not expired or been revoked, and was made on "
        "the server that the connection's URL names.",
    ),
    403: _Explanation(
        "The token may not access {name} (403).",
        "Give the token the scope {scope}, and check that its user or integration is a member of the organization "
        "and of a team of the project. Organization tokens (sntrys_...) never have this scope: use a user token or "
        "an internal integration.",
    ),
    404: _Explanation("Sentry found no {name} (404).", "{advice}"),
    409: _Explanation(
        "Sentry is already changing {name} (409).",
        "Another change is under way. Wait a moment and run the step again.",
    ),
    410: _Explanation(
        "This server no longer has the endpoint for {name} (410).",
        "Run the step again later, since Sentry first turns a retired endpoint off for a short time only. If it "
        "persists, update the plugin.",
    ),
    413: _Explanation(
        "What was sent for {name} is too large for Sentry (413).",
        "Sentry takes events of up to 1 MiB. Send less: shorten extra, breadcrumbs, contexts or stack traces.",
    ),
    429: _Explanation(
        "Sentry limits the rate of requests and refused {name} (429).",
        "Wait {wait} and run the step again. If it happens often, run fewer steps at a time or ask for less.",
    ),
}
_INGESTION_BY_STATUS = {
    400: _Explanation(
        "Sentry refused {name} as invalid (400).",
        "The server's own words below say what it did not accept. Check the event, sentry_version (7 is current) and "
        "that project number and key of the DSN belong together.",
    ),
    401: _Explanation(
        "Sentry did not accept the key of the DSN (401).",
        "Copy the DSN anew from the settings of the project, Client Keys (DSN), and check that the key is enabled "
        "there. A DSN with a secret key must have the right one or none.",
    ),
    403: _Explanation(
        "Sentry refused {name} (403).",
        "Either the key of the DSN is unknown, disabled or of another project, or an inbound filter or an event with "
        "the same ID stood against it. Check the DSN in the settings of the project, Client Keys (DSN).",
    ),
}
_SERVER_ERROR = _Explanation(
    "The Sentry server failed on {name} ({status}).",
    "This is a fault or an overload of the server or of a proxy before it, not of the input. Run the step again "
    "later. If it persists, look at the server's log or at https://status.sentry.io.",
)
_REDIRECT = _Explanation(
    "The server answered the request for {name} with a redirect to another address ({status}).",
    "A redirect is not followed, because it could lead the token astray. Check the URL of the connection (https, "
    "host, path prefix) and the slugs: a renamed project answers so.",
)
_OTHER = _Explanation(
    "Sentry answered the request for {name} with the unexpected status {status}.",
    "Check the URL of the connection. The server's own words below may say more.",
)

# Kind of failure, as transport.py names it -> what it means.
UNREACHABLE = {
    "dns": _Explanation(
        "The name {host} could not be resolved.",
        "Check the host for a typing mistake, and that the orchestrator can resolve the name.",
    ),
    "refused": _Explanation(
        "{host} refused the connection.",
        "Check the port, that the server is up, and that a firewall lets the orchestrator through.",
    ),
    "timeout": _Explanation(
        "{host} did not answer in time.",
        "Check that the server is up and that a firewall lets the orchestrator through, or run the step again later.",
    ),
    "tls": _Explanation(
        "No secure connection to {host} could be made.",
        "The server's certificate could not be verified, or it does not speak TLS at this port. For a certificate "
        "of your own authority, point REQUESTS_CA_BUNDLE at it. For a test server only, turn ssl_verify off.",
    ),
    "proxy": _Explanation(
        "The proxy on the way to {host} could not be used.",
        "Check the settings HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the orchestrator, and the proxy itself.",
    ),
    "lost": _Explanation(
        "{host} closed the connection before it answered.",
        "Run the step again. If it persists, check that host, port and scheme (https or http) of the URL belong "
        "together, and look for a proxy or a firewall that ends connections.",
    ),
    "cut off": _Explanation(
        "The response of {host} ended before it was complete.",
        "Run the step again. If it persists, look for a proxy that cuts responses off.",
    ),
    "request": _Explanation(
        "The request to {host} could not be made.",
        "Check the URL, the token and the DSN for characters that do not belong there.",
    ),
    "connection": _Explanation(
        "The connection to {host} failed.",
        "Check the network between the orchestrator and the server, and run the step again.",
    ),
}


def shown(text: str) -> str:
    """A text of the input as it can stand in a message: on one line and not too long."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def input_error(cause: str, assistance: str) -> PluginException:
    """An error of the step's own input. Neither text may quote a secret."""
    return PluginException(cause=cause, assistance=assistance)


def not_a_sentry(response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For whatever stands at the connection's URL in place of Sentry's API."""
    return APIException(
        cause="The URL of the connection is not the base URL of a Sentry server.",
        assistance="Give the address at which Sentry's web interface begins, such as https://sentry.io, "
        "https://de.sentry.io or https://sentry.example.com, and check that no login page or proxy stands before it.",
        data=_with_location(response, secrets),
        status_code=response.status,
    )


def unexpected_answer(target: Target, response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For a success whose body is not what Sentry sends: a login page, another service."""
    return APIException(
        cause=f"The answer to the request for {target.name} is not one of Sentry's.",
        assistance="Check that the URL of the connection is the base URL of a Sentry server and that no login page or "
        "proxy stands before it.",
        data=server_words(response, secrets),
        status_code=response.status,
    )


def response_error(target: Target, response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For a response of the web API that is not a success."""
    return _response_error(_BY_STATUS, target, response, secrets)


def ingestion_error(target: Target, response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For a response of the store or envelope endpoint that is not a success: there the DSN is what authorizes."""
    return _response_error(_BY_STATUS | _INGESTION_BY_STATUS, target, response, secrets)


def _response_error(
    explanations: dict[int, _Explanation], target: Target, response: Response, secrets: tuple[str, ...]
) -> APIException:
    known = explanations.get(response.status) or _by_class(response.status)
    facts = {
        "name": target.name,
        "scope": target.scope or "that the action needs",
        "advice": target.advice,
        "status": str(response.status),
        "wait": _wait_words(response),
    }
    return APIException(
        cause=known.cause.format_map(facts),
        assistance=known.assistance.format_map(facts),
        data=_with_location(response, secrets),
        status_code=response.status,
    )


def unreachable_error(host: str, failure: Unreachable) -> PluginException:
    known = UNREACHABLE.get(failure.kind, UNREACHABLE["connection"])
    return PluginException(
        cause=known.cause.format(host=host),
        assistance=known.assistance,
        data=failure.reason,
    )


def server_words(response: Response, secrets: tuple[str, ...] = ()) -> str:
    """What the server itself said: read as JSON whatever the content type, else as text, an HTML page by its title.

    Never raises; at most LONGEST_WORDS characters; the secrets are blacked out.
    """
    # Before anything is cut, or half a secret could stay; and once more after JSON's escapes are read.
    text = _blacked_out(response.body.decode("utf-8", errors="replace"), secrets)
    try:
        words = _words(json.loads(text))
    except (ValueError, RecursionError):
        words = _html_words(text) if _HTML.search(text) else text
    return _cut(words, secrets)


def _with_location(response: Response, secrets: tuple[str, ...]) -> str:
    words = server_words(response, secrets)
    location = response.header("location")
    return f"{words} Location: {_cut(location, secrets)}".strip() if location else words


def _by_class(status: int) -> _Explanation:
    if status >= 500:
        return _SERVER_ERROR
    return _REDIRECT if 300 <= status < 400 else _OTHER


def _words(value: Any, depth: int = 0) -> str:
    """Sentry's error bodies as a sentence: {"detail": text, list or object}, field maps, JSON within a JSON string."""
    if depth > 4:
        return json.dumps(value, default=str)[:LONGEST_WORDS]
    if isinstance(value, str):
        try:
            return _words(json.loads(value), depth + 1) if value.startswith("{") else value
        except ValueError:
            return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(item, depth + 1) for item in value[:20])))
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    for key in ("detail", "message", "error", "info"):
        if value.get(key):
            words = _words(value[key], depth + 1)
            causes = _words(value["causes"], depth + 1) if value.get("causes") else ""
            return f"{words} ({causes})" if causes else words
    return "; ".join(f"{key}: {_words(item, depth + 1)}" for key, item in list(value.items())[:20])


def _html_words(text: str) -> str:
    title = _HTML_TITLE.search(text)
    return f"An HTML page{': ' + title[1].strip() if title and title[1].strip() else ''}"


def _cut(words: str, secrets: tuple[str, ...]) -> str:
    words = _WHITE_SPACE.sub(" ", _blacked_out(words, secrets)).strip()
    words = "".join(character if character.isprintable() else "?" for character in words[: LONGEST_WORDS + 1])
    return words if len(words) <= LONGEST_WORDS else f"{words[:LONGEST_WORDS]}..."


def _blacked_out(words: str, secrets: tuple[str, ...]) -> str:
    for secret in filter(None, secrets):
        words = words.replace(secret, "********")
    return words


def _wait_words(response: Response) -> str:
    seconds = response.header("retry-after")
    return f"{seconds} seconds" if re.fullmatch("[0-9]{1,6}", seconds) else "a minute"
