"""Construct the exception for an invalid input, a failure or a response. Pure: nothing here sends or logs."""

import math
import re
from typing import Any, NamedTuple

from komand_sentry.util.errors import messages
from komand_sentry.util.errors.exceptions import (
    BY_STATUS,
    ConnectionFailed,
    HTMLResponse,
    InvalidInput,
    NotApplied,
    NotFound,
    PaginationFailed,
    ResponseError,
    RouteMissing,
    SearchUnsupported,
    ServerFailed,
    Unauthorized,
    UnexpectedResponse,
)
from komand_sentry.util.errors.messages import Explanation
from komand_sentry.util.errors.redaction import join_truncated, quote, sanitize
from komand_sentry.util.errors.server_message import is_html, is_login_page, message_and_location, server_message
from komand_sentry.util.http.messages import MAX_REDIRECTS, AttemptStats, Response, TransportError

# An HTML page with one of these is not from Sentry.
_FOREIGN_STATUSES = (400, 401, 403, 405, 406, 407, 451)
# The message for the web page that Sentry returns for every path that it does not know.
_SENTRY_PAGE = "An HTML page: Sentry"
# Django, Django REST framework and Django Ninja phrase it differently.
_CSRF_FAILED = re.compile(r"csrf (?:check |verification )?failed", re.I)
# Keys of an error object that are not names of inputs.
_NOT_FIELDS = ("detail", "message", "error", "info", "causes", "non_field_errors", "errorId")
# Error objects are small. A large body would take many times its size in memory.
_MAX_ERROR_BYTES = 100_000
_DEFAULT_DELAY = 60


class ErrorContext(NamedTuple):
    """Describes what a request is about, for error messages.

    :param name: such as `issue 123`
    :param scope: the token scope that the request needs
    :param advice: what to check if Sentry does not find it
    :param failure_advice: what to check if Sentry fails with 500, which some inputs cause
    """

    name: str
    scope: str = ""
    advice: str = "Check the URL of the connection."
    failure_advice: str = messages.FAILURE_ADVICE


def invalid_input(cause: str, assistance: str) -> InvalidInput:
    """An invalid input of the step or the connection. Neither text may quote a secret."""
    return InvalidInput(cause=cause, assistance=assistance)


def transport_error(host: str, failure: TransportError) -> ConnectionFailed:
    """No complete response was received from a host."""
    advice = messages.TRANSPORT_ASSISTANCE[failure.kind]
    error = ConnectionFailed(
        cause=failure.kind.describe(host),
        assistance=advice + _retry_summary(failure.stats),
        data=sanitize(failure.reason),
    )
    error.advice, error.next_delay = advice, failure.stats.next_delay
    return error


def response_error(
    context: ErrorContext,
    response: Response,
    secrets: tuple[str, ...] = (),
    is_organization_token: bool = False,
    is_saas: bool = False,
) -> ResponseError:
    """A response of the web API that is not a success.

    :param is_organization_token: the token is one, so no scope can be added to it
    :param is_saas: the server is Sentry SaaS
    """
    explanation = _html_explanation(response) or _token_explanation(response)
    if not explanation and is_organization_token and response.status == 403:
        explanation = messages.ORGANIZATION_TOKEN
    explanation = explanation or messages.BY_STATUS.get(response.status) or _by_class(response)
    return _response_error(explanation, context, response, secrets, _server_fields(messages.CONNECTION_URL, is_saas))


def ingestion_error(
    context: ErrorContext, response: Response, secrets: tuple[str, ...] = (), is_saas: bool = False
) -> ResponseError:
    """A response of the store or envelope endpoint that is not a success. The DSN authorizes it, not the token.

    :param is_saas: the server is Sentry SaaS
    """
    by_status = messages.INGESTION_BY_STATUS
    explanation = _html_explanation(response) or by_status.get(response.status) or _by_class(response)
    return _response_error(explanation, context, response, secrets, _server_fields(messages.DSN, is_saas))


