from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import ListIssueEventsInput, ListIssueEventsOutput, Input, Output, Component

# Custom imports below
from typing import Any

from komand_sentry.util.pagination import Window
from komand_sentry.util.step import Params, SentryAction


class ListIssueEvents(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_issue_events",
            description=Component.DESCRIPTION,
            input=ListIssueEventsInput(),
            output=ListIssueEventsOutput(),
        )

    @auto_instrument
    def run(self, params: Any = None) -> Params:
        given = self.given(params)
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = given[Input.ISSUE_ID]
        organization_slug = given.get(Input.ORGANIZATION_SLUG, "")
        environment = given.get(Input.ENVIRONMENT, "")
        full = given.get(Input.FULL, True)
        window = Window(given.get(Input.LIMIT, 0), given.get(Input.CURSOR, ""), self.shape_of(Output.EVENTS))
        # END INPUT BINDING - DO NOT REMOVE
        listing = self.connection.client.list_issue_events(issue_id, environment, full, window, organization_slug)
        end = self.answer({Output.TRUNCATED: listing.truncated, Output.NEXT_CURSOR: listing.next_cursor})
        return {Output.EVENTS: listing.records, **end}
