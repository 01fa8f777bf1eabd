from .schema import AddCommentInput, AddCommentOutput, Input, Output, Component

# Custom imports below
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class AddComment(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="add_comment", description=Component.DESCRIPTION, input=AddCommentInput(), output=AddCommentOutput()
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params[Input.ISSUE_ID]
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        text = params[Input.TEXT]
        # END INPUT BINDING - DO NOT REMOVE
        return {Output.COMMENT: self.connection.client.comments.add(issue_id, organization_slug, text)}
