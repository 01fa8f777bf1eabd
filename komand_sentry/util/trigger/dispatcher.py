"""Send the messages of a trigger to the orchestrator, and detect whether it accepted them."""

import json
import os
from typing import Any, Self

from insightconnect_plugin_runtime.dispatcher import Http

from komand_sentry.util.http.messages import Request, TransportError
from komand_sentry.util.http.retry import backoff_delay
from komand_sentry.util.http.time_budget import Clock
from komand_sentry.util.http.transport import Transport

MAX_ATTEMPTS = 4
ATTEMPT_SECONDS = 60.0
# The orchestrator refuses this message, not the request as such.
_REFUSALS = (400, 413, 422)


class NotAccepted(Exception):
    """The orchestrator did not accept a message. The text says why.

    :param is_about_message: because of its content or its size
    """

    def __init__(self, reason: str, is_about_message: bool = False) -> None:
        super().__init__(reason)
        self.is_about_message = is_about_message


class ConfirmingHttp(Http):
    """Sends the same request as the runtime's dispatcher, which only logs a failure.

    :param clock: waits between attempts
    """

    def __init__(self, config: dict[str, Any], clock: Clock) -> None:
        super().__init__(config)
        self._clock = clock
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
            if attempt == MAX_ATTEMPTS:
                raise problem
            self._clock.sleep(backoff_delay(attempt, 0.0))

    def _post(self, request: Request) -> NotAccepted | None:
        """POST a message once.

        :returns: why it was not accepted, None if it was
        """
        try:
            response = self._transport.send(request, ATTEMPT_SECONDS, new_connection=True)
        except TransportError as failure:
            return NotAccepted(failure.kind.describe(request.host))
        if response.is_success:
            return None
        return NotAccepted(f"{request.host} responded with status {response.status}.", response.status in _REFUSALS)
