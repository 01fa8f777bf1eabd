from .schema import DeleteIssuesInput, DeleteIssuesOutput, Input, Output, Component

# Custom imports below
from typing import ClassVar

from komand_sentry.util.sentry.bulk import SELECTION_NORMALIZERS
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class DeleteIssues(SentryAction):
    normalizers: ClassVar = SELECTION_NORMALIZERS

    def __init__(self) -> None:
        super().__init__(
            name="delete_issues",
            description=Component.DESCRIPTION,
            input=DeleteIssuesInput(),
            output=DeleteIssuesOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        issue_ids = params[Input.ISSUE_IDS]
        confirm = params[Input.CONFIRM]
        # END INPUT BINDING - DO NOT REMOVE
        deletion = self.connection.client.deletion.delete(organization_slug, issue_ids, confirm)
        return {Output.DELETED: deletion.deleted, Output.RESULTS: deletion.results}
