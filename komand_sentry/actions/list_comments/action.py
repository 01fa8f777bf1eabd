from .schema import ListCommentsInput, ListCommentsOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.sentry.pagination import PageRange
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class ListComments(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="list_comments",
            description=Component.DESCRIPTION,
            input=ListCommentsInput(),
            output=ListCommentsOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params[Input.ISSUE_ID]
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        page_range = PageRange(params.get(Input.LIMIT, 100), params.get(Input.CURSOR, ""))
        # END INPUT BINDING - DO NOT REMOVE
        comments = self.connection.client.comments.list_for_issue(issue_id, organization_slug, page_range)
        return comments.output(Output.COMMENTS)
