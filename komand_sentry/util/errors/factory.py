"""Construct the exception for an invalid input, a failure or a response. Pure: nothing here sends or logs."""

import math
from typing import NamedTuple

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
    ServerFailed,
    UnexpectedResponse,
)
from komand_sentry.util.errors.messages import Explanation
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.errors.server_message import is_html, is_login_page, message_and_location, server_message
from komand_sentry.util.http.messages import MAX_REDIRECTS, AttemptStats, Response, TransportError

# An HTML page with one of these is not from Sentry.
_FOREIGN_STATUSES = (400, 401, 403, 405, 406, 407, 451)
_DEFAULT_DELAY = 60


class ErrorContext(NamedTuple):
    """What a request is about, in the words of its error messages.

    :param name: such as `issue 123`
    :param scope: the token scope that the request needs
    :param advice: what to check if Sentry does not find it
    """

    name: str
    scope: str = ""
    advice: str = "Check the URL of the connection."


def invalid_input(cause: str, assistance: str) -> InvalidInput:
    """An invalid input of the step or the connection. Neither text may quote a secret."""
    return InvalidInput(cause=cause, assistance=assistance)


def transport_error(host: str, failure: TransportError) -> ConnectionFailed:
    """No complete response was received from a host."""
    return ConnectionFailed(
        cause=failure.kind.describe(host),
        assistance=messages.TRANSPORT_ASSISTANCE[failure.kind] + _retry_summary(failure.stats),
        data=sanitize(failure.reason),
    )


def response_error(
    context: ErrorContext, response: Response, secrets: tuple[str, ...] = (), is_organization_token: bool = False
) -> ResponseError:
    """A response of the web API that is not a success.

    :param is_organization_token: the token is one, so no scope can be added to it
    """
    explanations = messages.BY_STATUS
    if is_organization_token:
        explanations = explanations | {403: messages.ORGANIZATION_TOKEN}
    return _response_error(explanations, context, response, secrets)


def ingestion_error(context: ErrorContext, response: Response, secrets: tuple[str, ...] = ()) -> ResponseError:
    """A response of the store or envelope endpoint that is not a success. The DSN authorizes it, not the token."""
    return _response_error(messages.INGESTION_BY_STATUS, context, response, secrets)


def _response_error(
    explanations: dict[int, Explanation], context: ErrorContext, response: Response, secrets: tuple[str, ...]
) -> ResponseError:
    explanation = explanations.get(response.status) or _by_class(response)
    if response.status in _FOREIGN_STATUSES and is_html(response):
        explanation = messages.HTML_PAGE
    fields = {
        "name": context.name,
        "scope": context.scope or "that the action needs",
        "advice": context.advice,
        "status": str(response.status),
        "delay": _duration(response.stats.next_delay or _DEFAULT_DELAY),
    }
    return _error_type(response)(
        cause=explanation.cause.format_map(fields),
        assistance=explanation.assistance.format_map(fields) + _retry_summary(response.stats),
        data=message_and_location(response, secrets),
        status_code=response.status,
    )


def _by_class(response: Response) -> Explanation:
    if response.status >= 500:
        return messages.SERVER_FAILED
    if 300 <= response.status < 400:
        return messages.REDIRECT_LOOP if response.stats.redirects == MAX_REDIRECTS else messages.REDIRECT
    return messages.OTHER_STATUS


def _error_type(response: Response) -> type[ResponseError]:
    if response.status >= 500:
        return ServerFailed
    error_type = BY_STATUS.get(response.status, ResponseError)
    return RouteMissing if error_type is NotFound and not _has_detail(response) else error_type


def _has_detail(response: Response) -> bool:
    """Whether the body is an error object of Sentry's API. It reports a missing object in JSON, a missing route not."""
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and "detail" in body


def unexpected_response(context: ErrorContext, response: Response, secrets: tuple[str, ...] = ()) -> UnexpectedResponse:
    """A successful response whose body is not what the endpoint returns: a login page, another service."""
    error_type = HTMLResponse if is_html(response) else UnexpectedResponse
    return error_type(
        cause=messages.UNEXPECTED_RESPONSE.cause.format(name=context.name),
        assistance=messages.UNEXPECTED_RESPONSE.assistance,
        data=server_message(response, secrets),
        status_code=response.status,
    )


def not_applied_error(context: ErrorContext, names: tuple[str, ...]) -> NotApplied:
    """A change that the server accepted, but did not make."""
    return NotApplied(
        cause=f"The server accepted the request for {context.name}, but did not change {join_truncated(names)}.",
        assistance="hasSeen, isBookmarked and isSubscribed need the token of a user who is a member of the project. "
        "Check that the server supports this change.",
        status_code=200,
    )


def pagination_error(context: ErrorContext, problem: str) -> PaginationFailed:
    """Pages that cannot be followed to the end."""
    return PaginationFailed(
        cause=f"The list of {context.name} cannot be read to the end: {problem}.",
        assistance="The server, or a proxy in front of it, has a fault. A limit below 100 reads only one page.",
        status_code=200,
    )


def not_sentry(response: Response, secrets: tuple[str, ...] = ()) -> ResponseError:
    """A response that shows that the connection's URL is not that of Sentry's API."""
    explanation = messages.NOT_SENTRY
    if is_login_page(response):
        explanation = messages.LOGIN_PAGE
    elif is_html(response):
        explanation = messages.PROXY_PAGE
    return ResponseError(
        cause=explanation.cause,
        assistance=explanation.assistance,
        data=message_and_location(response, secrets),
        status_code=response.status,
    )


def insufficient_scopes(scopes: tuple[str, ...], is_organization_token: bool) -> InvalidInput:
    """A token that Sentry accepts, but that allows no action."""
    kind = " It is an organization token, which is for build pipelines only." if is_organization_token else ""
    return InvalidInput(
        cause=f"Sentry accepts the token, but it allows neither to list nor to update issues.{kind}",
        assistance="Give the connection a user token or the token of an internal integration, with the scopes "
        "event:read (to list) and event:write (to update).",
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
