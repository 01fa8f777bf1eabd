import insightconnect_plugin_runtime
from insightconnect_plugin_runtime.exceptions import ConnectionTestException, PluginException

from .schema import ConnectionSchema, Input

# Custom imports below
import gc
from typing import Any

from komand_sentry.util.errors.factory import insufficient_scopes, invalid_input
from komand_sentry.util.http.time_budget import DEFAULT_TIMEOUT
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.auth_token import is_valid_token, token_type
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.scopes import is_useless
from komand_sentry.util.sentry.server import DEFAULT_URL, Server
from komand_sentry.util.step import parse_inputs

MAX_TIMEOUT = 3600
# A list of thousands of records creates millions of objects. Python's garbage collector would search them for reference
# cycles repeatedly, although JSON has none, which takes a third of the time of the step. Young objects are still
# searched often, because the runtime creates a cycle for each failed step.
gc.set_threshold(2_000, 10, 100)


class Connection(insightconnect_plugin_runtime.Connection):
    """Holds the client of one Sentry server and token. The runtime shares it between threads."""

    client: SentryClient

    def __init__(self) -> None:
        super().__init__(input=ConnectionSchema())

    def _validate(self) -> None:
        """Leave the validation to connect, which removes blank parameters first and explains what is invalid."""

    def connect(self, params: Any = None) -> None:
        """Create the client. Does no I/O: in the cloud, the runtime calls this for every step.

        :raises PluginException: a parameter is invalid
        """
        params = parse_inputs(params, ConnectionSchema.schema, owner="connection")
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        ssl_verify = params.get(Input.SSL_VERIFY, True)
        timeout = _check_timeout(params.get(Input.TIMEOUT, DEFAULT_TIMEOUT))
        token = _parse_token(params[Input.TOKEN]["token"])
        server = _parse_server(params.get(Input.URL, DEFAULT_URL), token)
        # END INPUT BINDING - DO NOT REMOVE
        if not ssl_verify:
            self.logger.warning("The TLS certificate is not verified, so others on the network can read the token")
        if server.is_plain_http:
            self.logger.warning("The URL starts with http://, so others on the network can read the token")
        self.client = SentryClient(server, token, Transport(ssl_verify), self.logger, timeout)

    def test(self) -> dict[str, Any]:
        """Report which server responds, what the token is, and which actions it allows, in the log and as output.

        :raises ConnectionTestException: with cause and assistance
        """
        try:
            report = self.client.check_connection()
            if is_useless(report.scopes):
                raise insufficient_scopes(report.scopes or (), report.token.is_organization_token)
        except PluginException as error:
            raise ConnectionTestException(cause=error.cause, assistance=error.assistance, data=error.data) from None
        return report.output()


def _parse_server(url: str, token: str) -> Server:
    """The server at a URL. With the default URL, the region that an organization token names."""
    try:
        server = Server.parse(url)
        region = token_type(token).region if server.base == DEFAULT_URL else ""
        return Server.parse(region) if region else server
    except InvalidURL as error:
        raise invalid_input(
            f"The URL of the connection is invalid: {error}.",
            "Set the base URL of the Sentry server, such as https://sentry.io or https://sentry.example.com.",
        ) from None


def _parse_token(text: str) -> str:
    """The token without the white space that copying adds."""
    token = text.strip()
    if not is_valid_token(token):
        raise invalid_input(
            "The token of the connection is empty or contains invalid characters.",
            "Copy the token again from Sentry, without quotes, spaces or the word Bearer.",
        )
    return token


def _check_timeout(seconds: int) -> int:
    if not 1 <= seconds <= MAX_TIMEOUT:
        raise invalid_input(
            "The timeout of the connection is out of range.",
            f"Set a timeout from 1 to {MAX_TIMEOUT} seconds, or leave it empty for {DEFAULT_TIMEOUT}.",
        )
    return seconds
