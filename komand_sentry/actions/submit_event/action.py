from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import SubmitEventInput, SubmitEventOutput, Input, Output, Component

# Custom imports below
from typing import Any

from komand_sentry.util.event_payload import PROTOCOL_VERSION, canonical_event
from komand_sentry.util.step import Params, SentryAction


class SubmitEvent(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="submit_event",
            description=Component.DESCRIPTION,
            input=SubmitEventInput(),
            output=SubmitEventOutput(),
        )

    @auto_instrument
    def run(self, params: Any = None) -> Params:
        given = self.given(params, canonical={Input.EVENT_JSON: canonical_event})
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        dsn = given[Input.DSN]
        event = given[Input.EVENT_JSON]
        version = given.get(Input.SENTRY_VERSION, PROTOCOL_VERSION)
        # END INPUT BINDING - DO NOT REMOVE
        return self.answer({Output.ID: self.connection.client.submit_event(dsn, event, version)})
