"""The only module that touches the network: one request out, one response or one Unreachable back."""

import socket
import ssl
from http.client import RemoteDisconnected
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError

from komand_sentry.util.exchange import Request, Response, Unreachable

CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
# As many as the runtime's HTTP mode has threads at most in its usual set-ups, so that each keeps its connection alive.
POOL_SIZE = 16


class _HeadersAsGiven(requests.auth.AuthBase):
    """Takes the place of the credentials that requests would look up in a .netrc file and put over our own."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Transport:
    """Sends requests over pooled keep-alive connections. Safe to share between threads.

    HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE are honoured. Redirects are returned, not followed, and cookies are
    not kept: what one step was answered must not change what the next one sends.
    """

    def __init__(self, ssl_verify: bool = True) -> None:
        self._ssl_verify = ssl_verify
        self._session = _new_session()
        if not ssl_verify:
            # The connection says so once in the step's log; urllib3 would say it at every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(self, request: Request) -> Response:
        """Sends one request and reads its whole response.

        A connection that was kept alive may be closed by the server at the very moment that it is used again; Sentry
        9 closes each one after its response, without saying so. The request is then sent once more, over a new
        connection. That is safe, since all that the client sends may be repeated: GET, PUT, and events whose ID is
        fixed.

        :raises Unreachable: no complete response came
        """
        try:
            return self._send_once(self._session, request)
        except Unreachable as failure:
            if failure.kind != "lost":
                raise
        # The pool is left alone: its other connections may be in use by other threads, or as stale as this one.
        with _new_session() as session:
            return self._send_once(session, request)

    def _send_once(self, session: requests.Session, request: Request) -> Response:
        try:
            answer = session.request(
                request.method,
                request.url,
                params=list(request.params),
                headers=dict(request.headers),
                data=request.body,
                timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
                allow_redirects=False,
                # Given with each request, because REQUESTS_CA_BUNDLE would win over a False of the session.
                verify=self._ssl_verify,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _unreachable(error) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, answer.content)


def _new_session() -> requests.Session:
    session = requests.Session()
    session.auth = _HeadersAsGiven()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE))
    return session


def _unreachable(error: Exception) -> Unreachable:
    """Tells the kinds of failure apart that a person mends in different ways.

    The text of a requests error is not passed on as it is, since it may quote a header; the innermost cause is.
    """
    causes = _causes(error)
    for kind, types in _KINDS:
        for cause in causes:
            if isinstance(cause, types):
                return Unreachable(kind, _words(causes[-1]))
    return Unreachable("connection", _words(causes[-1]))


_KINDS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("request", (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)),
    ("tls", (requests.exceptions.SSLError, ssl.SSLError)),
    ("proxy", (requests.exceptions.ProxyError,)),
    ("dns", (NameResolutionError, socket.gaierror)),
    ("timeout", (requests.exceptions.Timeout, TimeoutError)),
    ("refused", (ConnectionRefusedError,)),
    ("lost", (ConnectionResetError, BrokenPipeError, RemoteDisconnected)),
    ("cut off", (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)),
)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was made of: requests and urllib3 nest causes in args, `reason` and `__context__`."""
    chain: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if isinstance(item, BaseException) and item not in chain:
            chain.append(item)
            queue += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
    return chain


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
