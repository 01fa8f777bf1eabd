"""Sentry's web API `/api/0/` as one action uses it: with one token, within one budget of time.

https://docs.sentry.io/api/
"""

import json
from dataclasses import dataclass, field
from typing import Any

from insightconnect_plugin_runtime.exceptions import APIException

from komand_sentry.util import errors
from komand_sentry.util.address import Server, is_segment
from komand_sentry.util.errors import Target
from komand_sentry.util.exchange import Params, Request, Response, Unreachable
from komand_sentry.util.sender import Sender
from komand_sentry.util.token import token_kind

# A shorter one is none of Sentry's, and may well be a part of a slug.
LEAST_TOKEN = 16
USER_AGENT = "insightconnect-sentry/2.0.0"


@dataclass(frozen=True)
class WebAPI:
    server: Server
    token: str = field(repr=False)
    sender: Sender = field(repr=False)

    def say(self, text: str) -> None:
        """Writes a line into the log of the step."""
        self.sender.say(text)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.token,)

    def call(
        self, method: str, segments: tuple[str, ...], target: Target, params: Params = (), body: Any = None
    ) -> Response:
        """One call that should succeed.

        :raises APIException: the server refused it
        :raises PluginException: the server was not reached
        """
        return self.judged(self.ask(method, segments, params, body), target)

    def ask(self, method: str, segments: tuple[str, ...], params: Params = (), body: Any = None) -> Response:
        """One call whose refusal the caller can deal with.

        :raises PluginException: the server was not reached, or an address would hold the token
        """
        if any(self._is_told_by(text) for text in (*segments, *(value for _, value in params))):
            raise errors.input_error(
                "An input of the step holds the token of the connection.",
                "Addresses stand in the logs of servers and proxies, so a token must not get into one. Give the token "
                "to the connection only.",
            )
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        payload = None if body is None else json.dumps(body).encode()
        sendable = tuple((name, value.encode(errors="replace").decode()) for name, value in params)
        return reached(self.sender, Request(method, self.server.api(*segments), sendable, headers, payload))

    def judged(self, response: Response, target: Target) -> Response:
        """The response, which must be a success.

        :raises APIException: it is not
        """
        if response.is_success:
            return response
        is_hopeless = token_kind(self.token).is_of_organization
        raise errors.response_error(target, response, self.secrets, organization_token=is_hopeless)

    def unexpected(self, target: Target, response: Response) -> APIException:
        return errors.unexpected_answer(target, response, self.secrets)

    def organizations(self) -> tuple[str, ...]:
        """The slugs of the organizations that the token sees, empty where it may not list them. `GET /organizations/`

        :raises PluginException: the server was not reached
        """
        slugs = slugs_of(self.ask("GET", ("organizations",)))
        return tuple(slug for slug in slugs if is_segment(slug) and not self._is_told_by(slug))

    def _is_told_by(self, text: str) -> bool:
        """Whether the text holds the token, and so must stand in no address."""
        return len(self.token) >= LEAST_TOKEN and self.token in text


def reached(sender: Sender, request: Request) -> Response:
    """:raises PluginException: no complete response came"""
    try:
        return sender.send(request)
    except Unreachable as failure:
        raise errors.unreachable_error(request.host, failure) from None


def json_of(response: Response) -> Any:
    """The body as JSON, None where it is none: either way the caller checks that it is what it asked for."""
    try:
        return response.json()
    except ValueError:
        return None


def slugs_of(response: Response) -> tuple[str, ...]:
    """The slugs in a list of organizations or projects, none where the response is no such list."""
    found = json_of(response) if response.is_success else None
    slugs = (item.get("slug") for item in found if isinstance(item, dict)) if isinstance(found, list) else ()
    return tuple(slug for slug in slugs if isinstance(slug, str) and slug)
