from .schema import UpdateIssueInput, UpdateIssueOutput, Input, Output, Component

# Custom imports below
from typing import ClassVar

from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.sentry.assignee import parse_assignee
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step

_ATTRIBUTES = (
    Input.STATUS,
    Input.ASSIGNEDTO,
    Input.HASSEEN,
    Input.ISSUBSCRIBED,
    Input.ISPUBLIC,
    Input.ISBOOKMARKED,
)


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
        changes = changes_of(params)
        # END INPUT BINDING - DO NOT REMOVE
        updated = self.connection.client.issues.update(issue_id, organization_slug, changes)
        return {Output.ISSUE: updated.issue, Output.NOT_APPLIED: updated.not_applied}


def changes_of(params: Inputs) -> Inputs:
    """The attributes to send: those that are set, false included, and an empty assignee for `unassign`.

    :raises InvalidInput: no attribute is set, or both assignedTo and unassign are
    """
    changes = {name: params[name] for name in _ATTRIBUTES if name in params}
    if params.get(Input.UNASSIGN):
        if Input.ASSIGNEDTO in changes:
            raise invalid_input("Both assignedTo and unassign are set.", "Set either assignedTo or unassign, not both.")
        # Sentry's web interface sends the same; all versions accept it.
        changes[Input.ASSIGNEDTO] = ""
    if not changes:
        raise invalid_input(
            "There is nothing to update: no attribute of the issue is set.",
            f"Set at least one of {', '.join((*_ATTRIBUTES, Input.UNASSIGN))}.",
        )
    return changes
