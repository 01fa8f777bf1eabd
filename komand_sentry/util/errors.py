"""What went wrong, for the person whose step failed: what happened, why, and what to do.

Pure: from a response or a failure to the exception that InsightConnect shows as cause, assistance and data.
"""

import json
import math
import re
import traceback
from typing import Any, NamedTuple

from insightconnect_plugin_runtime.exceptions import APIException, PluginException

from komand_sentry.util.exchange import MOST_REDIRECTS, Effort, Response, Unreachable

LONGEST_WORDS = 500
LONGEST_NAME = 100
MOST_LISTED = 20
# A shorter one is none of Sentry's, and without it the rest of the words could not be read.
LEAST_SECRET = 5
# Each looks at a character once, so that no body takes long.
_HTML_TITLE = re.compile(r"<title(?:\s[^<>]*)?>([^<]*)</title>", re.I)
_HTML = re.compile(r"^\ufeff?\s*(<!doctype html|<html|<head|<\?xml)", re.I)
_LOGIN = re.compile(r"(?<![a-z])(?:(?:log|sign)[ _-]?(?:in|on)|single sign|sso)(?![a-z])|type=[\"']?password", re.I)
_WHITE_SPACE = re.compile(r"\s+")


class Target(NamedTuple):
    """What a request was about, in the words of its error messages.

    :param name: such as `issue 123`, with the article where one is needed
    :param scope: the token scope that the request needs
    :param advice: what to check where Sentry does not find it
    """

    name: str
    scope: str = ""
    advice: str = "Check the URL of the connection."