def _response_error(
    explanation: Explanation,
    context: ErrorContext,
    response: Response,
    secrets: tuple[str, ...],
    server_fields: dict[str, str],
) -> ResponseError:
    refused = tuple(quote(field, secrets) for field in _refused_fields(response))
    fields = server_fields | {
        "name": context.name,
        "scope": context.scope or "that the action needs",
        "advice": context.advice,
        "failure_advice": context.failure_advice,
        "status": str(response.status),
        "delay": _duration(response.stats.next_delay or _DEFAULT_DELAY),
        "fields": f" because of {join_truncated(refused)}" if refused else "",
        "code": sanitize(quote(_error_code(response), secrets)),
    }
    advice = explanation.assistance.format_map(fields)
    error = _error_type(response)(
        cause=explanation.cause.format_map(fields),
        assistance=advice + _retry_summary(response.stats),
        data=message_and_location(response, secrets),
        status_code=response.status,
    )
    error.advice, error.next_delay = advice, response.stats.next_delay
    return error


def _server_fields(address: str, is_saas: bool) -> dict[str, str]:
    return {"address": address, "status_page": messages.SAAS_STATUS_PAGE if is_saas else messages.SERVER_LOG}


def _html_explanation(response: Response) -> Explanation | None:
    return messages.HTML_PAGE if response.status in _FOREIGN_STATUSES and is_html(response) else None


def _token_explanation(response: Response) -> Explanation | None:
    """Why Sentry refused a token that is neither unknown nor without a scope."""
    if _is_csrf_failure(response):
        return messages.CSRF_FAILED
    code = _error_code(response)
    return messages.BY_CODE.get(code, messages.OTHER_CODE) if code and response.status in (401, 403) else None


def _by_class(response: Response) -> Explanation:
    if response.status >= 500:
        return messages.INTERNAL_ERROR if response.status == 500 else messages.SERVER_FAILED
    if 300 <= response.status < 400:
        return messages.REDIRECT_LOOP if response.stats.redirects == MAX_REDIRECTS else messages.REDIRECT
    return messages.OTHER_STATUS


def _error_type(response: Response) -> type[ResponseError]:
    if response.status >= 500:
        return ServerFailed
    if _is_csrf_failure(response):
        return Unauthorized
    error_type = BY_STATUS.get(response.status, ResponseError)
    # Sentry's API reports a missing object in JSON, a missing route not.
    return RouteMissing if error_type is NotFound and "detail" not in _error_object(response) else error_type


def _is_csrf_failure(response: Response) -> bool:
    """Whether the server treated the request as that of a browser, because it did not accept the token."""
    return response.status == 403 and bool(_CSRF_FAILED.search(server_message(response)))


def _error_object(response: Response) -> dict[str, Any]:
    """The body if it is an error object of Sentry's API, otherwise an empty one."""
    if len(response.body) > _MAX_ERROR_BYTES:
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error_code(response: Response) -> str:
    """`sso-required` in `{"detail": {"code": "sso-required", "message": ...}}`, "" if there is none."""
    detail = _error_object(response).get("detail")
    code = detail.get("code") if isinstance(detail, dict) else None
    return code if isinstance(code, str) else ""


def _refused_fields(response: Response) -> tuple[str, ...]:
    """The inputs that an error object names: `{"status": ["..."]}`, or GlitchTip's `{"detail": [{"loc": [...]}]}`."""
    body = _error_object(response)
    detail = body.get("detail")
    if isinstance(detail, list):
        locations = (item.get("loc") for item in detail if isinstance(item, dict))
        return tuple(str(location[-1]) for location in locations if location and isinstance(location, list))
    return tuple(key for key, value in body.items() if isinstance(value, (list, dict)) and key not in _NOT_FIELDS)


def unexpected_response(context: ErrorContext, response: Response, secrets: tuple[str, ...] = ()) -> UnexpectedResponse:
    """A successful response whose body is not what the endpoint returns: a login page, another service."""
    explanation = messages.SENTRY_PAGE if _is_sentry_page(response) else messages.UNEXPECTED_RESPONSE
    return _unexpected_response(explanation, context, response, secrets)


def unexpected_ingestion_response(
    context: ErrorContext, response: Response, secrets: tuple[str, ...] = ()
) -> UnexpectedResponse:
    """A successful response whose body is not what the store or envelope endpoint returns."""
    return _unexpected_response(messages.UNEXPECTED_INGESTION_RESPONSE, context, response, secrets)


