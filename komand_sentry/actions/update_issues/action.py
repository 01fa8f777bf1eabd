from .schema import UpdateIssuesInput, UpdateIssuesOutput, Input, Component

# Custom imports below
from typing import ClassVar

from komand_sentry.util.sentry.assignee import parse_assignee
from komand_sentry.util.sentry.bulk import SELECTION_NORMALIZERS, Selection
from komand_sentry.util.sentry.issue_changes import IssueChanges
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step


class UpdateIssues(SentryAction):
    normalizers: ClassVar = {**SELECTION_NORMALIZERS, Input.ASSIGNEDTO: parse_assignee}

    def __init__(self) -> None:
        super().__init__(
            name="update_issues",
            description=Component.DESCRIPTION,
            input=UpdateIssuesInput(),
            output=UpdateIssuesOutput(),
        )

    @step
    def run(self, params: Inputs) -> Outputs:
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        organization_slug = params[Input.ORGANIZATION_SLUG]
        selection = Selection(
            issue_ids=params.get(Input.ISSUE_IDS),
            query=params.get(Input.QUERY, ""),
            projects=tuple(params.get(Input.PROJECTS, ())),
        )
        changes = IssueChanges.parse(params)
        max_changes = params.get(Input.MAX_CHANGES, 100)
        dry_run = params.get(Input.DRY_RUN, True)
        # END INPUT BINDING - DO NOT REMOVE
        return self.connection.client.bulk.update(organization_slug, selection, changes, max_changes, dry_run).output()
