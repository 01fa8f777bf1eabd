from .schema import ListIssueEventsInput, ListIssueEventsOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class ListIssueEvents(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_issue_events",
            description=Component.DESCRIPTION,
            input=ListIssueEventsInput(),
            output=ListIssueEventsOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params[Input.ISSUE_ID]
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        environment = params.get(Input.ENVIRONMENT, "")
        full = params.get(Input.FULL, True)
        page_range = PageRange(params.get(Input.LIMIT, 0), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        events = self.connection.client.events.list_for_issue(
            issue_id, organization_slug, environment, full, page_range
        )
        return events.output(Output.EVENTS)
