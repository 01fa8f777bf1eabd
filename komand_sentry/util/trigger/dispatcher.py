"""Send the messages of a trigger to the orchestrator, and detect whether it accepted them."""

import json
import os
from typing import Any, Self

from insightconnect_plugin_runtime.dispatcher import Http

from komand_sentry.util.http.messages import Request, Response, TransportError
from komand_sentry.util.http.retry import backoff_delay
from komand_sentry.util.http.time_budget import Clock, SystemClock
from komand_sentry.util.http.transport import Transport

MAX_ATTEMPTS = 4
ATTEMPT_SECONDS = 30.0


class NotAccepted(Exception):
    """The orchestrator did not accept a message. The text says why."""


class ConfirmingHttp(Http):
    """Sends the same request as the runtime's dispatcher, which only logs a failure.

    :param clock: waits between attempts
    """

    def __init__(self, config: dict[str, Any], clock: Clock | None = None) -> None:
        super().__init__(config)
        self._clock = clock or SystemClock()
        # The same certificates as the runtime's dispatcher.
        self._transport = Transport(os.environ.get("SSL_CERT_FILE") or True)

    @classmethod
    def replacing(cls, dispatcher: Http, clock: Clock) -> Self:
        """The dispatcher that takes the place of the runtime's."""
        config = {
            name: getattr(dispatcher, name) for name in ("url", "webhook_url", "custom_encoder", "custom_decoder")
        }
        return cls(config, clock)

    def write(self, msg: dict[str, Any]) -> None:
        """POST a message until it is accepted, with up to MAX_ATTEMPTS attempts.

        :raises NotAccepted: no attempt was
        """
        body = json.dumps(msg).encode()
        request = Request("POST", self.url, headers={"Content-Type": "application/json"}, body=body)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            problem = self._post(request)
            if not problem:
                return
            if attempt < MAX_ATTEMPTS:
                self._clock.sleep(backoff_delay(attempt, 0.0))
        raise NotAccepted(problem)

    def _post(self, request: Request) -> str:
        """POST a message once.

        :returns: why it was not accepted, "" if it was
        """
        try:
            response = self._transport.send(request, ATTEMPT_SECONDS, new_connection=True)
        except TransportError as failure:
            return failure.kind.describe(request.host)
        return "" if response.is_success else _refusal(request.host, response)


def _refusal(host: str, response: Response) -> str:
    return f"{host} responded with status {response.status}."
