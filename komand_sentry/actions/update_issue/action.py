from .schema import UpdateIssueInput, UpdateIssueOutput, Input, Output, Component

# Custom imports below
import json
import re
from typing import Any, ClassVar

from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.step import Inputs, Outputs, SentryAction, step

_ATTRIBUTES = (
    Input.STATUS,
    Input.ASSIGNEDTO,
    Input.HASSEEN,
    Input.ISSUBSCRIBED,
    Input.ISPUBLIC,
    Input.ISBOOKMARKED,
)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")


def parse_assignee(value: Any) -> Any:
    """Return an assignee unchanged if it is not an object.

    :raises InvalidInput: it is an object, such as `assignedTo` of an issue in an output
    """
    actor = _json_object(value)
    if actor is None:
        return value
    hint = assignee_hint(actor)
    raise invalid_input(
        "The input 'assignedTo' is an object instead of the name or ID of an assignee.",
        f"Set assignedTo to {hint or 'team:ID or user:ID, with type and id of the object'}.",
    )


def assignee_hint(actor: Inputs) -> str:
    """How to write an assignee of an output as an input: `team:2`, `user:1` or an e-mail address, "" if unknown."""
    kind, identity, email = (str(actor.get(key) or "") for key in ("type", "id", "email"))
    if identity.isascii() and identity.isdigit() and kind in ("user", "team", ""):
        return f"{kind or 'user'}:{identity[:20]}"
    return email if _EMAIL.fullmatch(email) else ""


def _json_object(value: Any) -> Inputs | None:
    """An object, or one that a workflow wrote as text; None if it is neither."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


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
        return {Output.ISSUE: self.connection.client.issues.update(issue_id, organization_slug, changes)}


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
