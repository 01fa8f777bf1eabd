"""The only module that touches the network: one request out, one response or one Unreachable back."""

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator
from http.client import RemoteDisconnected
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError

from komand_sentry.util.exchange import Request, Response, Unreachable
from komand_sentry.util.meanwhile import work

CONNECT_SECONDS = 10.0
# As many as the runtime's HTTP mode has threads at most in its usual set-ups, so that each keeps its connection alive.
POOL_SIZE = 16
# A hundred events with stack traces take a twentieth of it.
MOST_BODY_BYTES = 64 * 1024 * 1024
# Of headers, and of what encloses the chunks of a body.
_MOST_FRAMING_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_MOST_HOSTS = 64
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}


class _Session(requests.Session):
    """Returns redirects unread, where requests' own would read the body of one before its size could be counted.

    What traces requests looks for it in a session's `send`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE))

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        return iter(())


class Transport:
    """Sends requests over pooled keep-alive connections. Safe to share between threads.

    HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE are honoured. Redirects are returned, not followed, and cookies are
    not kept: what one step was answered must not change what the next one sends.
    """

    def __init__(self, ssl_verify: bool = True) -> None:
        self._ssl_verify = ssl_verify
        self._session = _Session()
        self._settings: dict[str, Any] = {}
        if not ssl_verify:
            # The connection says so once in the step's log; urllib3 would say it at every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(self, request: Request, seconds: float, fresh: bool = False) -> Response:
        """Sends one request and reads its whole response.

        :param seconds: how long all of it may take, however slowly the bytes arrive
        :param fresh: over a new connection. The pool is left alone: its other connections may be in use by other
            threads, or as stale as the one that failed
        :raises Unreachable: no complete response came
        """
        if not fresh:
            return self._exchange(self._session, request, seconds)
        with _Session() as session:
            return self._exchange(session, request, seconds)

    def _exchange(self, session: requests.Session, request: Request, seconds: float) -> Response:
        # `total` counts from the beginning of the request, and what is left of it becomes the socket's timeout before
        # the response is read (see _PunctualResponse).
        timeout = urllib3.Timeout(total=seconds, connect=min(CONNECT_SECONDS, seconds))
        prepared = requests.PreparedRequest()
        try:
            # Not by the session, which would put the credentials of a .netrc file over our own.
            prepared.prepare(
                request.method,
                request.url,
                headers={**_HEADERS, **request.headers},
                data=request.body,
                params=list(request.params),
                auth=_headers_as_given,
            )
            settings = self._settings_for(session, request)
            with session.send(prepared, timeout=cast(Any, timeout), allow_redirects=False, **settings) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, headers, _read_body(answer))
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            raise _unreachable(error) from None

    def _settings_for(self, session: requests.Session, request: Request) -> Any:
        """What the environment says of proxies and certificates, looked up once for each host: requests itself would
        go through all of the environment at every request.
        """
        origin = request.url.partition("://")[0] + "://" + request.host
        known = self._settings.get(origin)
        if known is None:
            if len(self._settings) >= _MOST_HOSTS:
                self._settings.clear()
            # Verification is given here, because REQUESTS_CA_BUNDLE would win over a False of the session.
            known = session.merge_environment_settings(request.url, {}, True, self._ssl_verify, None)
            self._settings[origin] = known
        return known


def _headers_as_given(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Takes the place of credentials that requests would find in the address, and put over our own."""
    return prepared


def _read_body(answer: requests.Response) -> bytes:
    """The decoded body. urllib3 decodes no more of it at once than it is asked for, so that a bomb stays small."""
    chunks = []
    size = 0
    for chunk in answer.raw.stream(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            raise Unreachable("too large", f"more than {MOST_BODY_BYTES // 2**20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


class _TooLarge(OSError):
    """More came than a response may have."""


class _PunctualFile(io.RawIOBase):
    """What a socket receives, until the socket's timeout has passed once for all of it and not anew at each read.

    Without it a server that sends a byte now and then would hold a step for ever, and one that sends a line without an
    end would fill the memory: lines are read as a whole, before anything else could count them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)
        seconds = sock.gettimeout()
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._left = MOST_BODY_BYTES + _MOST_FRAMING_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        size = self._file.readinto(buffer)
        self._left -= size or 0
        if self._left < 0:
            raise _TooLarge("too much")
        return size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _PunctualSocket:
    """As much of a socket as http.client's response asks for."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_PunctualFile(self._socket), _CHUNK_BYTES)


class _PunctualResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *more: Any, **named: Any) -> None:
        super().__init__(cast(socket.socket, _PunctualSocket(sock)), *more, **named)


class _Connection(HTTPConnection):
    response_class = _PunctualResponse

    def getresponse(self) -> Any:
        """Called when the request has been sent. The time of the response begins when the work is done."""
        work()
        return super().getresponse()


class _TLSConnection(_Connection, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """Makes connections whose responses keep to their time, with and without a proxy."""

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        _make_punctual(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **named)
        if isinstance(manager, urllib3.ProxyManager):  # and not one for SOCKS, which has connections of its own
            _make_punctual(manager)
        return manager


def _make_punctual(manager: urllib3.PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


def _unreachable(error: Exception) -> Unreachable:
    """Tells the kinds of failure apart that a person mends in different ways.

    The text of a requests error is not passed on as it is, since it may quote a header; the innermost cause is.
    """
    causes = _causes(error)
    if any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN for cause in causes):
        return Unreachable("resolver", _words(causes[-1]))
    if refusal := next(filter(None, (_TUNNEL_REFUSED.search(str(cause)) for cause in causes)), None):
        return Unreachable("proxy refused" if refusal[1].startswith("4") else "proxy", refusal[1])
    if any(type(cause) is OSError and _NO_BUNDLE in str(cause) for cause in causes):
        return Unreachable("bundle", "no such file")
    for kind, types in _KINDS:
        for cause in causes:
            if isinstance(cause, types):
                return Unreachable(kind, _words(causes[-1]))
    return Unreachable("connection", _words(causes[-1]))


# In the words of http.client and of requests, which have no exceptions of their own for them.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3}.*)")
_NO_BUNDLE = "TLS CA certificate bundle"

_KINDS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("request", (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)),
    ("too large", (_TooLarge,)),
    ("certificate", (ssl.SSLCertVerificationError,)),
    ("proxy", (requests.exceptions.ProxyError,)),
    ("lost", (ssl.SSLEOFError, ssl.SSLZeroReturnError)),
    ("timeout", (requests.exceptions.Timeout,)),
    ("tls", (requests.exceptions.SSLError, ssl.SSLError)),
    ("dns", (NameResolutionError, socket.gaierror)),
    ("timeout", (requests.exceptions.Timeout, TimeoutError)),
    ("refused", (ConnectionRefusedError,)),
    ("lost", (ConnectionResetError, BrokenPipeError, RemoteDisconnected)),
    ("garbled", (urllib3.exceptions.DecodeError, urllib3.exceptions.InvalidHeader)),
    ("cut off", (http.client.IncompleteRead, urllib3.exceptions.IncompleteRead, urllib3.exceptions.InvalidChunkLength)),
    ("garbled", (http.client.HTTPException,)),
    ("cut off", (urllib3.exceptions.ProtocolError,)),
    ("request", (UnicodeError,)),
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