class _Explanation(NamedTuple):
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
        "Run the step again later, since Sentry first turns a retired endpoint off for a short time only. For one "
        "issue, give its organization_slug: the endpoint of the organization stays. If it persists, update the plugin.",
    ),
    413: _Explanation(
        "What was sent for {name} is too large for Sentry (413).",
        "Sentry takes events of up to 1 MiB. Send less: shorten extra, breadcrumbs, contexts or stack traces.",
    ),
    414: _Explanation(
        "The address of the request for {name} is too long for Sentry or a proxy before it (414).",
        "Shorten the query, or what else is long among the inputs.",
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
_ORGANIZATION_TOKEN = _Explanation(
    "The connection's token is an organization token (sntrys_...), which may not access {name} (403).",
    "Sentry makes organization tokens for build pipelines only: they can neither list nor update issues. Give the "
    "connection a user token or the token of an internal integration with the scope {scope}.",
)
_FOREIGN_PAGE = _Explanation(
    "The request for {name} was answered with an HTML page ({status}), which is not one of Sentry's answers.",
    "A proxy, a firewall or a login page stands between the plugin and Sentry. The title of the page stands below. Let "
    "the orchestrator through, or check host and path of the URL or the DSN.",
)
# With which a page for people is no page of Sentry's own.
_FOREIGN_STATUSES = (400, 401, 403, 405, 406, 407, 451)
_SERVER_ERROR = _Explanation(
    "The Sentry server failed on {name} ({status}).",
    "This is a fault or an overload of the server or of a proxy before it, not of the input. Run the step again "
    "later. If it persists, look at the server's log or at https://status.sentry.io.",
)
_REDIRECT = _Explanation(
    "The server answered the request for {name} with a redirect to another address ({status}).",
    "A redirect is followed only within the API of the connection's own server, because it could lead the token "
    "astray. Where it led stands below: check the URL of the connection (https, host, port, path prefix).",
)
_REDIRECT_CIRCLE = _Explanation(
    "The server answered the request for {name} with one redirect after another ({status}).",
    "It seems to send requests in a circle. Check its configuration and that of a proxy before it.",
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
    "resolver": _Explanation(
        "The name {host} could not be resolved just now.",
        "The name server of the orchestrator did not answer. Check its network, and run the step again later.",
    ),
    "refused": _Explanation(
        "{host} refused the connection.",
        "Check the port, that the server is up, and that a firewall lets the orchestrator through.",
    ),
    "timeout": _Explanation(
        "{host} did not answer in time.",
        "Check that the server is up and that a firewall lets the orchestrator through, or run the step again later. "
        "For a server that is slow, give the connection a longer timeout.",
    ),
    "certificate": _Explanation(
        "The certificate of {host} could not be verified, so no secure connection could be made.",
        "For a certificate of your own authority, point REQUESTS_CA_BUNDLE at it. For a test server only, turn "
        "ssl_verify off.",
    ),
    "tls": _Explanation(
        "No secure connection to {host} could be made.",
        "The server does not speak TLS at this port, or in no version that is safe. Check the scheme (https or http) "
        "and the port of the URL.",
    ),
    "bundle": _Explanation(
        "The file of certificate authorities for {host} cannot be used.",
        "Check that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE of the orchestrator names a file that is there.",
    ),
    "proxy": _Explanation(
        "The proxy on the way to {host} could not be used.",
        "Check the settings HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the orchestrator, and the proxy itself.",
    ),
    "proxy refused": _Explanation(
        "The proxy on the way to {host} refused to connect to it.",
        "Its answer stands below. Check user and password in HTTPS_PROXY of the orchestrator, and that the proxy lets "
        "it through to this host.",
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
    "garbled": _Explanation(
        "The response of {host} could not be read.",
        "What answers there does not speak HTTP as Sentry does, or compresses its response in a broken way. Check host "
        "and port of the URL, and look for a proxy that changes responses.",
    ),
    "too large": _Explanation(
        "The response of {host} is larger than the plugin takes.",
        "Ask for less at a time: give a limit below 100, and for events full false.",
    ),
    "spent": _Explanation(
        "The step has used up the time that it may wait for {host}.",
        "The server answers slowly or limits the rate of requests. Run the step again later, ask for less at a time, "
        "or give the connection a longer timeout.",
    ),
    "request": _Explanation(
        "The request to {host} could not be made.",
        "Check the URL, the token and the DSN for characters that do not belong there, and that HTTPS_PROXY names no "
        "SOCKS proxy, which is not supported.",
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


def listed(items: tuple[str, ...]) -> str:
    """Texts of a server as they can stand in a message: the first of them, and how many more there are."""
    more = len(items) - MOST_LISTED
    rest = f" and {more} more" if more > 0 else ""
    return (", ".join(map(shown, items[:MOST_LISTED])) or "none") + rest


def forget_frames(failure: BaseException) -> None:
    """Empties the calls that a failure came by. It keeps them, the runtime keeps it beyond the end of the step, and
    they would keep pages of megabytes.
    """
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [failure]
    while queue:
        error = queue.pop()
        if error is not None and error not in seen:
            seen.append(error)
            traceback.clear_frames(error.__traceback__)
            queue += [error.__cause__, error.__context__]


def input_error(cause: str, assistance: str) -> PluginException:
    """An error of the step's own input. Neither text may quote a secret."""
    return PluginException(cause=cause, assistance=assistance)


_NO_SENTRY = _Explanation(
    "The URL of the connection is not the base URL of a Sentry server.",
    "Give the address at which Sentry's web interface begins, such as https://sentry.io, https://de.sentry.io or "
    "https://sentry.example.com, and check that no login page or proxy stands before it.",
)
_LOGIN_PAGE = _Explanation(
    "The URL of the connection leads to a login page and is not the base URL of a Sentry server.",
    "A login (single sign-on, an identity-aware proxy) stands before Sentry, or the path of the URL is wrong. Give the "
    "address at which Sentry's web interface begins, and let the orchestrator reach its /api/ without that login.",
)
_PROXY_PAGE = _Explanation(
    "An HTML page came in place of the answer of Sentry's API.",
    "A proxy or a firewall answered, or another web server stands at the URL of the connection. The title of the page "
    "stands below. Check HTTPS_PROXY and NO_PROXY of the orchestrator, and the host and path of the URL.",
)


def not_a_sentry(response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For whatever stands at the connection's URL in place of Sentry's API."""
    page = response.body[:100_000].decode("utf-8", errors="replace")
    known = _NO_SENTRY
    if _LOGIN.search(response.header("location")) or (is_html(response) and _LOGIN.search(page)):
        known = _LOGIN_PAGE
    elif is_html(response):
        known = _PROXY_PAGE
    return APIException(
        cause=known.cause,
        assistance=known.assistance,
        data=_with_location(response, secrets),
        status_code=response.status,
    )


def useless_token(scopes: tuple[str, ...], organization_token: bool) -> PluginException:
    """For a token that is accepted and allows no action that uses it."""
    kind = " It is an organization token, which Sentry makes for build pipelines only." if organization_token else ""
    return PluginException(
        cause=f"Sentry accepts the token, but it allows neither to list nor to update issues.{kind}",
        assistance="Give the connection a user token or the token of an internal integration, with the scopes "
        "event:read (for listing) and event:write (for updating).",
        data=f"Scopes of the token: {listed(scopes)}",
    )


def is_html(response: Response) -> bool:
    """Whether the body is a page for people, whatever its content type says."""
    return bool(_HTML.search(response.body[:1000].decode("utf-8", errors="replace")))


def unexpected_answer(target: Target, response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For a success whose body is not what Sentry sends: a login page, another service."""
    return APIException(
        cause=f"The answer to the request for {target.name} is not one of Sentry's.",
        assistance="Check that the URL of the connection is the base URL of a Sentry server and that no login page or "
        "proxy stands before it.",
        data=server_words(response, secrets),
        status_code=response.status,
    )


def broken_listing(target: Target, problem: str, response: Response, secrets: tuple[str, ...]) -> APIException:
    """For pages that lead nowhere."""
    return APIException(
        cause=f"The list of {target.name} cannot be read to its end: {problem}.",
        assistance="This is a fault of the server or of a proxy before it. A limit below 100 reads one page only.",
        data=_cut(response.header("link"), secrets),
        status_code=response.status,
    )


def response_error(
    target: Target, response: Response, secrets: tuple[str, ...] = (), organization_token: bool = False
) -> APIException:
    """For a response of the web API that is not a success.

    :param organization_token: the token is one, and so lacks the scope for good
    """
    explanations = _BY_STATUS
    if organization_token:
        explanations = explanations | {403: _ORGANIZATION_TOKEN}
    return _response_error(explanations, target, response, secrets)


def ingestion_error(target: Target, response: Response, secrets: tuple[str, ...] = ()) -> APIException:
    """For a response of the store or envelope endpoint that is not a success: there the DSN is what authorizes."""
    return _response_error(_BY_STATUS | _INGESTION_BY_STATUS, target, response, secrets)


def _response_error(
    explanations: dict[int, _Explanation], target: Target, response: Response, secrets: tuple[str, ...]
) -> APIException:
    known = explanations.get(response.status) or _by_class(response)
    if response.status in _FOREIGN_STATUSES and is_html(response):
        known = _FOREIGN_PAGE
    facts = {
        "name": target.name,
        "scope": target.scope or "that the action needs",
        "advice": target.advice,
        "status": str(response.status),
        "wait": _duration(response.effort.next_wait or 60),
    }
    return APIException(
        cause=known.cause.format_map(facts),
        assistance=known.assistance.format_map(facts) + _effort_words(response.effort),
        data=_with_location(response, secrets),
        status_code=response.status,
    )


def unreachable_error(host: str, failure: Unreachable) -> PluginException:
    known = UNREACHABLE.get(failure.kind, UNREACHABLE["connection"])
    return PluginException(
        cause=known.cause.format(host=host),
        assistance=known.assistance + _effort_words(failure.effort),
        data=shown(failure.reason),
    )


def server_words(response: Response, secrets: tuple[str, ...] = ()) -> str:
    """What the server itself said: read as JSON whatever the content type, else as text, an HTML page by its title.

    Never raises; at most LONGEST_WORDS characters; the secrets are blacked out.
    """
    text = response.body.decode("utf-8", errors="replace")
    try:
        words = _words(json.loads(text))
    except (ValueError, RecursionError):
        words = _html_words(text) if _HTML.search(text) else text
    return _cut(words, secrets)


def _with_location(response: Response, secrets: tuple[str, ...]) -> str:
    words = server_words(response, secrets)
    location = response.header("location")
    if not location:
        return words
    end = "." if words and words[-1] not in ".?!" else ""
    return f"{words}{end} Location: {_cut(location, secrets)}".strip()


def _by_class(response: Response) -> _Explanation:
    if response.status >= 500:
        return _SERVER_ERROR
    if 300 <= response.status < 400:
        return _REDIRECT_CIRCLE if response.effort.redirects == MOST_REDIRECTS else _REDIRECT
    return _OTHER


def _words(value: Any, depth: int = 0) -> str:
    """Sentry's error bodies as a sentence: {"detail": text, list or object}, field maps, JSON within a JSON string."""
    if depth > 4:
        # Cut later, when the secrets are blacked out: half of one is one too.
        return json.dumps(value, default=str, ensure_ascii=False)
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
    words = _WHITE_SPACE.sub(" ", blacked_out(words, secrets)).strip()
    words = "".join(character if character.isprintable() else "?" for character in words[: LONGEST_WORDS + 1])
    return words if len(words) <= LONGEST_WORDS else f"{words[:LONGEST_WORDS]}..."


def blacked_out(words: str, secrets: tuple[str, ...]) -> str:
    """The words without the secrets."""
    # A shorter one may be a part of a longer one, whose rest would stay.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET:
            words = words.replace(secret, "********")
    return words


def happening(host: str, outcome: Response | Unreachable) -> str:
    """Why a request is sent again, for the log."""
    if isinstance(outcome, Unreachable):
        return UNREACHABLE.get(outcome.kind, UNREACHABLE["connection"]).cause.format(host=host)
    if outcome.status == 429:
        return f"{host} limits the rate of requests (429)."
    return f"{host} failed ({outcome.status})."


def _effort_words(effort: Effort) -> str:
    """What the step did by itself before it gave up, and when another try makes sense."""
    words = ""
    if effort.tries > 1:
        words += f" The step sent {effort.requests} requests and waited {_duration(effort.waited)} between them."
    if effort.next_wait and effort.next_try:
        words += (
            f" Another try makes sense in {_duration(effort.next_wait)}, from {effort.next_try:%Y-%m-%d %H:%M:%S} UTC "
            "on. How long a step itself waits is the timeout of the connection."
        )
    return words


def _duration(seconds: float) -> str:
    whole = math.ceil(seconds)
    if whole == 1:
        return "1 second"
    if whole < 120:
        return f"{whole} seconds"
    return f"{math.ceil(whole / 60)} minutes" if whole < 7200 else f"{math.ceil(whole / 3600)} hours"
