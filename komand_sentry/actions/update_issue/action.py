from .schema import UpdateIssueInput, UpdateIssueOutput, Input, Output, Component

# Custom imports below
from typing import ClassVar

from komand_sentry.util.sentry.assignee import parse_assignee
from komand_sentry.util.sentry.issue_changes import IssueChanges
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class UpdateIssue(SentryAction):
    normalizers: ClassVar = {Input.ASSIGNEDTO: parse_assignee}

    def __init__(self) -> None:
        super().__init__(
            name="update_issue",
            description=Component.DESCRIPTION,
            input=UpdateIssueInput(),
            output=UpdateIssueOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = params[Input.ISSUE_ID]
        organization_slug = params.get(Input.ORGANIZATION_SLUG, "")
        changes = IssueChanges.parse(params)
        # END INPUT BINDING - DO NOT REMOVE
        updated = self.connection.client.issues.update(issue_id, organization_slug, changes)
        return {Output.ISSUE: updated.issue, Output.NOT_APPLIED: updated.not_applied}
