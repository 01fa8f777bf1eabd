from insightconnect_plugin_runtime.telemetry import auto_instrument

from .schema import UpdateIssueInput, UpdateIssueOutput, Input, Output, Component

# Custom imports below
from typing import Any

from komand_sentry.util.errors import input_error
from komand_sentry.util.step import Params, SentryAction

_ATTRIBUTES = (
    Input.STATUS,
    Input.ASSIGNEDTO,
    Input.HASSEEN,
    Input.ISSUBSCRIBED,
    Input.ISPUBLIC,
    Input.ISBOOKMARKED,
)


class UpdateIssue(SentryAction):

    def __init__(self) -> None:
        super().__init__(
            name="update_issue",
            description=Component.DESCRIPTION,
            input=UpdateIssueInput(),
            output=UpdateIssueOutput(),
        )

    @auto_instrument
    def run(self, params: Any = None) -> Params:
        given = self.given(params)
        # START INPUT BINDING - DO NOT REMOVE - ANY INPUTS BELOW WILL UPDATE WITH YOUR PLUGIN SPEC AFTER REGENERATION
        issue_id = given[Input.ISSUE_ID]
        organization_slug = given.get(Input.ORGANIZATION_SLUG, "")
        changes = changes_of(given)
        # END INPUT BINDING - DO NOT REMOVE
        issue = self.connection.client.update_issue(issue_id, changes, organization_slug)
        return self.answer({Output.ISSUE: issue})


def changes_of(given: Params) -> Params:
    """The attributes to send: those that were given, false included, and an empty assignee for `unassign`.

    :raises PluginException: nothing is to change, or the issue is to be assigned and un-assigned at once
    """
    changes = {name: given[name] for name in _ATTRIBUTES if name in given}
    if given.get(Input.UNASSIGN):
        if Input.ASSIGNEDTO in changes:
            raise input_error(
                "The issue is to be assigned and un-assigned at once.", "Give either assignedTo or unassign, not both."
            )
        # What Sentry's own web interface sends; 9 and 2026 alike take it for nobody.
        changes[Input.ASSIGNEDTO] = ""
    if not changes:
        raise input_error(
            "No attribute of the issue was given, so there is nothing to update.",
            f"Give at least one of {', '.join((*_ATTRIBUTES, Input.UNASSIGN))}.",
        )
    return changes
