import insightconnect_plugin_runtime
from insightconnect_plugin_runtime.exceptions import ConnectionTestException, PluginException

from .schema import ConnectionSchema, Input

# Custom imports below
from typing import Any

from komand_sentry.util.address import DEFAULT_URL, Server, UnusableAddress
from komand_sentry.util.client import SentryClient
from komand_sentry.util.errors import input_error
from komand_sentry.util.step import read_params
from komand_sentry.util.transport import Transport


class Connection(insightconnect_plugin_runtime.Connection):
    """Holds the client of one Sentry server and token. Shared between threads by the runtime."""

    client: SentryClient

    def __init__(self) -> None:
        super(self.__class__, self).__init__(input=ConnectionSchema())

    def _validate(self) -> None:
        """Leaves the judgement to connect, where blank parameters count as not given and errors have an assistance."""

    def connect(self, params: Any = None) -> None:
        """Prepares the client. Does no I/O: in the cloud the runtime connects anew for every step.

        :raises PluginException: the URL or the token cannot be one
        """
        given = read_params(params, self.schema)
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        ssl_verify = given.get(Input.SSL_VERIFY, True)
        token = given[Input.TOKEN]["token"]
        url = given.get(Input.URL, DEFAULT_URL)
        # END INPUT BINDING - DO NOT REMOVE
        server = _server(url)
        if not ssl_verify:
            self.logger.warning("The server's TLS certificate is not verified: anyone on the way can read the token")
        self.client = SentryClient(server, _token(token), Transport(ssl_verify), self.logger)

    def test(self) -> dict[str, bool]:
        """One cheap call that tells whether the server is a Sentry and takes the token.

        :raises ConnectionTestException: with cause and assistance
        """
        try:
            self.client.identity()
        except PluginException as error:
            raise ConnectionTestException(cause=error.cause, assistance=error.assistance, data=error.data) from None
        return {"success": True}


def _server(url: str) -> Server:
    try:
        return Server.parse(url)
    except UnusableAddress as error:
        raise input_error(
            f"The URL of the connection cannot be used: {error}.",
            "Give the base URL of the Sentry server, such as https://sentry.io or https://sentry.example.com.",
        ) from None


def _token(text: str) -> str:
    """The token as it goes into a header, without the blanks that copying adds."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise input_error(
            "The token of the connection is empty or holds characters that no token has.",
            "Copy the token anew from Sentry, without quotes, blanks or the word Bearer.",
        )
    return token
