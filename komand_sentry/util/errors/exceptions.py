"""Exception types of a failed step. Callers catch these types instead of comparing status codes.

All are PluginExceptions, which InsightConnect shows to the user with cause, assistance and data.
"""

import traceback

from insightconnect_plugin_runtime.exceptions import APIException, PluginException


class InvalidInput(PluginException):
    """An input of the step or of the connection is invalid, or does not identify one object. Nothing was changed."""


class SearchUnsupported(InvalidInput):
    """The server cannot search the issues of an organization."""


class _Failure:
    """What a trigger needs of a failed request.

    `next_delay` is the seconds to wait before the next attempt, None if unknown. `advice` is the assistance without
    what it says about the retries of a step, "" if that is nothing.
    """

    next_delay: float | None = None
    advice = ""


class ConnectionFailed(_Failure, PluginException):
    """No complete response was received."""


class ResponseError(_Failure, APIException):
    """The response is not the expected one. `status_code` is its HTTP status."""


class BadRequest(ResponseError):
    """400, 422: the server refused an input."""


class Unauthorized(ResponseError):
    """401, or 403 because of a browser's CSRF check: the server did not accept the token, or the key of the DSN."""


class Forbidden(ResponseError):
    """403: the token may not do this."""


class NotFound(ResponseError):
    """404: the object does not exist, or the token may not see it."""


class RouteMissing(NotFound):
    """404 without an error object of the API: the server does not have the endpoint."""


class Gone(ResponseError):
    """410: the endpoint is retired, temporarily or permanently."""


class RateLimited(ResponseError):
    """429: too many requests."""


class ServerFailed(ResponseError):
    """5xx: the server, or a proxy, failed."""


class UnexpectedResponse(ResponseError):
    """A successful response whose body is not what the endpoint returns."""


class HTMLResponse(UnexpectedResponse):
    """A successful response that is an HTML page, as from a web interface at the place of a missing endpoint."""


class NotApplied(ResponseError):
    """A successful response that shows that nothing was changed."""


class PaginationFailed(ResponseError):
    """The pages of a list cannot be followed to the end."""


BY_STATUS: dict[int, type[ResponseError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    410: Gone,
    422: BadRequest,
    429: RateLimited,
}


def clear_frames(error: BaseException) -> None:
    """Release response data referenced by the traceback. The runtime keeps the exception after the step."""
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is not None and current not in seen:
            seen.append(current)
            traceback.clear_frames(current.__traceback__)
            queue += [current.__cause__, current.__context__]