def _unexpected_response(
    explanation: Explanation, context: ErrorContext, response: Response, secrets: tuple[str, ...]
) -> UnexpectedResponse:
    error_type = HTMLResponse if is_html(response) else UnexpectedResponse
    return error_type(
        cause=explanation.cause.format(name=context.name, status=response.status),
        assistance=explanation.assistance,
        data=server_message(response, secrets),
        status_code=response.status,
    )


def _is_sentry_page(response: Response) -> bool:
    return is_html(response) and server_message(response) == _SENTRY_PAGE


def not_applied_error(context: ErrorContext, names: tuple[str, ...]) -> NotApplied:
    """A change that the server accepted, but did not make."""
    return NotApplied(
        cause=f"The server accepted the request for {context.name}, but did not change {join_truncated(names)}.",
        assistance=_not_applied_advice(names),
        status_code=200,
    )


def _not_applied_advice(names: tuple[str, ...]) -> str:
    advice = "Check that the server supports this change, and that the token's user may make it."
    if {"hasSeen", "isBookmarked", "isSubscribed"} & set(names):
        advice = f"These flags need the token of a user who is a member of the project. {advice}"
    if {"status", "substatus", "priority"} & set(names):
        advice += " To resolve or ignore an issue in another way, set its status to unresolved first. The substatus "
        advice += "needs Sentry 23, the priority Sentry 24."
    return advice


def pagination_error(context: ErrorContext, problem: str) -> PaginationFailed:
    """Pages that cannot be followed to the end."""
    return PaginationFailed(
        cause=f"The list of {context.name} cannot be read to the end: {problem}.",
        assistance="The server, or a proxy in front of it, has a fault. To read one page only, set a limit below 100.",
        status_code=200,
    )


def not_sentry(response: Response, secrets: tuple[str, ...] = (), path: str = "") -> ResponseError:
    """A response that shows that the connection's URL is not that of Sentry's API.

    :param path: of the connection's URL
    """
    explanation = messages.NOT_SENTRY
    if _is_sentry_page(response):
        explanation = messages.SENTRY_PAGE_AT_BASE
    elif is_login_page(response):
        explanation = messages.LOGIN_PAGE
    elif is_html(response):
        explanation = messages.PROXY_PAGE
    return ResponseError(
        cause=explanation.cause,
        assistance=explanation.assistance.format(path=f" ({quote(path, secrets)})" if path else ""),
        data=message_and_location(response, secrets),
        status_code=response.status,
    )


def short_ids_unsupported(short_id: str) -> InvalidInput:
    """A short ID on a server whose API has none, such as GlitchTip's."""
    return invalid_input(
        f"The server does not find issues by short ID, such as {sanitize(short_id)}.",
        "Set issue_id to the issue's numeric ID (the id of an issue of List Project Issues), or to its permalink.",
    )


def search_unsupported() -> SearchUnsupported:
    """A search in an organization on a server that has none."""
    return SearchUnsupported(
        cause="The server cannot search the issues of an organization. Sentry 9, for example, cannot.",
        assistance="Use List Project Issues for each project, or update the server to Sentry 10 or later.",
    )


def insufficient_scopes(scopes: tuple[str, ...], is_organization_token: bool) -> InvalidInput:
    """A token that Sentry accepts, but that allows no action."""
    kind = " It is an organization token, which is for build pipelines only." if is_organization_token else ""
    return InvalidInput(
        cause=f"Sentry accepts the token, but it allows no action that uses the token.{kind}",
        assistance="Give the connection a user token or the token of an internal integration, with the scopes "
        "event:read (to read issues) and event:write (to change them).",
        data=f"Scopes of the token: {join_truncated(scopes)}",
    )


def _retry_summary(stats: AttemptStats) -> str:
    """What the step did before it gave up, and when a retry could succeed."""
    summary = ""
    if stats.attempts > 1:
        summary += f" The step sent {stats.requests} requests and waited {_duration(stats.waited)} between them."
    if stats.next_delay and stats.next_attempt_at:
        summary += (
            f" Retry after {_duration(stats.next_delay)} (not before {stats.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC). "
            "To let the step wait longer, increase the timeout of the connection."
        )
    return summary


def _duration(seconds: float) -> str:
    whole = math.ceil(seconds)
    if whole == 1:
        return "1 second"
    if whole < 120:
        return f"{whole} seconds"
    return f"{math.ceil(whole / 60)} minutes" if whole < 7200 else f"{math.ceil(whole / 3600)} hours"
