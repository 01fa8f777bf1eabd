from .schema import GetEventInput, GetEventOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.event_details import event_details
from komand_sentry.util.sentry.summary import summarize
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class GetEvent(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="get_event",
            description=Component.DESCRIPTION,
            input=GetEventInput(),
            output=GetEventOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params.get(Input.ISSUE_ID, "")
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        event_id = params.get(Input.EVENT_ID, "latest")
        # END INPUT BINDING - DO NOT REMOVE
        found = self.connection.client.events.get(issue_id, organization_slug, event_id)
        return {
            Output.EVENT: found.event,
            Output.ISSUE_ID: found.issue_id or None,
            Output.DETAILS: event_details(found.event, found.permalink),
            Output.SUMMARY: summarize(found.issue, found.event),
        }
