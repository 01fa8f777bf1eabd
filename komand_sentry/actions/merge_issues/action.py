from .schema import MergeIssuesInput, MergeIssuesOutput, Input, Output, Component

# Custom imports below
from typing import ClassVar

from komand_sentry.util.sentry.bulk import SELECTION_NORMALIZERS
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class MergeIssues(SentryAction):
    normalizers: ClassVar = SELECTION_NORMALIZERS

    def __init__(self) -> None:
        super().__init__(
            name="merge_issues",
            description=Component.DESCRIPTION,
            input=MergeIssuesInput(),
            output=MergeIssuesOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        issue_ids = params[Input.ISSUE_IDS]
        # END INPUT BINDING - DO NOT REMOVE
        merged = self.connection.client.merging.merge(organization_slug, issue_ids)
        return {Output.ISSUE: merged.issue, Output.MERGED: merged.merged, Output.COMPLETED: merged.completed}
