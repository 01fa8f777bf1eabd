from .schema import SubmitEventInput, SubmitEventOutput, Input, Output, Component

# Custom imports below
from functools import partial
from typing import ClassVar

from komand_sentry.util.sentry.event_payload import PROTOCOL_VERSION
from komand_sentry.util.sentry.ingest import parse_event
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step

EVENT_SCHEMA = {"$ref": "#/definitions/EventJSON", "definitions": SubmitEventInput.schema["definitions"]}


class SubmitEvent(SentryAction):
    normalizers: ClassVar = {Input.EVENT_JSON: partial(parse_event, schema=EVENT_SCHEMA)}

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
        wait_for_issue = params.get(Input.WAIT_FOR_ISSUE, False)
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        # END INPUT BINDING - DO NOT REMOVE
        ingest = self.connection.client.ingest
        if wait_for_issue:
            return ingest.submit_and_find(dsn, event, version, organization_slug)
        return {Output.ID: ingest.submit(dsn, event, version)}
