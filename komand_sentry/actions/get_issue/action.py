from .schema import GetIssueInput, GetIssueOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.summary import summarize
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class GetIssue(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="get_issue",
            description=Component.DESCRIPTION,
            input=GetIssueInput(),
            output=GetIssueOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params[Input.ISSUE_ID]
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        # END INPUT BINDING - DO NOT REMOVE
        found = self.connection.client.issues.get(issue_id, organization_slug)
        return {Output.ISSUE: found.issue, Output.SUMMARY: summarize(found.issue, found.latest_event)}
