"""Send one request and read its whole response. The only module that uses `requests`."""

import http
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator
from http.client import RemoteDisconnected
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.exceptions import NameResolutionError

from komand_sentry.util.http.deadline import MAX_BODY_BYTES, ResponseTooLarge, limit_response_time
from komand_sentry.util.http.messages import MAX_ERROR_BYTES, FailureKind, Request, Response, TransportError
from komand_sentry.util.http.urls import InvalidURL, split_url

CONNECT_SECONDS = 10.0
# HTTP mode usually has no more threads than this, so each can keep a connection open.
POOL_SIZE = 16
_CHUNK_BYTES = 64 * 1024
_MAX_CACHED_ORIGINS = 64
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}


class _Adapter(HTTPAdapter):
    """Limits the time of whole responses, with and without a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        limit_response_time(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # A SOCKS manager has its own connection classes.
        if isinstance(manager, urllib3.ProxyManager):
            limit_response_time(manager)
        return manager


class _Session(requests.Session):
    """Keeps no cookies, and returns redirects unread: requests itself would read their bodies without a limit.

    The session's `send` is used, not the adapter's, because it is the method that the runtime's telemetry instruments.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE))

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        return iter(())


class Transport:
    """Sends requests over pooled keep-alive connections. Thread-safe.

    Honors HTTPS_PROXY, HTTP_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE. Returns redirects instead of following them. Keeps
    no cookies: the response to one step must not change the requests of the next one.

    :param ssl_verify: verify the TLS certificates of servers; a path: with the CA bundle there
    """

    def __init__(self, ssl_verify: bool | str = True) -> None:
        self._ssl_verify = ssl_verify
        self._session = _Session()
        self._settings: dict[str, Any] = {}
        if not ssl_verify:
            # The connection logs one warning per step; urllib3 would log one per request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(self, request: Request, timeout: float, new_connection: bool = False) -> Response:
        """Send one request and read its whole response.

        :param timeout: seconds for the connection, the request and the whole response
        :param new_connection: do not use the pool, whose connections may be as stale as the one that just failed
        :raises TransportError: no complete response was received
        """
        if not new_connection:
            return self._send(self._session, request, timeout)
        with _Session() as session:
            return self._send(session, request, timeout)

    def _send(self, session: requests.Session, request: Request, timeout: float) -> Response:
        # urllib3 counts `total` from the start of the request and sets the rest as the socket's timeout before it reads
        # the response; deadline.py applies that to the whole response.
        limits = urllib3.Timeout(total=timeout, connect=min(CONNECT_SECONDS, timeout))
        settings = self._settings_for(session, request)
        try:
            prepared = _prepare(request)
            with session.send(prepared, timeout=cast(Any, limits), allow_redirects=False, **settings) as response:
                if response.status_code == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                    reason = f"{response.status_code} {response.reason}"
                    raise TransportError(FailureKind.PROXY_REFUSED, _of_proxy(settings, request.url, reason))
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Response(response.status_code, headers, _read_body(response))
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
            RecursionError,
        ) as error:
            raise _transport_error(error, settings, request.url) from None

    def _settings_for(self, session: requests.Session, request: Request) -> Any:
        """Proxies and certificates for an origin. Cached: requests searches the whole environment at every call.

        :raises TransportError: the URL of the proxy is invalid
        """
        origin = request.url.partition("://")[0] + "://" + request.host
        settings = self._settings.get(origin)
        if settings is None:
            if len(self._settings) >= _MAX_CACHED_ORIGINS:
                self._settings.clear()
            # Passed here, because REQUESTS_CA_BUNDLE takes precedence over `verify = False` of the session.
            settings = session.merge_environment_settings(request.url, {}, True, self._ssl_verify, None)
            if (proxy := select_proxy(request.url, settings["proxies"])) and not _proxy_name(proxy):
                raise TransportError(FailureKind.PROXY_INVALID, "the proxy is not the URL of an HTTP proxy")
            self._settings[origin] = settings
        return settings


def _prepare(request: Request) -> requests.PreparedRequest:
    """Not prepared by the session, which would replace the Authorization header by credentials from .netrc."""
    prepared = requests.PreparedRequest()
    prepared.prepare(
        request.method,
        request.url,
        headers={**_HEADERS, **request.headers},
        data=request.body,
        params=list(request.params),
        auth=_keep_headers,
    )
    return prepared


