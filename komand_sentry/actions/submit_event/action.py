from .schema import SubmitEventInput, SubmitEventOutput, Input, Output, Component

# Custom imports below
from typing import ClassVar

from komand_sentry.util.sentry.event_payload import PROTOCOL_VERSION, normalize_event_json
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class SubmitEvent(SentryAction):
    normalizers: ClassVar = {Input.EVENT_JSON: normalize_event_json}

    def __init__(self) -> None:
        super().__init__(
            name="submit_event",
            description=Component.DESCRIPTION,
            input=SubmitEventInput(),
            output=SubmitEventOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        dsn = params[Input.DSN]
        event = params[Input.EVENT_JSON]
        version = params.get(Input.SENTRY_VERSION, PROTOCOL_VERSION)
        # END INPUT BINDING - DO NOT REMOVE
        return {Output.ID: self.connection.client.ingest.submit(dsn, event, version)}
