"""Sentry's web API `/api/0/` for one step: authentication, and typed requests that raise on failure.

https://docs.sentry.io/api/
"""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import NotFound, RouteMissing
from komand_sentry.util.errors.factory import (
    ErrorContext,
    invalid_input,
    pagination_error,
    response_error,
    transport_error,
    unexpected_response,
)
from komand_sentry.util.errors.redaction import mask_secret
from komand_sentry.util.errors.server_message import is_html
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import FailureKind, Params, Request, Response, TooManyValues, TransportError
from komand_sentry.util.http.retry import parse_seconds
from komand_sentry.util.http.urls import join_url
from komand_sentry.util.sentry.auth_token import token_type
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.pagination import (
    ListSpec,
    Page,
    PageRange,
    PaginationError,
    RecordList,
    next_cursor,
    read_list,
)
from komand_sentry.util.sentry.server import Server

# Sentry tokens are at least this long; a shorter text may be a part of a slug.
MIN_TOKEN_LENGTH = 16
# Longer than the URLs that servers accept.
MAX_PARAM_LENGTH = 64 * 1024
USER_AGENT = "insightconnect-sentry/2.2.0"

# The segments of an endpoint's path below /api/0/.
Path = tuple[str, ...]


@dataclass(frozen=True)
class API:
    """The web API of one server with one token, within the time budget of one step."""

    server: Server
    token: str = field(repr=False)
    http: RetryingClient = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in errors and logs."""
        return (self.token,)

    def get_object(self, path: Path, context: ErrorContext, params: Params = ()) -> Record:
        """GET one JSON object.

        :raises ResponseError: see send_checked, or the response is not an object
        """
        return self._object(self.send_checked("GET", path, context, params), context)

    def get_page(self, path: Path, context: ErrorContext, params: Params = ()) -> Page:
        """GET one page of a list of JSON objects.

        :raises ResponseError: see send_checked, or the response is not a list of objects
        """
        response = self.send_checked("GET", path, context, params)
        records = self.parse(response)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise unexpected_response(context, response, self.secrets)
        link = response.header("link")
        try:
            cursor = next_cursor(link)
        except PaginationError as problem:
            raise pagination_error(context, str(problem)) from None
        # Sentry sends no Link header with the only issue that an event ID in the query names.
        is_end_known = bool(link or response.header("x-sentry-direct-hit"))
        hits = int(parse_seconds(response.header("x-hits")) or 0)
        return Page(records, cursor, is_end_known, len(records), len(response.body), response.json_values, hits)

    def read_list(
        self, path: Path, spec: ListSpec, context: ErrorContext, page_range: PageRange, params: Params = ()
    ) -> RecordList:
        """GET as many pages of a list as the range needs.

        :param params: query parameters of every page
        :raises PluginException: see pagination.read_list
        """

        def fetch(page_params: Params) -> Page:
            return self.get_page(path, context, (*params, *page_params))

        return read_list(fetch, spec, page_range, context, self.http)

    def check_exists(self, path: Path, context: ErrorContext) -> None:
        """Check that an object exists, by a GET.

        :raises NotFound: it does not exist. Other failures, such as a missing scope, are ignored
        """
        try:
            self.get_object(path, context)
        except RouteMissing:
            return
        except NotFound:
            raise
        except PluginException:
            return

    def put(self, path: Path, context: ErrorContext, body: Record) -> Record:
        """PUT a JSON object, and return the object in the response.

        :raises ResponseError: see send_checked, or the response is not an object
        """
        return self._object(self.send_checked("PUT", path, context, body=body), context)

    def post(self, path: Path, context: ErrorContext, body: Record) -> Record:
        """POST a JSON object, and return the object in the response. It is not sent again if its response is lost.

        :raises ResponseError: see send_checked, or the response is not an object
        """
        return self._object(self.send_checked("POST", path, context, body=body), context)

    def delete(self, path: Path, context: ErrorContext) -> None:
        """DELETE an object. If the response was lost, the next attempt finds no object, which is a success.

        :raises ResponseError: see send_checked
        """
        response = self.send("DELETE", path)
        try:
            self.raise_for_status(response, context)
            if is_html(response):
                raise unexpected_response(context, response, self.secrets)
        except RouteMissing:
            raise
        except NotFound:
            if response.stats.attempts == 1:
                raise

    def send_checked(
        self, method: str, path: Path, context: ErrorContext, params: Params = (), body: Any = None
    ) -> Response:
        """Send a request, and return its response if it is a success.

        :raises ResponseError: the response is not a success. Its type depends on the status, see exceptions.py
        :raises ConnectionFailed: no complete response was received
        :raises InvalidInput: the URL would contain the token, or be too long
        """
        return self.raise_for_status(self.send(method, path, params, body), context)

    def send(self, method: str, path: Path, params: Params = (), body: Any = None) -> Response:
        """Send an authenticated request, and return its response. Its status can be that of an error.

        :raises ConnectionFailed: no complete response was received
        :raises InvalidInput: the URL would contain the token, or be too long
        """
        self._check_url_parts(path, params)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        payload = None if body is None else json.dumps(body)
        if payload is not None:
            headers["Content-Type"] = "application/json"
            if self.contains_token(payload):
                raise invalid_input(
                    "An input of the step contains the token of the connection, so nothing was sent.",
                    "Everyone who sees the issue could read it. Set the token in the connection only.",
                )
        request = Request(
            method,
            join_url(f"{self.server.base}/api/0", *path),
            tuple((name, value.encode(errors="replace").decode()) for name, value in params),
            headers,
            None if payload is None else payload.encode(),
            idempotent=method == "DELETE",
            redirect_prefix=f"{self.server.base}/api/",
            expects_json=method != "DELETE",
        )
        return send_or_raise(self.http, request)

    def raise_for_status(self, response: Response, context: ErrorContext) -> Response:
        """Return the response if it is a success.

        :raises ResponseError: it is not
        """
        if response.is_success:
            return response
        is_organization_token = token_type(self.token).is_organization_token
        raise response_error(context, response, self.secrets, is_organization_token, self.server.is_saas)

    def parse(self, response: Response) -> Any:
        """Parse a body as JSON, without the token; None if it is not JSON, so that callers only check the type.

        The runtime masks the token in outputs in HTTP mode only, and takes most of the time of a large step to do it.
        """
        try:
            return mask_secret(response.json(), self.token, response.body)
        except TooManyValues as error:
            failure = TransportError(FailureKind.TOO_LARGE, str(error))
            raise transport_error(self.server.host, failure) from None
        except ValueError:
            return None

    def _object(self, response: Response, context: ErrorContext) -> Record:
        body = self.parse(response)
        if not isinstance(body, dict):
            raise unexpected_response(context, response, self.secrets)
        return body

    def _check_url_parts(self, path: Path, params: Params) -> None:
        """:raises InvalidInput: the URL would contain the token, or be longer than servers accept"""
        if any(self.contains_token(text) for text in (*path, *(value for _, value in params))):
            raise invalid_input(
                "An input of the step contains the token of the connection.",
                "Servers and proxies log URLs, so the token must not be sent in one. Set it in the connection only.",
            )
        for name, value in params:
            if len(quote(value, errors="replace")) > MAX_PARAM_LENGTH:
                raise invalid_input(
                    f"The {name} is too long for a URL: {len(value)} characters.",
                    "It is sent as a part of a URL, whose length is limited. Shorten it.",
                )

    def contains_token(self, text: str) -> bool:
        """Whether a text contains the token, so that it must not be a part of a URL."""
        return len(self.token) >= MIN_TOKEN_LENGTH and self.token in text


def send_or_raise(http: RetryingClient, request: Request) -> Response:
    """Send a request, and return its response. Its status can be that of an error.

    :raises ConnectionFailed: no complete response was received
    """
    try:
        return http.send(request)
    except TransportError as failure:
        raise transport_error(request.host, failure) from None