def _keep_headers(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that does nothing, so that requests does not take credentials from the URL."""
    return prepared


def _read_body(response: requests.Response) -> bytes:
    """Read the decoded body, of an error only the start. urllib3 decodes one chunk at a time, so that a decompression
    bomb stays small."""
    is_error = response.status_code >= http.HTTPStatus.BAD_REQUEST
    chunks = []
    size = 0
    for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        chunks.append(chunk)
        if is_error and size >= MAX_ERROR_BYTES:
            return b"".join(chunks)[:MAX_ERROR_BYTES]
        if size > MAX_BODY_BYTES:
            raise TransportError(FailureKind.TOO_LARGE, f"more than {MAX_BODY_BYTES // 2**20} MiB")
    return b"".join(chunks)


def _proxy_name(url: str) -> str:
    """Host and port of a proxy, without its credentials; "" if the URL is not that of an HTTP proxy."""
    try:
        return split_url(url if "://" in url else f"http://{url}")[1]
    except InvalidURL:
        return ""


def _of_proxy(settings: Any, url: str, reason: str) -> str:
    """A reason, with the name of the proxy in front of it if the URL is requested through one."""
    proxy = select_proxy(url, settings["proxies"])
    return f"{_proxy_name(proxy)}: {reason}" if proxy else reason


def _bundle_problem(bundle: object) -> str:
    """What is wrong with the CA bundle, "" if nothing is."""
    if not isinstance(bundle, str):
        return ""
    try:
        is_directory = os.path.isdir(bundle)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            **{"capath" if is_directory else "cafile": bundle}
        )
    except ssl.SSLError:
        return f"{bundle}: not a PEM file with certificates"
    except OSError as error:
        return f"{bundle}: {error.strerror}"
    return ""


def _transport_error(error: Exception, settings: Any, url: str) -> TransportError:
    """Classify a failure by what the user can do about it.

    The text of the error is not passed on, because it may quote a header; the type of its innermost cause is.
    """
    causes = _causes(error)
    reason = _reason(causes[-1])
    if refusal := next(filter(None, (_TUNNEL_REFUSED.match(str(cause)) for cause in causes)), None):
        kind = FailureKind.PROXY_REFUSED if refusal[1].startswith("4") else FailureKind.PROXY
        return TransportError(kind, _of_proxy(settings, url, refusal[1]))
    if any(isinstance(cause, requests.exceptions.ProxyError) for cause in causes):
        return TransportError(FailureKind.PROXY, _of_proxy(settings, url, reason))
    if any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN for cause in causes):
        return TransportError(FailureKind.DNS_TEMPORARY, reason)
    may_be_bundle = any(type(cause) is OSError or isinstance(cause, requests.exceptions.SSLError) for cause in causes)
    if may_be_bundle and (problem := _bundle_problem(settings["verify"])):
        return TransportError(FailureKind.CA_BUNDLE, problem)
    for kind, types in _KINDS:
        if any(isinstance(cause, types) for cause in causes):
            return TransportError(kind, reason)
    return TransportError(FailureKind.CONNECTION, reason)


# http.client has no exception type for it.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3}.*)")

_KINDS: tuple[tuple[FailureKind, tuple[type[BaseException], ...]], ...] = (
    (
        FailureKind.INVALID_REQUEST,
        (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema),
    ),
    (FailureKind.TOO_LARGE, (ResponseTooLarge,)),
    # ssl.SSLContext recurses endlessly if gevent replaces it after other modules imported it.
    (FailureKind.GEVENT, (RecursionError,)),
    (FailureKind.CERTIFICATE, (ssl.SSLCertVerificationError,)),
    (FailureKind.CLOSED, (ssl.SSLEOFError, ssl.SSLZeroReturnError)),
    (FailureKind.TIMEOUT, (requests.exceptions.Timeout,)),
    (FailureKind.TLS, (requests.exceptions.SSLError, ssl.SSLError)),
    (FailureKind.DNS, (NameResolutionError, socket.gaierror)),
    (FailureKind.TIMEOUT, (TimeoutError,)),
    (FailureKind.REFUSED, (ConnectionRefusedError,)),
    (FailureKind.CLOSED, (ConnectionResetError, BrokenPipeError, RemoteDisconnected)),
    (FailureKind.MALFORMED, (urllib3.exceptions.DecodeError, urllib3.exceptions.InvalidHeader)),
    (
        FailureKind.INCOMPLETE,
        (http.client.IncompleteRead, urllib3.exceptions.IncompleteRead, urllib3.exceptions.InvalidChunkLength),
    ),
    (FailureKind.MALFORMED, (http.client.HTTPException,)),
    (FailureKind.INCOMPLETE, (urllib3.exceptions.ProtocolError,)),
    (FailureKind.INVALID_REQUEST, (UnicodeError,)),
)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and everything that it wraps: requests and urllib3 nest causes in args, `reason` and `__context__`."""
    chain: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if isinstance(item, BaseException) and item not in chain:
            chain.append(item)
            queue += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
    return chain


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
