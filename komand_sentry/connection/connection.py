import insightconnect_plugin_runtime
from insightconnect_plugin_runtime.exceptions import ConnectionTestException, PluginException

from .schema import ConnectionSchema, Input

# Custom imports below
import gc
from typing import Any

from komand_sentry.util.address import DEFAULT_URL, Server, UnusableAddress
from komand_sentry.util.budget import DEFAULT_SECONDS
from komand_sentry.util.client import SentryClient
from komand_sentry.util.errors import input_error, useless_token
from komand_sentry.util.judge import Judge
from komand_sentry.util.step import read_params
from komand_sentry.util.token import LONGEST_TOKEN, token_kind
from komand_sentry.util.transport import Transport

LONGEST_TIMEOUT_SECONDS = 3600
_JUDGE = Judge(ConnectionSchema.schema)
# A list of thousands of records makes millions of objects, and Python would look through all of them, again and again,
# for circles, which JSON does not have: that took two thirds of the time of reading them. What is new it looks through
# often all the same, since the runtime makes a circle of each failed step, which holds that step's inputs.
gc.set_threshold(2_000, 10, 100)


class Connection(insightconnect_plugin_runtime.Connection):
    """Holds the client of one Sentry server and token. Shared between threads by the runtime."""

    client: SentryClient

    def __init__(self) -> None:
        super().__init__(input=ConnectionSchema())

    def _validate(self) -> None:
        """Leaves the judgement to connect, where blank parameters count as not given and errors have an assistance."""

    def connect(self, params: Any = None) -> None:
        """Prepares the client. Does no I/O: in the cloud the runtime connects anew for every step.

        :raises PluginException: the URL or the token cannot be one
        """
        given = read_params(params, _JUDGE)
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        ssl_verify = given.get(Input.SSL_VERIFY, True)
        timeout = _timeout(given.get(Input.TIMEOUT, DEFAULT_SECONDS))
        token = _token(given[Input.TOKEN]["token"])
        server = _server(given.get(Input.URL, DEFAULT_URL), token)
        # END INPUT BINDING - DO NOT REMOVE
        if not ssl_verify:
            self.logger.warning("The server's TLS certificate is not verified: anyone on the way can read the token")
        if server.is_in_the_clear:
            self.logger.warning("The URL of the connection begins with http://: anyone on the way can read the token")
        self.client = SentryClient(server, token, Transport(ssl_verify), self.logger, timeout)

    def test(self) -> dict[str, Any]:
        """Tells which server answers, what the token is, and which actions it allows, in the log and as output.

        :raises ConnectionTestException: with cause and assistance
        """
        try:
            report = self.client.preflight()
            for line in report.lines():
                self.logger.info(line)
            if report.is_useless:
                raise useless_token(report.scopes or (), report.token.is_of_organization)
        except PluginException as error:
            raise ConnectionTestException(cause=error.cause, assistance=error.assistance, data=error.data) from None
        return report.output()


def _server(url: str, token: str) -> Server:
    """The server at the URL; an organization token tells its region, which is used where the URL is the default."""
    try:
        server = Server.parse(url)
        region = token_kind(token).region if server.base == DEFAULT_URL else ""
        return Server.parse(region) if region else server
    except UnusableAddress as error:
        raise input_error(
            f"The URL of the connection cannot be used: {error}.",
            "Give the base URL of the Sentry server, such as https://sentry.io or https://sentry.example.com.",
        ) from None


def _token(text: str) -> str:
    """The token as it goes into a header, without the blanks that copying adds."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token or len(token) > LONGEST_TOKEN:
        raise input_error(
            "The token of the connection is empty or holds characters that no token has.",
            "Copy the token anew from Sentry, without quotes, blanks or the word Bearer.",
        )
    return token


def _timeout(seconds: int) -> int:
    if not 1 <= seconds <= LONGEST_TIMEOUT_SECONDS:
        raise input_error(
            "The timeout of the connection is not a sensible number of seconds.",
            f"Give a timeout from 1 to {LONGEST_TIMEOUT_SECONDS} seconds, or leave it empty for {DEFAULT_SECONDS}.",
        )
    return seconds
